"""Jobs: created with study, baseline and runner tasks in one transaction; and their life. Reading: see `job_views`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, insert, text
from uuid_utils.compat import uuid7

from actsearch.errors import IllegalTransition, NotFound
from actsearch.schemas import (
    FINAL_STATES,
    JOB_TRANSITIONS,
    ActivationSpec,
    Direction,
    JobRequest,
    JobState,
    ObjectiveInfo,
    Scalar,
)
from actsearch.store import runs
from actsearch.store.attendance import mend
from actsearch.store.encoding import encode
from actsearch.store.models import EventRow, JobRow, StudyRow, TrialRow
from actsearch.store.queue import defer_runners
from actsearch.store.warm_start import jobs_to_learn_from

# --- creation -------------------------------------------------------------------------------------


def create_job(
    connection: Connection,
    request: JobRequest,
    objective: ObjectiveInfo,
    baseline: Mapping[str, ActivationSpec],
    baseline_parameters: Mapping[str, Scalar],
    *,
    further_objectives: Sequence[ObjectiveInfo] = (),
    notes: Sequence[str] = (),
    owner: str | None = None,
) -> UUID:
    """Create a job, its study, trial 0 (the baseline, waiting) and its runner tasks, in the caller's transaction.

    Args:
        request: checked by `actsearch.study.checking.prepare`, which also gives the other arguments.
        baseline: the activations of trial 0, by group.
        baseline_parameters: Optuna's parameters of trial 0.
        further_objectives: what else trials are judged by; `objective` is what they are ranked by.
        notes: what was guessed of the data.
        owner: name of the client whose API key it is submitted with.

    Raises:
        InvalidRequest: `warm_start` names a job that does not exist.
    """
    earlier = jobs_to_learn_from(connection, request, objective)
    job_id = uuid7()
    study_id = _create_study(
        connection, job_id, [o.direction for o in (objective, *further_objectives)], earlier, notes
    )
    _create_baseline(connection, study_id, baseline, baseline_parameters)
    row = {
        "id": job_id,
        "study_id": study_id,
        "name": request.name,
        "labels": request.labels,
        "state": JobState.queued,
        "architecture": request.architecture.name,
        "task": request.task.name,
        "metric": objective.metric,
        "direction": objective.direction,
        "priority": request.priority,
        "parallelism": request.runners,
        "budget_trials": request.budget.trials,
        "owner": owner,
        "request": request.model_dump(mode="json"),
    }
    connection.execute(insert(JobRow).values(row))
    _record(connection, job_id, JobState.queued, None, owner)
    defer_runners(connection, job_id, min(request.runners, request.budget.trials), request.priority)
    return job_id


def _create_study(
    connection: Connection,
    job_id: UUID,
    directions: Sequence[Direction],
    earlier: Sequence[UUID],
    notes: Sequence[str],
) -> int:
    values: dict[str, Any] = {"name": str(job_id), "directions": list(directions), "next_number": 1}
    attributes = {"warm_start": [str(job) for job in earlier], "notes": list(notes)}
    values["user_attrs"] = {name: value for name, value in attributes.items() if value}
    study: int = connection.execute(insert(StudyRow).values(values).returning(StudyRow.id)).scalar_one()
    return study


def _create_baseline(
    connection: Connection,
    study_id: int,
    baseline: Mapping[str, ActivationSpec],
    parameters: Mapping[str, Scalar],
) -> None:
    # `fixed_params` is how Optuna's own `enqueue_trial` says what a waiting trial is to use.
    values = {
        "uid": uuid7(),
        "study_id": study_id,
        "number": 0,
        "state": "waiting",
        "is_baseline": True,
        "family": "+".join(dict.fromkeys(spec.label for spec in baseline.values())),
        "activations": {group: spec.model_dump(mode="json") for group, spec in baseline.items()},
        "system_attrs": {"fixed_params": dict(parameters)},
    }
    connection.execute(insert(TrialRow).values(values))


# --- life -----------------------------------------------------------------------------------------


def lock(connection: Connection, job_id: UUID) -> JobState:
    """Lock a job's row until the end of the transaction; returns its state.

    Raises:
        NotFound: no such job.
    """
    state = connection.execute(text("SELECT state FROM jobs WHERE id = :job FOR UPDATE"), {"job": job_id}).scalar()
    if state is None:
        raise NotFound("job", str(job_id))
    return JobState(state)


_TRANSITION = """
    UPDATE jobs SET state = :state, reason = coalesce(:reason, reason),
        started_at = CASE WHEN :state = 'running' THEN coalesce(started_at, now()) ELSE started_at END,
        finished_at = CASE WHEN :final THEN now() END
    WHERE id = :job
