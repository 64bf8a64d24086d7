"""Runs in the store: the budget is exact whoever asks, claims are fenced, and a crash is counted where it belongs."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, insert, text

from actsearch.schemas import FailureReason, StopRule
from actsearch.store import points, runs
from actsearch.store.attendance import attendance
from actsearch.store.models import JobRow, StudyRow
from actsearch.store.runs import Holder
from actsearch.study.ledger import Claim, Finish, PlannedArm, Report, Superseded

MakeJob = Callable[..., UUID]
HandOut = Callable[..., Holder]


@pytest.fixture
def make_job(engine: Engine) -> MakeJob:
    """Create a running job with a budget of trials."""

    def make(budget: int, state: str = "running", parallelism: int = 4) -> UUID:
        with engine.begin() as connection:
            name = f"study {connection.execute(text('SELECT count(*) FROM studies')).scalar_one()}"
            study = connection.execute(
                insert(StudyRow).values(name=name, directions=["maximize"]).returning(StudyRow.id)
            ).scalar_one()
            row = {
                "study_id": study,
                "state": state,
                "architecture": "mlp",
                "task": "digits",
                "metric": "accuracy",
                "direction": "maximize",
                "parallelism": parallelism,
                "budget_trials": budget,
                "request": {},
            }
            return connection.execute(insert(JobRow).values(row).returning(JobRow.id)).scalar_one()

    return make


@pytest.fixture
def hand_out(engine: Engine) -> HandOut:
    """Enter a runner task in the queue; whose it is, if a worker has it."""

    def make(job: UUID, status: str = "doing") -> Holder:
        query = (
            "INSERT INTO procrastinate_jobs (queue_name, task_name, status, args)"
            " VALUES ('runners', 'run_job', CAST(:status AS procrastinate_job_status), CAST(:args AS jsonb))"
            " RETURNING id"
        )
        with engine.begin() as connection:
            values = {"args": json.dumps({"job_id": str(job)}), "status": status}
            runner = connection.execute(text(query), values).scalar_one()
        return Holder(job, runner, 0, f"worker-{runner}")

    return make


def _take(engine: Engine, holder: Holder, k: int) -> list[Claim]:
    with engine.begin() as connection:
        return runs.claim_trials(connection, holder, k)


def _end(engine: Engine, holder: Holder) -> None:
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM procrastinate_jobs WHERE id = :id"), {"id": holder.runner})


def _rows(engine: Engine, table: str = "trials") -> list[Any]:
    with engine.connect() as connection:
        return list(connection.execute(text(f"SELECT * FROM {table} ORDER BY id")))


def _curve(engine: Engine, trial: int) -> points.Curve:
    with engine.connect() as connection:
        return points.curves(connection, [trial])[trial]


def _crash(engine: Engine, holder: Holder, claims: list[Claim], *, together: int, **how: Any) -> None:
    """Have a runner die while the first `together` of its claims train."""
    with engine.begin() as connection:
        if together:
            runs.start(connection, claims[:together])
        runs.give_back(connection, holder.runner, 3, **how)


# --- budgets --------------------------------------------------------------------------------------


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(budget=st.integers(1, 40), sizes=st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_concurrent_claims_add_up_to_the_budget(
    engine: Engine, make_job: MakeJob, hand_out: HandOut, budget: int, sizes: list[int]
) -> None:
    job = make_job(budget)
    holders = [hand_out(job) for _ in sizes]

    def exhaust(holder: Holder, size: int) -> list[int]:
        taken: list[int] = []
        while part := _take(engine, holder, size):
            taken += [claim.number for claim in part]
        return taken

    with ThreadPoolExecutor(len(sizes)) as threads:
        numbers = [n for part in threads.map(exhaust, holders, sizes) for n in part]

    assert sorted(numbers) == list(range(budget))


def test_what_is_left_is_shared_among_the_runners_at_work(engine: Engine, make_job: MakeJob, hand_out: HandOut) -> None:
    job = make_job(10)
    first, second = hand_out(job), hand_out(job)
    hand_out(job, "todo")  # at no work
    assert [len(_take(engine, one, 64)) for one in (first, second)] == [5, 5]


def test_a_runner_leaves_no_crumbs_while_others_train(engine: Engine, make_job: MakeJob, hand_out: HandOut) -> None:
    job = make_job(20)
    first, second = hand_out(job), hand_out(job)
    assert [len(_take(engine, one, 8)) for one in (first, second)] == [8, 8]
    assert len(_take(engine, second, 8)) == 4  # the other has its hands full: nothing is kept back for it


def test_nothing_is_claimed_of_a_job_that_does_not_run(engine: Engine, make_job: MakeJob, hand_out: HandOut) -> None:
    for state in ("queued", "paused", "confirming", "cancelled"):
        assert _take(engine, hand_out(make_job(3, state=state)), 3) == []


def test_the_first_reason_to_stop_stays(engine: Engine, make_job: MakeJob, hand_out: HandOut) -> None:
    job = make_job(9)
    _take(engine, hand_out(job), 2)
    with engine.begin() as connection:
        assert runs.stop(connection, job, StopRule.regret_bound)
        assert not runs.stop(connection, job, StopRule.target)
        row = connection.execute(text("SELECT stopped_by, budget_trials FROM jobs")).one()
    assert (row.stopped_by, row.budget_trials) == ("regret_bound", 2)


# --- fences ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", ["attempts = attempts + 1", "status = 'todo'", "status = 'succeeded'"])
@pytest.mark.parametrize("claim", [runs.claim_trials, lambda c, holder, _: runs.claim_seed(c, holder)])
def test_a_task_that_is_no_longer_its_runners_claims_nothing(
    engine: Engine, make_job: MakeJob, hand_out: HandOut, claim: Any, change: str
) -> None:
    job = make_job(3)
    holder, other = hand_out(job), hand_out(job)
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE procrastinate_jobs SET {change} WHERE id = {holder.runner}"))
    with pytest.raises(Superseded), engine.begin() as connection:
        claim(connection, holder, 3)
    assert _rows(engine) == []
    assert _take(engine, other, 3)


def test_a_task_is_taken_over_before_a_claim_or_after_its_end_but_not_within(
    engine: Engine, make_job: MakeJob, hand_out: HandOut
) -> None:
    holder = hand_out(make_job(3))
    taken_over = threading.Event()

    def take_over() -> None:
        with engine.begin() as connection:
            connection.execute(text("UPDATE procrastinate_jobs SET status = 'todo', attempts = attempts + 1"))
        taken_over.set()

    thread = threading.Thread(target=take_over)
    with engine.begin() as connection:
        runs.claim_trials(connection, holder, 2)
        thread.start()
        assert not taken_over.wait(0.3)
    thread.join()
    with engine.begin() as connection:
        assert runs.give_back(connection, holder.runner, 3) == 2  # so whoever takes over finds all of it
    with pytest.raises(Superseded):
        _take(engine, holder, 1)


def test_a_runner_given_up_for_dead_cannot_write(engine: Engine, make_job: MakeJob, hand_out: HandOut) -> None:
    job = make_job(1)
    holder = hand_out(job)
    (old,) = _take(engine, holder, 1)
    _crash(engine, holder, [old], together=1)
    (new,) = _take(engine, hand_out(job), 1)
    with engine.begin() as connection:
        assert runs.report(connection, [Report(old, 1, {"validation_accuracy": 0.1})]) == set()
        assert runs.finish(connection, [Finish(old, "complete", [0.1])]) == set()
        runs.release(connection, [old])
        runs.start(connection, [new])
        assert runs.report(connection, [Report(new, 1, {"validation_accuracy": 0.9})]) == {new.id}
        assert runs.finish(connection, [Finish(new, "complete", [0.9])]) == {new.id}
    (row,) = _rows(engine)
    assert (row.state, row.value, row.attempt) == ("complete", 0.9, 2)
    assert _curve(engine, new.id) == {1: {"validation_accuracy": 0.9}}


# --- whose fault ----------------------------------------------------------------------------------


def test_only_crashes_while_it_trained_alone_use_up_a_trials_tries(
    engine: Engine, make_job: MakeJob, hand_out: HandOut
) -> None:
    job = make_job(2)
    for fault, together in [(0, 2), (0, 0), (0, 2), (1, 1), (2, 1)]:
        holder = hand_out(job)
        claims = _take(engine, holder, 2)
        assert len(claims) == 2
        _crash(engine, holder, claims, together=together)
        assert [row.faults for row in _rows(engine)] == [fault, 0]
        _end(engine, holder)
    holder = hand_out(job)
    _crash(engine, holder, _take(engine, holder, 2), together=1)
    first, second = _rows(engine)
    assert (first.state, first.failure_reason) == ("failed", FailureReason.lost)
    assert "3 times" in first.failure_detail
    assert (second.state, second.failure_reason, second.finished_at) == ("waiting", None, None)


def test_what_crashes_together_is_trained_as_before_and_then_in_halves(
    engine: Engine, make_job: MakeJob, hand_out: HandOut
) -> None:
    job, holder = make_job(9), None
    seen = []
    for together in (7, 7, 4, 2):
        holder = hand_out(job)
        claims = _take(engine, holder, 9)
        seen.append([claim.most_together for claim in claims])
        _crash(engine, holder, claims, together=together)
        _end(engine, holder)
    assert seen[:2] == [[None] * 9] * 2
    assert seen[2] == [4] * 7 + [None] * 2
    assert seen[3] == [2] * 4 + [4] * 3 + [None] * 2
    assert [row.most_together for row in _rows(engine)] == [1] * 2 + [2] * 2 + [4] * 3 + [None] * 2
    assert {row.state for row in _rows(engine)} == {"waiting"}


def test_what_the_infrastructure_did_is_nobodys_fault(engine: Engine, make_job: MakeJob, hand_out: HandOut) -> None:
    job = make_job(1)
    for _ in range(5):
        holder = hand_out(job)
        (claim,) = _take(engine, holder, 1)
        assert (claim.attempt, claim.most_together) == (1, None)
        _crash(engine, holder, [claim], together=1, blamed=False)
        _end(engine, holder)
    assert [(row.state, row.faults) for row in _rows(engine)] == [("waiting", 0)]


def test_draining_costs_nothing(engine: Engine, make_job: MakeJob, hand_out: HandOut) -> None:
    job = make_job(1)
    taken = _take(engine, hand_out(job), 1)
    with engine.begin() as connection:
        runs.start(connection, taken)
        runs.release(connection, taken)
    (row,) = _rows(engine)
    assert (row.state, row.attempt, row.faults, row.together, row.runner) == ("waiting", 1, 0, None, None)


@pytest.mark.parametrize(("named", "given_back"), [(None, 2), ("worker-1", 2), ("another", 0)])
def test_a_crash_gives_back_what_the_worker_itself_held(
    engine: Engine, make_job: MakeJob, hand_out: HandOut, named: str | None, given_back: int
) -> None:
    holder = hand_out(make_job(2))
    _take(engine, holder, 2)
    worker = holder.worker if named == "worker-1" else named
    with engine.begin() as connection:
        assert runs.give_back(connection, holder.runner, 3, worker) == given_back
        assert runs.give_back(connection, holder.runner + 1, 3) == 0


# --- repair, of trials and evaluations alike ------------------------------------------------------


@pytest.fixture
def confirming(engine: Engine, make_job: MakeJob, hand_out: HandOut) -> Callable[..., UUID]:
    """A confirming job with so many seeds of one arm."""

    def make(seeds: int, parallelism: int = 4) -> UUID:
        job = make_job(1, parallelism=parallelism)
        holder = hand_out(job)
        taken = _take(engine, holder, 1)
        with engine.begin() as connection:
            runs.finish(connection, [Finish(taken[0], "complete", [0.5])])
            connection.execute(text("UPDATE jobs SET state = 'confirming' WHERE id = :job"), {"job": job})
            query = "SELECT t.uid FROM trials t JOIN jobs j USING (study_id) WHERE j.id = :job"
            trial = connection.execute(text(query), {"job": job}).scalar_one()
            runs.plan(connection, job, [PlannedArm(trial)], {place: place + 1 for place in range(seeds)})
        _end(engine, holder)
        return job

    return make


def _take_seed(engine: Engine, holder: Holder) -> list[Claim]:
    with engine.begin() as connection:
        return runs.claim_seed(connection, holder)


@pytest.mark.parametrize("table", ["trials", "evaluations"])
@pytest.mark.parametrize("status", ["todo", "succeeded", None])
def test_orphans_are_given_back_and_the_living_left_alone(
    engine: Engine,
    make_job: MakeJob,
    confirming: Callable[..., UUID],
    hand_out: HandOut,
    table: str,
    status: str | None,
) -> None:
    job = make_job(5) if table == "trials" else confirming(3)
    alive, dead = hand_out(job), hand_out(job)
    take = _take_seed if table == "evaluations" else lambda e, holder: _take(e, holder, 1)
    kept = [one.id for one in take(engine, alive)]
    lost = [one.id for _ in range(2) for one in take(engine, dead)]  # more than the other has
    with engine.begin() as connection:
        change = (
            "DELETE FROM procrastinate_jobs" if status is None else f"UPDATE procrastinate_jobs SET status = '{status}'"
        )
        connection.execute(text(f"{change} WHERE id = {dead.runner}"))
        assert runs.give_back_orphans(connection, 3) == len(lost) == 2
    states = {row.id: (row.state, row.attempt, row.runner) for row in _rows(engine, table) if row.id in (*kept, *lost)}
    assert states == dict.fromkeys(kept, ("running", 1, alive.runner)) | dict.fromkeys(lost, ("waiting", 2, None))


@pytest.mark.parametrize("state", ["cancelled", "failed"])
def test_what_waits_in_a_job_that_ended_fails_and_nothing_else(
    engine: Engine, make_job: MakeJob, confirming: Callable[..., UUID], hand_out: HandOut, state: str
) -> None:
    ended, alive = confirming(2), make_job(2)
    holder = hand_out(ended)
    _take_seed(engine, holder)
    for job in (ended, alive):
        taken = _take(engine, hand_out(alive), 1) if job == alive else []
        if taken:
            with engine.begin() as connection:
                runs.release(connection, taken)
    with engine.begin() as connection:
        connection.execute(text("UPDATE jobs SET state = :state WHERE id = :job"), {"state": state, "job": ended})
        assert runs.fail_cancelled(connection) == 1
    assert [row.state for row in _rows(engine, "evaluations")] == ["running", "failed"]
    assert sorted(row.state for row in _rows(engine)) == ["complete", "waiting"]
    detail = _rows(engine, "evaluations")[1].failure_detail
    assert detail == ("the job failed" if state == "failed" else "the job was cancelled")


def _missing(engine: Engine) -> dict[UUID, int]:
    with engine.connect() as connection:
        found = attendance(connection)
    return {one.job_id: one.missing if one.missing > 0 else -one.surplus for one in found}


@pytest.mark.parametrize("tasks", [0, 1, 2, 3, 4])
def test_a_job_wants_as_many_runners_as_it_may_have(
    engine: Engine, make_job: MakeJob, hand_out: HandOut, tasks: int
) -> None:
    job, attended, ended = make_job(9, parallelism=3), make_job(1), make_job(5, state="completed")
    hand_out(attended)
    for place in range(tasks):
        hand_out(job, "doing" if place % 2 else "todo")
    hand_out(job, "succeeded")
    assert _missing(engine) == ({} if tasks == 3 else {job: 3 - tasks})
    assert ended not in _missing(engine)


def test_confirmation_puts_its_own_runners_on_the_queue(
    engine: Engine, confirming: Callable[..., UUID], hand_out: HandOut
) -> None:
    query = text("SELECT count(*) FROM procrastinate_jobs WHERE status = 'todo' AND args ->> 'job_id' = :job")
    for seeds, parallelism, put in [(5, 3, 2), (2, 4, 1), (1, 4, 0)]:  # beside the one that planned them
        job = confirming(seeds, parallelism)
        with engine.connect() as connection:
            assert connection.execute(query, {"job": str(job)}).scalar_one() == put
        assert _missing(engine)[job] == 1  # that one is gone


def test_a_job_whose_runs_have_all_ended_wants_one_runner_to_close_it(
    engine: Engine, make_job: MakeJob, confirming: Callable[..., UUID], hand_out: HandOut
) -> None:
    job, other = make_job(1), confirming(1)
    taken = _take(engine, hand_out(job), 1)
    evaluated = _take_seed(engine, hand_out(other))
    with engine.begin() as connection:
        runs.finish(connection, [Finish(taken[0], "complete", [0.5])])
        assert runs.finish(connection, [Finish(evaluated[0], "complete", [0.5])]) == {evaluated[0].id}
        assert runs.finish(connection, [Finish(evaluated[0], "complete", [0.9])]) == set()
        connection.execute(text("DELETE FROM procrastinate_jobs"))
    assert _rows(engine, "evaluations")[0].value == 0.5
    assert _missing(engine) == {job: 1, other: 1}


def test_values_that_json_cannot_say_survive(engine: Engine, make_job: MakeJob, hand_out: HandOut) -> None:
    (claim,) = _take(engine, hand_out(make_job(1)), 1)
    with engine.begin() as connection:
        runs.start(connection, [claim])
        runs.report(connection, [Report(claim, 1, {"train_loss": float("nan")})])
        values = [float("inf"), 1e300, -0.1]
        runs.finish(connection, [Finish(claim, "complete", values, {"worst": float("-inf")})])
    (row,) = _rows(engine)
    assert (row.value, row.values, row.metrics["worst"]) == (float("inf"), [float("inf"), 1e300, -0.1], float("-inf"))
    assert math.isnan(_curve(engine, claim.id)[1]["train_loss"])
