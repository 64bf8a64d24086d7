"""Confirmation's networks between plan and end: claimed by runners a seed at a time, and as safe as trials.

An evaluation is an arm on one fresh seed: the baseline (0), a finalist, or a finalist's twin (its settings with the
baseline's activation). A runner owns one while the row
is `running` with the `attempt` it claimed; see `claims` for why.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, text
from uuid_utils.compat import uuid7

from actsearch.errors import NotFound
from actsearch.schemas import ConfirmationProgress, Evaluation, Failure, FailureReason, Page, TrialState
from actsearch.store.cursors import Keyset, Whole
from actsearch.store.encoding import encode
from actsearch.store.queue import RUN_TASK, active_runners, defer_runners
from actsearch.store.trials import finite


@dataclass(frozen=True)
class Claimed:
    """An evaluation that a runner has taken, with what its trial computes (Optuna names in `parameters`).

    Of a `twin` only the settings count; its activation is the baseline's.
    """

    evaluation_id: int
    attempt: int
    seed: int
    activations: Mapping[str, Any]
    parameters: Mapping[str, Any]
    twin: bool


@dataclass(frozen=True)
class PlannedArm:
    """The trial that an arm trains again (its public id), or with the baseline's activation (`twin`)."""

    trial: UUID
    twin: bool = False


@dataclass(frozen=True)
class Ending:
    """How a claimed evaluation ended; `state` is `complete` or `failed`."""

    claim: Claimed
    state: str
    metrics: Mapping[str, object] = field(default_factory=dict)
    reason: FailureReason | None = None
    detail: str | None = None


@dataclass(frozen=True)
class Result:
    """A finished evaluation."""

    arm: int
    replicate: int
    seed: int
    state: str
    reason: FailureReason | None
    metrics: Mapping[str, Any]


_PLAN = """
    INSERT INTO evaluations (uid, job_id, arm, trial_id, twin, replicate, seed, state)
    SELECT r.uid, :job, r.arm, t.id, r.twin, r.replicate, r.seed, 'waiting'
    FROM jsonb_to_recordset(CAST(:rows AS jsonb))
        AS r(uid uuid, arm int, trial uuid, twin bool, replicate int, seed int)
    JOIN trials t ON t.uid = r.trial
    ORDER BY r.replicate, r.arm
"""


def plan(connection: Connection, job_id: UUID, arms: Sequence[PlannedArm], seeds: Mapping[int, int]) -> None:
    """Add an evaluation for each arm on each seed, and the runners that the job lacks for them.

    Args:
        arms: the baseline first.
        seeds: by replicate.
    """
    rows = [
        {
            "uid": str(uuid7()),
            "arm": arm,
            "trial": str(one.trial),
            "twin": one.twin,
            "replicate": replicate,
            "seed": seed,
        }
        for replicate, seed in seeds.items()
        for arm, one in enumerate(arms)
    ]
    connection.execute(text(_PLAN), {"job": job_id, "rows": json.dumps(rows)})
    job = connection.execute(text("SELECT parallelism, priority FROM jobs WHERE id = :job"), {"job": job_id}).one()
    missing = min(job.parallelism, len(seeds)) - active_runners(connection, job_id)
    if missing > 0:
        defer_runners(connection, job_id, missing, job.priority)


_CLAIM = """
    UPDATE evaluations e SET state = 'running', runner = :runner, worker = :worker, started_at = now()
    FROM trials t
    WHERE t.id = e.trial_id AND e.state = 'waiting' AND e.job_id = :job AND e.replicate = (
        SELECT min(w.replicate) FROM evaluations w WHERE w.job_id = :job AND w.state = 'waiting')
    RETURNING e.id, e.attempt, e.seed, t.activations, t.params, e.twin, e.arm
"""


def claim(connection: Connection, job_id: UUID, runner: int, worker: str) -> list[Claimed]:
    """Take the next seed that waits, all its arms together, so that they train side by side.

    The job's row is locked meanwhile.

    Returns:
        The claims in order of arms; empty when no seed waits or the job does not confirm (any more).
    """
    state = connection.execute(text("SELECT state FROM jobs WHERE id = :job FOR UPDATE"), {"job": job_id}).scalar_one()
    if state != "confirming":
        return []
    rows = connection.execute(text(_CLAIM), {"job": job_id, "runner": runner, "worker": worker}).all()
    return [Claimed(*row[:6]) for row in sorted(rows, key=lambda row: row.arm)]


_OURS = """
    SELECT e.id FROM evaluations e
    JOIN jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(id bigint, attempt int) USING (id)
    WHERE e.attempt = r.attempt AND e.state = 'running'
"""


def still_ours(connection: Connection, claimed: Sequence[Claimed]) -> set[int]:
    """Ids of the evaluations that have not gone to another runner."""
    return set(connection.execute(text(_OURS), {"rows": json.dumps([_key(one) for one in claimed])}).scalars())


_FINISH = """
    UPDATE evaluations e SET state = r.state, metrics = r.metrics,
        failure_reason = r.reason, failure_detail = r.detail, finished_at = now()
    FROM jsonb_to_recordset(CAST(:rows AS jsonb))
        AS r(id bigint, attempt int, state text, metrics jsonb, reason text, detail text)
    WHERE e.id = r.id AND e.attempt = r.attempt AND e.state = 'running'
    RETURNING e.id
"""


def finish(connection: Connection, endings: Sequence[Ending]) -> set[int]:
    """End claimed evaluations, in one statement; returns the ids that were still the caller's."""
    rows = [
        _key(e.claim)
        | {"state": e.state, "metrics": e.metrics}
        | {"reason": e.reason and str(e.reason), "detail": e.detail and e.detail[:2000]}
        for e in endings
    ]
    return set(connection.execute(text(_FINISH), {"rows": encode(rows)}).scalars())


