"""Memory across jobs: which earlier ones a new job may learn from, and what they found."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Connection, text

from actsearch.errors import FieldProblem, InvalidRequest
from actsearch.schemas import JobRequest, ObjectiveInfo
from actsearch.study.ledger import Memory

_JOBS, _TRIALS = 5, 200

_ALIKE = """
    SELECT id FROM jobs WHERE architecture = :architecture AND task = :task AND metric = :metric
        AND direction = :direction AND state = 'completed' ORDER BY finished_at DESC, id LIMIT :jobs
"""

_FOUND = """
    WITH found AS (
        SELECT t.params, t.number, CASE WHEN j.direction = 'maximize' THEN t.value ELSE -t.value END AS score
        FROM jobs j JOIN trials t USING (study_id)
        WHERE j.id = :job AND t.state = 'complete' AND t.value > '-Infinity' AND t.value < 'Infinity'
    ), ranked AS (
        SELECT *, row_number() OVER (ORDER BY score DESC, number) - :best AS after, count(*) OVER () - :best AS others
        FROM found
    )
    SELECT params, score FROM ranked
    WHERE after <= 0 OR after * :best / others > (after - 1) * :best / others OR others <= :best
    ORDER BY after
"""


def jobs_to_learn_from(connection: Connection, request: JobRequest, objective: ObjectiveInfo) -> list[UUID]:
    """The jobs that `request.warm_start` means: those named, or (`auto`) the last completed ones of the same
    architecture, task and objective. Decided when a job is created, so that what ends later does not change it.

    Raises:
        InvalidRequest: a job that is named does not exist.
    """
    if request.warm_start == "off":
        return []
    if request.warm_start == "auto":
        values = {"architecture": request.architecture.name, "task": request.task.name, "jobs": _JOBS}
        values |= {"metric": objective.metric, "direction": objective.direction}
        return list(connection.execute(text(_ALIKE), values).scalars())
    named = list(dict.fromkeys(request.warm_start))
    known = set(connection.execute(text("SELECT id FROM jobs WHERE id = ANY(:ids)"), {"ids": named}).scalars())
    problems = [
        FieldProblem(f"warm_start.{place}", f"there is no job {job_id}")
        for place, job_id in enumerate(request.warm_start)
        if job_id not in known
    ]
    if problems:
        raise InvalidRequest(*problems)
    return named


def remembered(connection: Connection, job_ids: Sequence[UUID], most: int = _TRIALS) -> list[Memory]:
    """What earlier jobs found; those that found nothing (or were deleted since) are left out.

    Of a job with more than `most` complete trials, half of these are its best and half an even choice of the others:
    what is bad is worth knowing too.
    """
    found = []
    for job_id in job_ids:
        rows = connection.execute(text(_FOUND), {"job": job_id, "best": most // 2}).all()
        if rows:
            found.append(Memory(job_id, [(row.params, row.score) for row in rows]))
    return found
