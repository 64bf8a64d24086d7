"""Trials between claim and finish: the statements of runners and of the reconciler.

A runner owns a trial while the row is `running` with the `attempt` it claimed. Every write checks that pair, so a
runner that was given up for dead cannot touch a trial that went to another one in the meantime.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, text
from uuid_utils.compat import uuid7

from actsearch.schemas import FailureReason
from actsearch.store import stopping
from actsearch.store.encoding import encode
from actsearch.store.queue import RUN_TASK


@dataclass(frozen=True)
class Claim:
    """A trial that a runner has taken: `activations` is set for the baseline, whose activation is given."""

    trial_id: int
    number: int
    attempt: int
    activations: Mapping[str, Any]


@dataclass(frozen=True)
class Proposal:
    """What a claimed trial is to compute."""

    claim: Claim
    family: str
    activations: Mapping[str, Any]
    is_baseline: bool = False


@dataclass(frozen=True)
class Report:
    """Metrics of a claimed trial after `epoch` epochs."""

    claim: Claim
    epoch: int
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Finish:
    """How a claimed trial ended; `state` is `complete`, `pruned` or `failed`.

    Args:
        value: the first objective.
        further_values: the other ones.
    """

    claim: Claim
    state: str
    value: float | None = None
    metrics: Mapping[str, object] = field(default_factory=dict)
    reason: FailureReason | None = None
    detail: str | None = None
    further_values: Sequence[float] = ()


_WAITING = """
    UPDATE trials SET state = 'running', runner = :runner, worker = :worker, started_at = now()
    WHERE id IN (SELECT id FROM trials WHERE study_id = :study AND state = 'waiting' ORDER BY number LIMIT :k)
    RETURNING id, number, attempt, activations
"""

_NUMBERS = "UPDATE studies SET next_number = next_number + :k WHERE id = :study RETURNING next_number - :k"

_NEW = """
    INSERT INTO trials (uid, study_id, number, state, runner, worker, started_at)
    SELECT uid, :study, :first + place - 1, 'running', :runner, :worker, now()
    FROM unnest(CAST(:uids AS uuid[])) WITH ORDINALITY AS fresh(uid, place)
    RETURNING id, number, attempt, activations
"""

_RUNNERS = f"""
    SELECT count(*) FROM procrastinate_jobs
    WHERE task_name = '{RUN_TASK}' AND status = 'doing' AND args ->> 'job_id' = :job
"""  # noqa: S608 - a constant of ours


_JOB = """
    SELECT study_id, budget_trials, state,
           jsonb_strip_nulls(coalesce(request -> 'budget', '{}')) - 'trials' - 'regret_bound' <> '{}' AS limited
    FROM jobs WHERE id = :job FOR UPDATE
"""


def claim(connection: Connection, job_id: UUID, runner: int, worker: str, limit: int) -> list[Claim]:
    """Take up to `limit` trial slots of a running job's budget, the ones given back by crashes first.

    Where another limit of the budget has been reached, only those given back are left.

    The job's row is locked meanwhile, so that all runners together never exceed the budget. What is not finished is
    shared evenly among the runners at work, so that none idles while another trains the rest.

    Returns:
        The claims in order of trial number; empty when nothing is left or the job does not run (any more).
    """
    job = connection.execute(text(_JOB), {"job": job_id}).one()
    if job.state != "running":
        return []
    if job.limited and (rule := stopping.fired(connection, job_id)) is not None:
        stopping.stop(connection, job_id, rule)
        job = connection.execute(text(_JOB), {"job": job_id}).one()
    counts = connection.execute(
        text(
            "SELECT s.next_number, count(t.id) FILTER (WHERE t.state = 'waiting'), count(t.id)"
            " FROM studies s LEFT JOIN trials t ON t.study_id = s.id AND t.state IN ('waiting', 'running')"
            " WHERE s.id = :study GROUP BY s.next_number"
        ),
        {"study": job.study_id},
    ).one()
    fresh, waiting, unfinished = max(0, job.budget_trials - counts[0]), counts[1], counts[2]
    at_work = max(1, connection.execute(text(_RUNNERS), {"job": str(job_id)}).scalar_one())
    k = min(limit, -(-(fresh + unfinished) // at_work))
    who = {"study": job.study_id, "runner": runner, "worker": worker}
    rows = list(connection.execute(text(_WAITING), who | {"k": k})) if waiting else []
    missing = min(k - len(rows), fresh)
    if missing > 0:
        first = connection.execute(text(_NUMBERS), {"k": missing, "study": job.study_id}).scalar_one()
        uids = [str(uuid7()) for _ in range(missing)]
        rows += connection.execute(text(_NEW), who | {"first": first, "uids": uids})
    return sorted((Claim(*row) for row in rows), key=lambda claimed: claimed.number)


_PROPOSE = """
    UPDATE trials t SET family = r.family, activations = r.activations,
        is_baseline = t.is_baseline OR r.is_baseline
    FROM jsonb_to_recordset(CAST(:rows AS jsonb))
        AS r(id bigint, attempt int, family text, activations jsonb, is_baseline bool)
    WHERE t.id = r.id AND t.attempt = r.attempt AND t.state = 'running'
