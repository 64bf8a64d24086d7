"""Changes to a job that was submitted: its name, its turn, how many work on it and how many trials it may have."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, insert, text

from actsearch.errors import FieldProblem, IllegalTransition, InvalidRequest
from actsearch.schemas import JobRequest, JobState
from actsearch.store import jobs
from actsearch.store.attendance import mend
from actsearch.store.encoding import encode
from actsearch.store.models import EventRow
from actsearch.store.queue import RUN_TASK

_STANDING = """
    SELECT j.state, j.stopped_by, j.budget_trials, s.next_number AS begun, j.verdict,
           j.request #>> '{budget,seconds}' AS seconds,
           EXISTS (SELECT 1 FROM evaluations e WHERE e.job_id = j.id) AS confirmed
    FROM jobs j JOIN studies s ON s.id = j.study_id WHERE j.id = :job
"""
_CHANGE = """
    UPDATE jobs SET name = :name, labels = :labels, priority = :priority, parallelism = :parallelism,
                    budget_trials = :trials, request = CAST(:request AS jsonb) WHERE id = :job
"""
_QUEUE = f"""
    UPDATE procrastinate_jobs SET priority = :priority
    WHERE task_name = '{RUN_TASK}' AND status IN ('todo', 'doing') AND args ->> 'job_id' = :job
"""  # noqa: S608 - a constant of ours

# Its verdict is kept in the event; what it trained for it is trained again, on the same seeds.
_REOPEN = (
    """DELETE FROM trainings WHERE id IN (SELECT training FROM evaluations WHERE job_id = :job)""",
    "DELETE FROM evaluations WHERE job_id = :job",
    "UPDATE jobs SET verdict = NULL, stopped_by = NULL, reason = NULL WHERE id = :job",
)


def change(connection: Connection, job_id: UUID, wanted: JobRequest, by: str | None = None) -> None:
    """Bring a job to what `wanted` says of name, priority, parallelism and number of trials.

    A completed job that gets more trials is queued again and searches on from what it knows; its confirmation is made
    anew in the end, since others may be the finalists then. Does nothing where nothing is different.

    Args:
        wanted: the job's request with the changes (`JobChange.applied_to`), checked as one that is submitted.
        by: name of the client that asks for it.

    Raises:
        NotFound: no such job.
        IllegalTransition: more trials are wanted of a job that has failed or was cancelled, or is being confirmed.
        InvalidRequest: fewer trials are wanted than were begun, or another limit of the budget has ended the search.
    """
    state, before = jobs.lock(connection, job_id), jobs.get_request(connection, job_id)[1]
    if before == wanted:
        return
    now = connection.execute(text(_STANDING), {"job": job_id}).one()
    trials = now.budget_trials
    if before.budget.trials != wanted.budget.trials:
        _require_other_budget(now, wanted.budget.trials)
        trials = wanted.budget.trials
    values = {
        "job": job_id,
        "name": wanted.name,
        "labels": wanted.labels,
        "priority": wanted.priority,
        "parallelism": wanted.runners,
        "trials": trials,
        "request": encode(wanted.model_dump(mode="json")),
    }
    connection.execute(text(_CHANGE), values)
    connection.execute(text(_QUEUE), {"job": str(job_id), "priority": wanted.priority})
    told = _difference(before, wanted) | ({"by": by} if by else {})
    if state == JobState.completed and trials > now.budget_trials:
        told |= {"verdict": now.verdict} if now.verdict else {}
        for query in _REOPEN:
            connection.execute(text(query), {"job": job_id})
    connection.execute(insert(EventRow).values({"job_id": job_id, "kind": "changed", "data": told}))
    if state == JobState.completed and trials > now.budget_trials:
        jobs.transition(connection, job_id, JobState.queued, None, by)
    mend(connection, job_id)


def _require_other_budget(now: Row[Any], trials: int) -> None:
    state = JobState(now.state)
    if state in (JobState.failed, JobState.cancelled) or (state != JobState.completed and now.confirmed):
        raise IllegalTransition(f"{state}, its search being over,", "given another number of trials")
    if now.stopped_by not in (None, "trials"):
        message = f"the search was ended by budget.{now.stopped_by}, which would end it again; submit a new job"
        raise InvalidRequest(FieldProblem("budget.trials", message))
    least = now.begun + 1 if state == JobState.completed else now.begun
    if state == JobState.completed and now.seconds is not None:
        message = "budget.seconds counts from the start of the job, and may be over; submit a new job"
        raise InvalidRequest(FieldProblem("budget.trials", message))
    if trials < least:
        message = f"{now.begun} trials have already begun; ask for at least {least}"
        raise InvalidRequest(FieldProblem("budget.trials", message))


def _difference(before: JobRequest, wanted: JobRequest) -> dict[str, Any]:
    found = {
        name: getattr(wanted, name)
        for name in ("name", "labels", "priority", "parallelism")
        if getattr(before, name) != getattr(wanted, name)
    }
    return found | ({"trials": wanted.budget.trials} if before.budget != wanted.budget else {})
