"""`/v1/trials`."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path
from sqlalchemy import Connection

from actsearch.schemas import Trial
from actsearch.store import trials
from actsearch_api.problems import documented
from actsearch_api.serving import reading

router = APIRouter(prefix="/v1/trials", tags=["trials"])


@router.get("/{trial_id}", responses=documented(404, 422, 503))
@reading
def get_trial(trial_id: Annotated[UUID, Path(description="id of the trial")], connection: Connection) -> Trial:
    """A trial with its learning curve."""
    return trials.get_trial(connection, trial_id)