"""


def propose(connection: Connection, proposals: Sequence[Proposal]) -> None:
    """Record what the claimed trials compute, in one statement."""
    rows = [
        _key(p.claim) | {"family": p.family, "activations": p.activations, "is_baseline": p.is_baseline}
        for p in proposals
    ]
    connection.execute(text(_PROPOSE), {"rows": json.dumps(rows)})


# Not flushed to disk at once: a crash of PostgreSQL may cost a running trial's last moments, never a finished trial.
_REPORT = """
    UPDATE trials t SET curve = t.curve || r.point
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(id bigint, attempt int, point jsonb)
    WHERE t.id = r.id AND t.attempt = r.attempt AND t.state = 'running'
        AND set_config('synchronous_commit', 'off', true) = 'off'
    RETURNING t.id
"""


def report(connection: Connection, reports: Sequence[Report]) -> set[int]:
    """Add a point to the learning curves of claimed trials, in one statement and a transaction of its own.

    Returns:
        Ids of the trials that are still the caller's; the others went to another runner.
    """
    rows = [_key(r.claim) | {"point": {str(r.epoch): r.metrics}} for r in reports]
    return set(connection.execute(text(_REPORT), {"rows": encode(rows)}).scalars())


_FINISH = """
    UPDATE trials t SET
        state = r.state, value = CAST(r.value AS float8), metrics = r.metrics,
        values = CASE WHEN r.value IS NULL THEN NULL ELSE ARRAY[CAST(r.value AS float8)] || r.further END,
        failure_reason = r.reason, failure_detail = r.detail, finished_at = now()
    FROM jsonb_to_recordset(CAST(:rows AS jsonb))
        AS r(id bigint, attempt int, state text, value text, metrics jsonb, reason text, detail text,
             further float8[])
    WHERE t.id = r.id AND t.attempt = r.attempt AND t.state = 'running'
    RETURNING t.id
"""


def finish(connection: Connection, finishes: Sequence[Finish]) -> set[int]:
    """End claimed trials, in one statement; returns the ids that were still the caller's."""
    rows = [
        _key(f.claim)
        | {"state": f.state, "value": None if f.value is None else repr(float(f.value)), "metrics": f.metrics}
        | {"reason": f.reason and str(f.reason), "detail": f.detail and f.detail[:2000]}
        | {"further": [float(value) for value in f.further_values]}
        for f in finishes
    ]
    return set(connection.execute(text(_FINISH), {"rows": encode(rows)}).scalars())


def attempts(claimed: Iterable[Claim]) -> dict[int, int]:
    """Claims as `OptunaStorage.batch` wants them: attempt by id of trial."""
    return {one.trial_id: one.attempt for one in claimed}


def _key(claimed: Claim) -> dict[str, Any]:
    return {"id": claimed.trial_id, "attempt": claimed.attempt}


# What pruners remember of the interrupted attempt must go; what was proposed stays.
_UNREPORTED = """intermediate = '{}', curve = '{}',
        system_attrs = (SELECT coalesce(jsonb_object_agg(key, value), '{}') FROM jsonb_each(system_attrs)
                        WHERE key NOT LIKE 'completed_rung_%')"""

_RESTART = f"""
    UPDATE trials t SET {_UNREPORTED}
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(id bigint, attempt int)
    WHERE t.id = r.id AND t.attempt = r.attempt AND t.state = 'running'
"""  # noqa: S608 - a constant of ours


def restart(connection: Connection, claimed: Sequence[Claim]) -> None:
    """Forget what claimed trials have reported: they are trained from the start once more."""
    connection.execute(text(_RESTART), {"rows": json.dumps([_key(one) for one in claimed])})


_KEPT = """
    SELECT EXISTS (SELECT 1 FROM trials
                   JOIN jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(id bigint, attempt int) USING (id, attempt))
"""


