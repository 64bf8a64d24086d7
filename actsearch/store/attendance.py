"""How many runners active jobs have, and how many they should have: the repair of their number goes both ways."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection, text

from actsearch.store.queue import RUN_TASK, defer_runners

# `open` is what a runner could claim now. A job without any of it, and without anything in training, that was never
# closed (its last runner died just then) needs one runner to close it.
_ATTENDANCE = f"""
    WITH tasks AS (
        SELECT args ->> 'job_id' AS job, count(*) AS runners FROM procrastinate_jobs
        WHERE task_name = '{RUN_TASK}' AND status IN ('todo', 'doing') GROUP BY 1
    ), counts AS (
        SELECT j.id, j.priority, j.parallelism, coalesce(tasks.runners, 0) AS runners,
            CASE WHEN j.state = 'confirming'
                THEN (SELECT count(DISTINCT replicate) FROM evaluations WHERE job_id = j.id AND state = 'waiting')
                ELSE greatest(0, j.budget_trials - s.next_number)
                    + (SELECT count(*) FROM trials WHERE study_id = s.id AND state = 'waiting')
            END AS open,
            CASE WHEN j.state = 'confirming'
                THEN EXISTS (SELECT 1 FROM evaluations WHERE job_id = j.id AND state = 'running')
                ELSE EXISTS (SELECT 1 FROM trials WHERE study_id = s.id AND state = 'running')
            END AS in_training
        FROM jobs j JOIN studies s ON s.id = j.study_id LEFT JOIN tasks ON tasks.job = j.id::text
        WHERE j.state IN ('queued', 'running', 'confirming') AND (CAST(:job AS uuid) IS NULL OR j.id = :job)
    )
    SELECT id, priority,
        least(parallelism, CASE WHEN open = 0 AND NOT in_training THEN 1 ELSE open END) - runners AS missing,
        runners - parallelism AS surplus
    FROM counts
"""  # noqa: S608 - a constant of ours


@dataclass(frozen=True)
class Attendance:
    """What an active job's runners are too few (`missing`) or too many (`surplus`); at most one is positive."""

    job_id: UUID
    priority: int
    missing: int
    surplus: int

    @property
    def wrong(self) -> bool:
        """Whether something is to be repaired."""
        return self.missing > 0 or self.surplus > 0


def attendance(connection: Connection, job_id: UUID | None = None) -> list[Attendance]:
    """The active jobs with too few or too many runner tasks (of one job alone, if it is given)."""
    found = [Attendance(*row) for row in connection.execute(text(_ATTENDANCE), {"job": job_id})]
    return [one for one in found if one.wrong]


_LOCK = "SELECT 1 FROM jobs WHERE id = :job FOR UPDATE SKIP LOCKED"

# The youngest first; those at work end with their slice, and are counted again then.
_DISMISS = f"""
    DELETE FROM procrastinate_jobs WHERE id IN (
        SELECT id FROM procrastinate_jobs
        WHERE task_name = '{RUN_TASK}' AND status = 'todo' AND args ->> 'job_id' = :job
        ORDER BY id DESC LIMIT :count FOR UPDATE SKIP LOCKED)
"""  # noqa: S608 - a constant of ours


def mend(connection: Connection, job_id: UUID | None = None) -> Mapping[UUID, int]:
    """Give every active job (or one of them) the runner tasks it lacks and take from it those it has too many of.

    A job whose row is locked is left for the next time: whoever has the lock may be changing the number.

    Returns:
        By job, how many were added (negative: removed).
    """
    changed = {}
    for one in [one.job_id for one in attendance(connection, job_id)]:
        if connection.execute(text(_LOCK), {"job": one}).first() is None:
            continue
        for now in attendance(connection, one):
            if now.missing > 0:
                defer_runners(connection, one, now.missing, now.priority)
                changed[one] = now.missing
            else:
                gone = connection.execute(text(_DISMISS), {"job": str(one), "count": now.surplus}).rowcount
                changed[one] = -gone
    return changed
