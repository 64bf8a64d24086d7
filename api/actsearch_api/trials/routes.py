"""`/v1/trials`."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query
from sqlalchemy import Connection

from actsearch.schemas import Page, Trial
from actsearch.store import trials
from actsearch_api.lists import Filter, PageOf, TrialSort
from actsearch_api.problems import documented
from actsearch_api.serving import reading

router = APIRouter(prefix="/v1/trials", tags=["trials"])


class Search(PageOf):
    """Which trials of all jobs."""

    filter: Filter | None = None
    sort: TrialSort | None = None


@router.get("", responses=documented(422, 503))
@reading
def search_trials(wanted: Annotated[Search, Query()], connection: Connection) -> Page[Trial]:
    """Trials of all jobs, without their learning curves, the newest first unless `sort` says otherwise.

    `filter` may name what their jobs are, too: `job.task == "digits" and value > 0.97`.
    """
    return trials.search_trials(
        connection, filter=wanted.filter, sort=wanted.sort, limit=wanted.limit, cursor=wanted.cursor
    )


@router.get("/{trial_id}", responses=documented(404, 422, 503))
@reading
def get_trial(trial_id: Annotated[UUID, Path(description="id of the trial")], connection: Connection) -> Trial:
    """A trial with its learning curve."""
    return trials.get_trial(connection, trial_id)
