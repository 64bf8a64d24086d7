"""Claims: the budget is exact whoever asks, and a runner given up for dead can no longer write."""

from __future__ import annotations

import json
import math
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, insert, text

from actsearch.schemas import FailureReason
from actsearch.store import claims
from actsearch.store.models import JobRow, StudyRow, TrialRow


@pytest.fixture
def make_job(engine: Engine):
    """Create a running job with a budget of trials."""

    def make(budget: int, state: str = "running") -> UUID:
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
                "parallelism": 4,
                "budget_trials": budget,
                "request": {},
            }
            return connection.execute(insert(JobRow).values(row).returning(JobRow.id)).scalar_one()

    return make


@pytest.fixture
def runner(engine: Engine):
    """Enter a runner task in the queue as being at work; returns its id."""

    def make(job: UUID) -> int:
        with engine.begin() as connection:
            return connection.execute(
                text(
                    "INSERT INTO procrastinate_jobs (queue_name, task_name, status, args)"
                    " VALUES ('runners', 'run_job', 'doing', CAST(:args AS jsonb)) RETURNING id"
                ),
                {"args": json.dumps({"job_id": str(job)})},
            ).scalar_one()

    return make


def _take(engine: Engine, job: UUID, runner: int, k: int) -> list[claims.Claim]:
    with engine.begin() as connection:
        return claims.claim(connection, job, runner, f"worker-{runner}", k)


def _rows(engine: Engine) -> list[TrialRow]:
    with engine.connect() as connection:
        return list(connection.execute(text("SELECT * FROM trials ORDER BY number")))


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(budget=st.integers(1, 40), sizes=st.lists(st.integers(1, 9), min_size=1, max_size=5))
def test_concurrent_claims_add_up_to_the_budget(engine: Engine, make_job, budget: int, sizes: list[int]) -> None:
    job = make_job(budget)

    def exhaust(runner: int, size: int) -> list[int]:
        taken: list[int] = []
        while part := _take(engine, job, runner, size):
            taken += [claim.number for claim in part]
        return taken

    with ThreadPoolExecutor(len(sizes)) as threads:
        numbers = [n for part in threads.map(exhaust, range(len(sizes)), sizes) for n in part]

    assert sorted(numbers) == list(range(budget))


def test_what_is_left_is_shared_among_the_runners_at_work(engine: Engine, make_job, runner) -> None:
    job = make_job(10)
    first, second = runner(job), runner(job)
    assert [len(_take(engine, job, one, 64)) for one in (first, second)] == [5, 5]


def test_a_runner_leaves_no_crumbs_while_others_train(engine: Engine, make_job, runner) -> None:
    job = make_job(20)
    first, second = runner(job), runner(job)
    assert [len(_take(engine, job, one, 8)) for one in (first, second)] == [8, 8]
    assert len(_take(engine, job, second, 8)) == 4  # the other has its hands full: nothing is kept back for it


def test_nothing_is_claimed_of_a_job_that_does_not_run(engine: Engine, make_job) -> None:
    assert _take(engine, make_job(3, state="cancelled"), 1, 3) == []


def test_given_back_trials_come_first_with_the_same_proposal(engine: Engine, make_job) -> None:
    job = make_job(4)
    taken = _take(engine, job, 1, 2)
    with engine.begin() as connection:
        proposal = {"network": {"family": "elu", "parameters": {"alpha": 0.5}}}
        claims.propose(connection, [claims.Proposal(claim, "elu", proposal) for claim in taken])
        assert claims.give_back(connection, 1, attempts=3) == 2

    again = _take(engine, job, 2, 3)

    assert [(claim.number, claim.attempt) for claim in again] == [(0, 2), (1, 2), (2, 1)]
    assert again[0].activations == proposal


def test_a_runner_given_up_for_dead_cannot_write(engine: Engine, make_job) -> None:
    job = make_job(1)
    (old,) = _take(engine, job, 1, 1)
    with engine.begin() as connection:
        claims.give_back(connection, 1, attempts=3)
    (new,) = _take(engine, job, 2, 1)
    with engine.begin() as connection:
        assert claims.report(connection, [claims.Report(old, 1, {"validation_accuracy": 0.1})]) == set()
        assert claims.finish(connection, [claims.Finish(old, "complete", 0.1)]) == set()
        assert claims.report(connection, [claims.Report(new, 1, {"validation_accuracy": 0.9})]) == {new.trial_id}
        assert claims.finish(connection, [claims.Finish(new, "complete", 0.9)]) == {new.trial_id}
        # and the one that owns it writes only once
        assert claims.finish(connection, [claims.Finish(new, "complete", 0.2)]) == set()
    (row,) = _rows(engine)
    assert (row.state, row.value, row.attempt) == ("complete", 0.9, 2)
    assert row.curve == {"1": {"validation_accuracy": 0.9}}


def test_a_trial_whose_tries_are_used_up_fails_as_lost(engine: Engine, make_job) -> None:
    job = make_job(1)
    for attempt in (1, 2, 3):
        (claim,) = _take(engine, job, attempt, 1)
        assert claim.attempt == attempt
        with engine.begin() as connection:
            claims.give_back(connection, attempt, attempts=3)
    (row,) = _rows(engine)
    assert (row.state, row.failure_reason, row.attempt) == ("failed", FailureReason.lost, 3)
    assert _take(engine, job, 9, 1) == []


def test_draining_costs_no_try(engine: Engine, make_job) -> None:
    job = make_job(1)
    taken = _take(engine, job, 1, 1)
    with engine.begin() as connection:
        claims.release(connection, taken)
    (claim,) = _take(engine, job, 2, 1)
    assert claim.attempt == 1


def test_orphans_are_given_back_and_the_living_left_alone(engine: Engine, make_job, runner) -> None:
    job = make_job(4)
    alive, dead = runner(job), runner(job)
    _take(engine, job, alive, 1)
    _take(engine, job, dead, 1)
    with engine.begin() as connection:
        connection.execute(text("UPDATE procrastinate_jobs SET status = 'todo' WHERE id = :id"), {"id": dead})
        assert claims.give_back_orphans(connection, attempts=3) == 1
    assert sorted(row.state for row in _rows(engine)) == ["running", "waiting"]


def test_values_that_json_cannot_say_survive(engine: Engine, make_job) -> None:
    job = make_job(1)
    (claim,) = _take(engine, job, 1, 1)
    with engine.begin() as connection:
        claims.report(connection, [claims.Report(claim, 1, {"train_loss": float("nan")})])
        claims.finish(connection, [claims.Finish(claim, "complete", float("inf"), {"worst": float("-inf")})])
    (row,) = _rows(engine)
    assert (row.value, row.metrics["worst"]) == (float("inf"), float("-inf"))
    assert math.isnan(row.curve["1"]["train_loss"])