def _key(claimed: Claimed) -> dict[str, int]:
    return {"id": claimed.evaluation_id, "attempt": claimed.attempt}


# --- repair ---------------------------------------------------------------------------------------

_KEPT = """
    SELECT EXISTS (SELECT 1 FROM evaluations
                   JOIN jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(id bigint, attempt int) USING (id, attempt))
"""


def all_lost(connection: Connection, claimed: Sequence[Claimed]) -> bool:
    """`claims.all_lost` for claimed evaluations."""
    rows = json.dumps([_key(one) for one in claimed])
    return not connection.execute(text(_KEPT), {"rows": rows}).scalar_one()


_RELEASE = """
    UPDATE evaluations e SET state = 'waiting', started_at = NULL, runner = NULL
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(id bigint, attempt int)
    WHERE e.id = r.id AND e.attempt = r.attempt AND e.state = 'running'
"""


def release(connection: Connection, claimed: Sequence[Claimed]) -> None:
    """`claims.release` for claimed evaluations."""
    connection.execute(text(_RELEASE), {"rows": json.dumps([_key(one) for one in claimed])})


_GIVE_BACK = """
    UPDATE evaluations SET
        state = CASE WHEN attempt + :tries > :attempts THEN 'failed' ELSE 'waiting' END,
        failure_reason = CASE WHEN attempt + :tries > :attempts THEN 'lost' END,
        failure_detail = CASE WHEN attempt + :tries > :attempts
            THEN 'its runner died ' || attempt || ' times while training it' END,
        finished_at = CASE WHEN attempt + :tries > :attempts THEN now() END,
        attempt = CASE WHEN attempt + :tries > :attempts THEN attempt ELSE attempt + :tries END,
        started_at = CASE WHEN attempt + :tries > :attempts THEN started_at END,
        runner = NULL
    WHERE state = 'running'
"""


_HELD = " AND runner = :runner AND coalesce(worker = :worker, true)"


def give_back(
    connection: Connection, runner: int, attempts: int, worker: str | None = None, *, blamed: bool = True
) -> int:
    """`claims.give_back` for a runner's evaluations."""
    values = {"runner": runner, "attempts": attempts, "worker": worker, "tries": int(blamed)}
    return connection.execute(text(_GIVE_BACK + _HELD), values).rowcount


_ORPHANED = f"""
    AND NOT EXISTS (SELECT 1 FROM procrastinate_jobs q
                    WHERE q.id = runner AND q.task_name = '{RUN_TASK}' AND q.status = 'doing')
"""  # noqa: S608 - a constant of ours


def give_back_orphans(connection: Connection, attempts: int) -> int:
    """`give_back` for all evaluations whose runner is no longer at work; returns how many."""
    return connection.execute(text(_GIVE_BACK + _ORPHANED), {"attempts": attempts, "tries": 1}).rowcount


_FAIL_CANCELLED = """
    UPDATE evaluations e SET state = 'failed', failure_reason = 'cancelled',
        failure_detail = CASE j.state WHEN 'failed' THEN 'the job failed' ELSE 'the job was cancelled' END,
        finished_at = now()
    FROM jobs j WHERE j.id = e.job_id AND j.state IN ('cancelled', 'failed') AND e.state = 'waiting'
"""


def fail_cancelled(connection: Connection) -> int:
    """Fail waiting evaluations of jobs that were cancelled or failed; returns how many."""
    return connection.execute(text(_FAIL_CANCELLED)).rowcount


# --- reading --------------------------------------------------------------------------------------


def arms(connection: Connection, job_id: UUID) -> list[PlannedArm]:
    """What a job's confirmation trains, in order of arms; empty before it."""
    query = """SELECT t.uid, e.twin FROM evaluations e JOIN trials t ON t.id = e.trial_id
        WHERE e.job_id = :job AND e.replicate = 0 ORDER BY e.arm"""
    return [PlannedArm(*row) for row in connection.execute(text(query), {"job": job_id})]


def results(connection: Connection, job_id: UUID) -> list[Result] | None:
    """All evaluations of a job in order of seed and arm, once every one has ended; None before."""
    query = """SELECT arm, replicate, seed, state, failure_reason, metrics
        FROM evaluations WHERE job_id = :job ORDER BY replicate, arm"""
    rows = connection.execute(text(query), {"job": job_id}).all()
    if any(row.state in ("waiting", "running") for row in rows):
        return None
    return [
        Result(row.arm, row.replicate, row.seed, row.state, _reason(row.failure_reason), row.metrics) for row in rows
    ]


_PROGRESS = """
    SELECT job_id, count(*) AS planned, count(*) FILTER (WHERE state IN ('complete', 'failed')) AS finished,
           count(*) FILTER (WHERE state = 'running') AS running
    FROM evaluations WHERE job_id = ANY(:jobs) GROUP BY job_id
"""


def progress(connection: Connection, job_ids: Sequence[UUID]) -> dict[UUID, ConfirmationProgress]:
    """How far the confirmations of jobs are, for those that have begun one."""
    rows = connection.execute(text(_PROGRESS), {"jobs": list(job_ids)})
    return {
        row.job_id: ConfirmationProgress(planned=row.planned, finished=row.finished, running=row.running)
        for row in rows
    }


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
    reason = _reason(row.failure_reason)
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


def _reason(name: str | None) -> FailureReason | None:
    return None if name is None else FailureReason(name)
