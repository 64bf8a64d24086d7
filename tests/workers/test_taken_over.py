"""A runner that was given up for dead but lives: what goes to another runner is lost to it, and nothing else.

The other runner comes just before one access of the first to the database; then, on a new job, before the access after
that; and so on until every moment of a slice has been tried.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, Engine, event, text

from actsearch.schemas import ACTIVE_STATES, JobState
from actsearch.store import OptunaStorage, create_store_engine, jobs, points, runs
from actsearch.store.runs import Holder
from actsearch.study.ledger import Finish
from actsearch_workers.control import Control
from actsearch_workers.messages import Run
from actsearch_workers.runner import run_slice

Submit = Callable[..., UUID]
Act = Callable[[Connection, Run], bool]
Moments = Callable[..., Iterator[UUID]]

REQUEST: dict[str, Any] = {
    "confirmation": "off",
    "space": {"families": ["elu", "tanh", "leaky_relu"], "constraints": {"max_parameters": 10_000}},
    "training": {"epochs": 2, "batch_size": 2048},
    "budget": {"trials": 4},
    "sampler": {"name": "nsga2", "population_size": 4},  # it writes attributes of its own
    "pruner": {"name": "asha", "min_resource": 1, "reduction_factor": 2},  # and so does this
}
CONFIRMED = REQUEST | {"confirmation": {"finalists": 1, "seeds": 2, "most_seeds": 2, "epochs": 1}}


@pytest.fixture
def moments(engine: Engine, database_url: str, submit: Submit, hand_out: Callable[..., Run]) -> Iterator[Moments]:
    """Work on one job after another: in the nth, something happens before the nth access of its runner at which it can.

    Yields each job when its slice is over, and ends when a slice was over before its moment came. A runner that is
    `leaving` is told to at that moment.
    """
    elsewhere = create_store_engine(database_url)

    def run(act: Act, *, leaving: bool = False, **request: Any) -> Iterator[UUID]:
        for moment in count(1):
            job, control, left = submit(**request), Control(), moment
            order = hand_out(job, worker="old")

            def look(*_: Any, order: Run = order, control: Control = control) -> None:
                nonlocal left
                if left:
                    with elsewhere.connect() as connection:
                        left -= act(connection, order)
                        if not left:
                            connection.commit()
                            if leaving:
                                control.drain(0)

            event.listen(engine, "checkout", look)
            try:
                run_slice(engine, order, "cpu", control)
            finally:
                event.remove(engine, "checkout", look)
            if left:
                assert moment > 3
                return
            yield job

    yield run
    elsewhere.dispose()


def _fail(connection: Connection, job: UUID) -> None:
    jobs.transition(connection, job, JobState.failed, "its runners died")


def _taken_over(connection: Connection, order: Run) -> Holder | None:
    """Have another worker take the task over, with all that its runner holds; None where that is nothing."""
    if not runs.give_back(connection, order.runner, 3):
        return None
    query = "UPDATE procrastinate_jobs SET attempts = attempts + 1 WHERE id = :id RETURNING attempts"
    lease = connection.execute(text(query), {"id": order.runner}).scalar_one()
    return Holder(order.job_id, order.runner, lease, "new")


def _rows(connection: Connection, job: UUID, table: str = "trials") -> list[Any]:
    places = {"trials": "study_id = (SELECT study_id FROM jobs WHERE id = :job)", "evaluations": "job_id = :job"}
    return list(connection.execute(text(f"SELECT * FROM {table} WHERE {places[table]} ORDER BY id"), {"job": job}))


@pytest.mark.parametrize("finished", [True, False], ids=["finished", "in training"])
def test_a_trial_taken_over_at_any_moment_is_the_other_runners(
    engine: Engine, moments: Moments, finished: bool
) -> None:
    as_taken: dict[UUID, Any] = {}

    def take_trial_2(connection: Connection, order: Run) -> bool:
        job = order.job_id
        mine = [trial.id for trial in _rows(connection, job) if (trial.number, trial.state) == (2, "running")]
        connection.execute(text("UPDATE trials SET runner = -7 WHERE id = ANY(:mine)"), {"mine": mine})
        if not runs.give_back(connection, -7, 3):
            return False
        (taken,) = runs.claim_trials(connection, Holder(job, order.runner, order.lease, "new"), 1)
        if finished:
            runs.finish(connection, [Finish(taken, "complete", [0.25], {"accuracy": 0.25})])
        as_taken[job] = _rows(connection, job)[2]
        return True

    for job in moments(take_trial_2, **REQUEST):
        with engine.connect() as connection:
            found = _rows(connection, job)
        assert found.pop(2) == as_taken[job]
        assert [(trial.attempt, trial.state in ("complete", "pruned")) for trial in found] == [(1, True)] * 3
        with engine.connect() as connection:
            curves = points.curves(connection, [trial.id for trial in found])
        told = OptunaStorage(engine)
        assert all(list(curves[one.id]) == list(told.get_trial(one.id).intermediate_values) for one in found)


def test_a_runner_that_leaves_gives_back_nothing_of_the_worker_that_took_its_task_over(
    engine: Engine, moments: Moments
) -> None:
    as_taken: dict[UUID, Any] = {}

    def take_all(connection: Connection, order: Run) -> bool:
        other = _taken_over(connection, order)
        if other is None:
            return False
        runs.claim_trials(connection, other, 99)
        as_taken[order.job_id] = _rows(connection, order.job_id)
        return True

    for job in moments(take_all, leaving=True, **REQUEST):
        with engine.connect() as connection:
            assert _rows(connection, job) == as_taken[job]


@pytest.mark.parametrize(("table", "request_"), [("trials", REQUEST), ("evaluations", CONFIRMED)])
def test_a_runner_whose_task_was_taken_over_claims_nothing_more(
    engine: Engine, moments: Moments, table: str, request_: dict[str, Any]
) -> None:
    """Else it would train beside its successor, under the same runner's id."""
    as_given_back: dict[UUID, Any] = {}

    def take_the_task(connection: Connection, order: Run) -> bool:
        if not any(row.state == "running" for row in _rows(connection, order.job_id, table)):
            return False
        if _taken_over(connection, order) is None:
            return False
        as_given_back[order.job_id] = _rows(connection, order.job_id, table)
        return True

    for job in moments(take_the_task, **request_ | {"sampler": "random"}):
        with engine.connect() as connection:
            assert _rows(connection, job, table) == as_given_back[job]