def all_lost(connection: Connection, claimed: Sequence[Claim]) -> bool:
    """Whether every one of some claims was given back by somebody else: their runner was given up for dead."""
    rows = json.dumps([_key(one) for one in claimed])
    return not connection.execute(text(_KEPT), {"rows": rows}).scalar_one()


_RELEASE = f"""
    UPDATE trials t SET state = 'waiting', started_at = NULL, runner = NULL, {_UNREPORTED}
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(id bigint, attempt int)
    WHERE t.id = r.id AND t.attempt = r.attempt AND t.state = 'running'
"""  # noqa: S608 - a constant of ours


def release(connection: Connection, claimed: Sequence[Claim]) -> None:
    """Return claimed trials to the budget as `give_back` does, by the runner itself: that costs no try."""
    connection.execute(text(_RELEASE), {"rows": json.dumps([_key(one) for one in claimed])})


_GIVE_BACK = f"""
    UPDATE trials SET
        state = CASE WHEN attempt + :tries > :attempts THEN 'failed' ELSE 'waiting' END,
        failure_reason = CASE WHEN attempt + :tries > :attempts THEN 'lost' END,
        failure_detail = CASE WHEN attempt + :tries > :attempts
            THEN 'its runner died ' || attempt || ' times while training it' END,
        finished_at = CASE WHEN attempt + :tries > :attempts THEN now() END,
        attempt = CASE WHEN attempt + :tries > :attempts THEN attempt ELSE attempt + :tries END,
        started_at = CASE WHEN attempt + :tries > :attempts THEN started_at END,
        runner = NULL, {_UNREPORTED}
    WHERE state = 'running'
"""  # noqa: S608 - a constant of ours


_HELD = " AND runner = :runner AND coalesce(worker = :worker, true)"


def give_back(
    connection: Connection, runner: int, attempts: int, worker: str | None = None, *, blamed: bool = True
) -> int:
    """Return a crashed runner's trials to the budget with the same parameters, to be trained again from the start.

    Args:
        attempts: tries a trial has; one whose tries are used up fails with reason `lost`.
        worker: only what the runner held there; another one has the same task after taking it over.
        blamed: whether that costs a try; it does not where the infrastructure failed.

    Returns:
        How many trials were given back.
    """
    values = {"runner": runner, "attempts": attempts, "worker": worker, "tries": int(blamed)}
    return connection.execute(text(_GIVE_BACK + _HELD), values).rowcount


_ORPHANED = f"""
    AND runner IS NOT NULL
    AND study_id IN (SELECT study_id FROM jobs)
    AND NOT EXISTS (SELECT 1 FROM procrastinate_jobs q
                    WHERE q.id = runner AND q.task_name = '{RUN_TASK}' AND q.status = 'doing')
"""  # noqa: S608 - a constant of ours


def give_back_orphans(connection: Connection, attempts: int) -> int:
    """`give_back` for all trials whose runner is no longer at work; returns how many."""
    return connection.execute(text(_GIVE_BACK + _ORPHANED), {"attempts": attempts, "tries": 1}).rowcount


_FAIL_CANCELLED = """
    UPDATE trials t SET state = 'failed', failure_reason = 'cancelled',
        failure_detail = CASE j.state WHEN 'failed' THEN 'the job failed' ELSE 'the job was cancelled' END,
        finished_at = now()
    FROM jobs j
    WHERE j.study_id = t.study_id AND j.state IN ('cancelled', 'failed') AND t.state = 'waiting'
"""


def fail_cancelled(connection: Connection) -> int:
    """Fail waiting trials of jobs that were cancelled or failed, which no runner will ever take; returns how many."""
    return connection.execute(text(_FAIL_CANCELLED)).rowcount


_OPEN = """
    SELECT (SELECT count(*) FROM trials t WHERE t.study_id = j.study_id AND t.state IN ('running', 'waiting')) AS open,
           (SELECT count(*) FROM trials t WHERE t.study_id = j.study_id AND t.state = 'complete') AS complete,
           j.budget_trials - s.next_number AS unclaimed, j.state
    FROM jobs j JOIN studies s ON s.id = j.study_id WHERE j.id = :job
"""


@dataclass(frozen=True)
class Remaining:
    """What is left of a job's budget: `open` trials are running or waiting, `unclaimed` were never begun."""

    open: int
    complete: int
    unclaimed: int
    state: str


def remaining(connection: Connection, job_id: UUID) -> Remaining:
    """What is left of a job's budget."""
    return Remaining(*connection.execute(text(_OPEN), {"job": job_id}).one())