"""


def transition(
    connection: Connection, job_id: UUID, wanted: JobState, reason: str | None = None, by: str | None = None
) -> None:
    """Bring a job into another state and record the event; of one that fails or is cancelled, what waits fails now.

    Args:
        wanted: the state to bring it into.
        reason: why, for those who look at the job.
        by: name of the client that asked for it.

    Raises:
        NotFound: no such job.
        IllegalTransition: its present state does not allow it (`JOB_TRANSITIONS`).
    """
    current = lock(connection, job_id)
    if wanted not in JOB_TRANSITIONS[current]:
        raise IllegalTransition(current, wanted, _possible(current))
    values = {"job": job_id, "state": wanted, "reason": reason, "final": wanted in FINAL_STATES}
    connection.execute(text(_TRANSITION), values)
    _record(connection, job_id, wanted, reason, by)
    if wanted in (JobState.failed, JobState.cancelled):
        runs.fail_cancelled(connection)


def _possible(state: JobState) -> list[str]:
    """What people can ask for of a job in this state."""
    again = "resumed" if state == JobState.paused else "given more trials"
    words = {JobState.paused: "paused", JobState.cancelled: "cancelled", JobState.queued: again}
    return [word for following, word in words.items() if following in JOB_TRANSITIONS[state]]


def cancel(connection: Connection, job_id: UUID, by: str | None = None) -> None:
    """Cancel a job: what waits fails with reason `cancelled` now, those in training at their next rung.

    Raises:
        NotFound, IllegalTransition: see `transition`.
    """
    transition(connection, job_id, JobState.cancelled, "cancelled on request", by)


def pause(connection: Connection, job_id: UUID, by: str | None = None) -> None:
    """Pause a job: nothing is begun any more; what trains goes back to the budget at its next rung.

    Raises:
        NotFound, IllegalTransition: see `transition`.
    """
    transition(connection, job_id, JobState.paused, None, by)


def resume(connection: Connection, job_id: UUID, by: str | None = None) -> None:
    """Let a paused job go on where it stopped: what is finished stays, confirmation too.

    Raises:
        NotFound: no such job.
        IllegalTransition: it is not paused.
    """
    state = lock(connection, job_id)
    if state != JobState.paused:
        raise IllegalTransition(state, "resumed", _possible(state))
    transition(connection, job_id, JobState.queued, None, by)
    mend(connection, job_id)


def set_verdict(connection: Connection, job_id: UUID, verdict: Mapping[str, Any]) -> None:
    """Store a job's verdict (a `Verdict` as JSON)."""
    query = "UPDATE jobs SET verdict = CAST(:verdict AS jsonb) WHERE id = :job"
    connection.execute(text(query), {"job": job_id, "verdict": encode(verdict)})


def _record(connection: Connection, job_id: UUID, state: JobState, reason: str | None, by: str | None) -> None:
    data = {"state": state} | ({"reason": reason} if reason else {}) | ({"by": by} if by else {})
    connection.execute(insert(EventRow).values({"job_id": job_id, "kind": "state", "data": data}))


def get_owner(connection: Connection, job_id: UUID) -> str | None:
    """Name of the client that submitted a job; raises NotFound."""
    row = connection.execute(text("SELECT owner FROM jobs WHERE id = :job"), {"job": job_id}).first()
    if row is None:
        raise NotFound("job", str(job_id))
    owner: str | None = row.owner
    return owner


def get_state(connection: Connection, job_id: UUID) -> JobState:
    """A job's state; raises NotFound."""
    return get_request(connection, job_id)[0]


def get_request(connection: Connection, job_id: UUID) -> tuple[JobState, JobRequest]:
    """A job's state and request; raises NotFound."""
    row = connection.execute(text("SELECT state, request FROM jobs WHERE id = :job"), {"job": job_id}).first()
    if row is None:
        raise NotFound("job", str(job_id))
    return JobState(row.state), JobRequest.model_validate(row.request)