@pytest.mark.parametrize("leaving", [True, False])
def test_evaluations_taken_over_at_any_moment_are_the_other_runners(
    engine: Engine, moments: Moments, leaving: bool
) -> None:
    as_taken: dict[UUID, Any] = {}

    def take_seed(connection: Connection, order: Run) -> bool:
        if not any(row.state == "running" for row in _rows(connection, order.job_id, "evaluations")):
            return False
        other = _taken_over(connection, order)
        taken = [] if other is None else runs.claim_seed(connection, other)
        if not leaving:
            runs.finish(connection, [Finish(one, "complete", [0.5], {"accuracy": 0.5}) for one in taken])
        ids = [one.id for one in taken]
        as_taken[order.job_id] = [row for row in _rows(connection, order.job_id, "evaluations") if row.id in ids]
        return True

    for job in moments(take_seed, leaving=leaving, **CONFIRMED):
        with engine.connect() as connection:
            found = _rows(connection, job, "evaluations")
        taken = [one.id for one in as_taken[job]]
        assert taken
        assert [one for one in found if one.id in taken] == as_taken[job]
        rest = {(one.attempt, one.state) for one in found if one.id not in taken}
        assert rest <= {(1, "complete"), (1, "waiting")}


@pytest.mark.parametrize("ending", [jobs.cancel, _fail], ids=["cancelled", "failed"])
def test_a_job_that_ends_at_any_moment_leaves_nothing_open(engine: Engine, moments: Moments, ending: Any) -> None:
    def end(connection: Connection, order: Run) -> bool:
        state = jobs.get_state(connection, order.job_id)
        if state not in ACTIVE_STATES:
            return False
        ending(connection, order.job_id)
        return True

    for job in moments(end, **CONFIRMED | {"sampler": "random", "budget": {"trials": 2}}):
        with engine.connect() as connection:
            tables = [_rows(connection, job, table) for table in ("trials", "evaluations")]
        assert {row.state for rows in tables for row in rows} <= {"complete", "pruned", "failed"}
