"""Runs (trials and evaluations) between claim and end: what runners and the reconciler do, on a connection.

The statements are in `ledger.sql`; who may write what: docs/decisions/0090-claims-are-fenced.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row
from uuid_utils.compat import uuid7

from actsearch.schemas import ActivationSpec, Budget, Direction, JobState, StopRule
from actsearch.store import points, queue
from actsearch.store.attendance import attendance
from actsearch.store.encoding import encode
from actsearch.store.statements import RUNS, Runs, statement
from actsearch.study.ledger import Claim, Finish, PlannedArm, Proposal, Remaining, Report, Superseded
from actsearch.study.stopping import Tally, limited, reached


@dataclass(frozen=True)
class Holder:
    """Who claims.

    Args:
        runner: the queue's id of the runner task.
        lease: how often the task had been handed out before (the queue's `attempts`): with the id, whose it is.
        worker: the worker's name, recorded with each run.
    """

    job_id: UUID
    runner: int
    lease: int
    worker: str


def fence(connection: Connection, holder: Holder) -> None:
    """Keep the holder's task the holder's until the transaction ends; the job's row must be locked before.

    Raises:
        Superseded: it is not, any more.
    """
    if connection.execute(statement("fence"), {"runner": holder.runner, "lease": holder.lease}).first() is None:
        raise Superseded(f"runner task {holder.runner} was taken over, or has ended")


# --- the search -----------------------------------------------------------------------------------


def claim_trials(connection: Connection, holder: Holder, most: int) -> list[Claim]:
    """Take trials of a running job's budget: see `Ledger.claim`.

    Where another limit of the budget has been reached, only those given back are left. What is not finished is shared
    evenly among the runners at work, so that none idles while another trains the rest.

    Raises:
        Superseded: the task is not the holder's any more.
    """
    job = connection.execute(statement("job"), {"job": holder.job_id}).one()
    fence(connection, holder)
    if job.state != JobState.running:
        return []
    rule = _reached(connection, holder.job_id, Budget.model_validate(job.budget), Direction(job.direction))
    budget = job.budget_trials if rule is None else 0
    if rule is not None:
        stop(connection, holder.job_id, rule)
    left = connection.execute(statement("left_to_claim"), {"study": job.study_id}).one()
    who = {"study": job.study_id, "runner": holder.runner, "worker": holder.worker}
    if left.given_back is not None:
        rows = connection.execute(statement("claim_given_back"), who | {"cohort": left.given_back}).all()
    else:
        fresh = max(0, budget - left.next_number)
        size = min(most, -(-(fresh + left.unfinished) // _at_work(connection, holder.job_id)))
        rows = _claim_next(connection, who, left, fresh=fresh, size=size)
    return sorted(map(_trial, rows), key=lambda claimed: claimed.number)


def _at_work(connection: Connection, job_id: UUID) -> int:
    return max(1, int(connection.execute(statement("at_work"), {"job": str(job_id)}).scalar_one()))


def _claim_next(
    connection: Connection, who: Mapping[str, Any], left: Row[Any], *, fresh: int, size: int
) -> list[Row[Any]]:
    """Trials that were never claimed, as one cohort."""
    cohort = {"cohort": left.next_number if left.first_waiting is None else left.first_waiting}
    planned = {"most": size if left.waiting else 0}
    rows = list(connection.execute(statement("claim_planned"), {**who, **cohort, **planned})) if left.waiting else []
    missing = min(size - len(rows), fresh)
    if missing > 0:
        first = connection.execute(statement("next_numbers"), {"count": missing, "study": who["study"]}).scalar_one()
        uids = [str(uuid7()) for _ in range(missing)]
        rows += connection.execute(statement("claim_new"), {**who, **cohort, "first": first, "uids": uids})
    return rows


def _trial(row: Row[Any]) -> Claim:
    activations = {group: ActivationSpec.model_validate(spec) for group, spec in row.activations.items()}
    return Claim(row.id, row.attempt, row.number, row.cohort, activations, row.params, row.most_together, row.released)


def propose(connection: Connection, proposals: Sequence[Proposal]) -> None:
    """Record what claimed trials compute."""
    rows = [
        _key(p.claim)
        | {"family": p.family, "is_baseline": p.is_baseline}
        | {"activations": {group: spec.model_dump(mode="json") for group, spec in p.activations.items()}}
        for p in proposals
    ]
    connection.execute(statement("propose"), {"rows": json.dumps(rows)})


def stop(connection: Connection, job_id: UUID, rule: StopRule) -> bool:
    """End a running search: no trial is begun any more. Returns whether there was any left to begin."""
    return bool(connection.execute(statement("stop"), {"job": job_id, "rule": rule}).rowcount)


def _reached(connection: Connection, job_id: UUID, budget: Budget, direction: Direction) -> StopRule | None:
    if not limited(budget):
        return None
    row = connection.execute(statement("tally"), {"job": job_id}).one()
    tally = Tally(row.seconds or 0.0, row.device_seconds or 0.0, row.best, row.since_best or 0)
    return reached(budget, direction, tally)


def remaining(connection: Connection, job_id: UUID) -> Remaining:
    """What is left of a job's budget."""
    row = connection.execute(statement("remaining"), {"job": job_id}).one()
    return Remaining(row.open, row.complete, row.unclaimed, row.asked, JobState(row.state))


# --- the confirmation -----------------------------------------------------------------------------


def plan(connection: Connection, job_id: UUID, arms: Sequence[PlannedArm], seeds: Mapping[int, int]) -> None:
    """Add an evaluation for each arm on each seed, by replicate, and the runners that the job lacks for them."""
    rows = [
        {"uid": str(uuid7()), "arm": arm, "trial": str(one.trial), "twin": one.twin}
        | {"replicate": replicate, "seed": seed}
        for replicate, seed in seeds.items()
        for arm, one in enumerate(arms)
    ]
    connection.execute(statement("plan"), {"job": job_id, "rows": json.dumps(rows)})
    for one in attendance(connection, job_id):
        if one.missing > 0:
            queue.defer_runners(connection, job_id, one.missing, one.priority)


def claim_seed(connection: Connection, holder: Holder) -> list[Claim]:
    """Take the next seed of a confirming job that waits: see `Ledger.claim_seed`.

    Raises:
        Superseded: the task is not the holder's any more.
    """
    state = connection.execute(statement("job"), {"job": holder.job_id}).one().state
    fence(connection, holder)
    if state != JobState.confirming:
        return []
    values = {"job": holder.job_id, "runner": holder.runner, "worker": holder.worker}
    claims = map(_evaluation, connection.execute(statement("claim_seed"), values))
    return sorted(claims, key=lambda claimed: claimed.number)


def _evaluation(row: Row[Any]) -> Claim:
    activations = {group: ActivationSpec.model_validate(spec) for group, spec in row.activations.items()}
    life = (row.most_together, row.released)
    return Claim(row.id, row.attempt, row.arm, row.replicate, activations, row.params, *life, row.seed, row.twin)


# --- runs that are somebody's ---------------------------------------------------------------------


def start(connection: Connection, claims: Sequence[Claim]) -> None:
    """These are trained together now, from the first epoch."""
    points.start(connection, _table(claims), claims, len(claims))
    if claims[0].is_trial:
        connection.execute(statement("forget"), {"rows": json.dumps([_key(one) for one in claims])})


def report(connection: Connection, reports: Sequence[Report]) -> frozenset[int]:
    """Add a point to learning curves, in a transaction of its own; ids of the runs that are still the caller's."""
    return points.append(connection, _table([r.claim for r in reports]), reports)


def finish(connection: Connection, finishes: Sequence[Finish]) -> set[int]:
    """End claimed runs, in one statement; returns the ids that were still the caller's."""
    rows = [
        _key(f.claim)
        | {"state": f.state, "values": [float(value) for value in f.values], "metrics": f.metrics}
        | {"reason": f.reason and str(f.reason), "detail": f.detail and f.detail[:2000]}
        for f in finishes
    ]
    query = statement("finish", _table([f.claim for f in finishes]))
    return set(connection.execute(query, {"rows": encode(rows)}).scalars())


def release(connection: Connection, claims: Sequence[Claim]) -> None:
    """Give claimed runs back, by their runner itself: that costs no try, and what was proposed stays."""
    connection.execute(statement("release", _table(claims)), {"rows": json.dumps([_key(one) for one in claims])})


def attempts(claims: Iterable[Claim]) -> dict[int, int]:
    """Claims as `OptunaStorage.batch` wants them: attempt by id of trial."""
    return {one.id: one.attempt for one in claims}


def _table(claims: Sequence[Claim]) -> Runs:
    return "trials" if claims[0].is_trial else "evaluations"


def _key(claimed: Claim) -> dict[str, Any]:
    return {"id": claimed.id, "attempt": claimed.attempt}


# --- repair ---------------------------------------------------------------------------------------


def give_back(
    connection: Connection, runner: int, tries: int, worker: str | None = None, *, blamed: bool = True
) -> int:
    """Give back what a runner held that crashed; it is trained again from the start as it was proposed.

    A crash counts against a run only if that trained alone; of what trained together, a second crash halves the cohort.

    Args:
        tries: crashes that a run may have alone; with the last it fails as `lost`.
        worker: only what the runner held there; another one has the same task after taking it over.
        blamed: whether the runs may have been the cause; not where the database was lost, say.

    Returns:
        How many runs were given back.
    """
    found = {"runner": runner, "worker": worker}
    return sum(_given_back(connection, "held", found, runs, tries=tries, blamed=blamed) for runs in RUNS)


def give_back_orphans(connection: Connection, tries: int) -> int:
    """`give_back` for all runs whose runner is no longer at work; returns how many."""
    return sum(_given_back(connection, "orphans", {}, runs, tries=tries, blamed=True) for runs in RUNS)


def _given_back(
    connection: Connection, which: str, values: Mapping[str, Any], runs: Runs, *, tries: int, blamed: bool
) -> int:
    ids = list(connection.execute(statement(which, runs), values).scalars())
    if ids:
        connection.execute(statement("give_back", runs), {"ids": ids, "tries": tries, "blamed": blamed})
    return len(ids)


def fail_cancelled(connection: Connection) -> int:
    """Fail what waits in jobs that were cancelled or failed, which no runner will ever take; returns how much."""
    return sum(connection.execute(statement("fail_cancelled", runs)).rowcount for runs in RUNS)
