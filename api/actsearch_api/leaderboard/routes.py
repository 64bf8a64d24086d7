"""`/v1/leaderboard`."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field
from sqlalchemy import Connection

from actsearch.schemas import PRINTABLE, Leaderboard, Schema
from actsearch.store.leaderboard import jobs_of_pair
from actsearch.study.judging.leaderboard import leaders
from actsearch_api.problems import documented
from actsearch_api.serving import reading

router = APIRouter(prefix="/v1/leaderboard", tags=["leaderboard"])

Name = Annotated[str, Field(min_length=1, max_length=100, pattern=PRINTABLE)]


class LeaderboardFilter(Schema):
    """Which leaderboard."""

    architecture: Name
    task: Name
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


@router.get("", responses=documented(422, 503))
@reading
def get_leaderboard(wanted: Annotated[LeaderboardFilter, Query()], connection: Connection) -> Leaderboard:
    """Families by what they gained over the baseline in all completed jobs of an architecture and a task."""
    found = jobs_of_pair(connection, wanted.architecture, wanted.task, wanted.limit)
    entries = leaders(found.verdicts, found.searches)[: wanted.limit]
    return Leaderboard(architecture=wanted.architecture, task=wanted.task, jobs=found.count, entries=entries)
