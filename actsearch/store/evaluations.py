"""Confirmation's networks, as clients see them: a job's evaluations."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, text

from actsearch.errors import NotFound
from actsearch.schemas import Evaluation, Failure, FailureReason, Page, TrialState
from actsearch.store.cursors import Keyset, Whole
from actsearch.store.trials import finite

_KEYS = Keyset("evaluations", replicate=Whole, arm=Whole)
_LIST = """
    SELECT e.*, t.number FROM evaluations e JOIN trials t ON t.id = e.trial_id
    WHERE e.job_id = :job AND (e.replicate, e.arm) > (:replicate, :arm)
    ORDER BY e.replicate, e.arm LIMIT :limit
"""


def list_evaluations(
    connection: Connection, job_id: UUID, *, limit: int = 100, cursor: str | None = None
) -> Page[Evaluation]:
    """A job's evaluations by seed and arm.

    Raises:
        NotFound: no such job.
        InvalidRequest: the cursor is not one that an earlier page gave.
    """
    if connection.execute(text("SELECT 1 FROM jobs WHERE id = :job"), {"job": job_id}).first() is None:
        raise NotFound("job", str(job_id))
    after = {"replicate": -1, "arm": -1} if cursor is None else _KEYS.place(cursor)
    rows = connection.execute(text(_LIST), {"job": job_id, "limit": limit + 1, **after}).all()
    kept, further = _KEYS.page(rows, limit)
    return Page[Evaluation](items=[_evaluation(row) for row in kept], next_cursor=further)


def _evaluation(row: Row[Any]) -> Evaluation:
    reason = None if row.failure_reason is None else FailureReason(row.failure_reason)
    return Evaluation(
        id=row.uid,
        job_id=row.job_id,
        arm=row.arm,
        trial=row.number,
        twin=row.twin,
        replicate=row.replicate,
        seed=row.seed,
        state=TrialState(row.state),
        metrics=finite(row.metrics),
        failure=None if reason is None else Failure(reason=reason, detail=row.failure_detail or ""),
        attempt=row.attempt,
        worker=row.worker,
        started_at=row.started_at,
        finished_at=row.finished_at,
    )
