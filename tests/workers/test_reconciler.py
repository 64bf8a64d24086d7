"""The reconciler on a real database: it repairs what crashes leave, once, and leaves the living alone."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import procrastinate
import pytest
from procrastinate.jobs import Status
from sqlalchemy import Engine, text

from actsearch.schemas import JobState
from actsearch.settings import Settings
from actsearch.store import jobs, libpq_url, runs
from actsearch.store.queue import RUNNER_QUEUE, Heartbeat, defer_runners
from actsearch.store.runs import Holder
from actsearch.study.ledger import Claim
from actsearch_workers.messages import Done, Run
from actsearch_workers.pool import DevicePool
from actsearch_workers.tasks import MAX_CRASHES, Failure, Slice, Workplace, _conclude, app
from actsearch_workers.upkeep import Observer, reconcile

Submit = Callable[..., UUID]
PATIENT = Settings(_env_file=None, stall_timeout=30)


@pytest.fixture
async def queue(database_url: str) -> AsyncIterator[procrastinate.App]:
    """The queue of the test's database."""
    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=libpq_url(database_url)))
    async with app.open_async():
        yield app


@pytest.fixture
def ask(engine: Engine) -> Callable[..., list[Any]]:
    """Run a statement; its rows."""

    def run(query: str, **values: Any) -> list[Any]:
        with engine.begin() as connection:
            result = connection.execute(text(query), values)
            return list(result) if result.returns_rows else []

    return run


@pytest.fixture
def worker(ask: Callable[..., list[Any]]) -> Callable[[float], int]:
    """A worker of the queue (and of ours) that was last heard of so many seconds ago."""

    def register(silent: float) -> int:
        ((queue_id,),) = ask(
            "INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - make_interval(secs => :silent))"
            " RETURNING id",
            silent=silent,
        )
        ask(
            "INSERT INTO workers (id, name, queue_worker_id, devices) VALUES (:id, :name, :queue, '{cpu}')",
            id=uuid4(), name=f"worker-{queue_id}", queue=queue_id,
        )  # fmt: skip
        return int(queue_id)

    return register


@pytest.fixture
def at_work(engine: Engine, ask: Callable[..., list[Any]]) -> Callable[[UUID, int, int], list[Claim]]:
    """Have a worker fetch a runner task of a job and claim so many trials with it."""

    def fetch(job: UUID, worker_id: int, trials: int) -> list[Claim]:
        ((task, lease),) = ask(
            "UPDATE procrastinate_jobs SET status = 'doing', worker_id = :worker WHERE id = (SELECT min(id) FROM"
            " procrastinate_jobs WHERE args ->> 'job_id' = :job AND status = 'todo') RETURNING id, attempts",
            worker=worker_id, job=str(job),
        )  # fmt: skip
        with engine.begin() as connection:
            if jobs.lock(connection, job) is JobState.queued:
                jobs.transition(connection, job, JobState.running)
            return runs.claim_trials(connection, Holder(job, task, lease, "worker"), trials)

    return fetch


def _tasks(ask: Callable[..., list[Any]], job: UUID) -> dict[str, int]:
    rows = ask(
        "SELECT CAST(status AS text), count(*) FROM procrastinate_jobs WHERE args ->> 'job_id' = :job GROUP BY 1",
        job=str(job),
    )
    return dict(tuple(row) for row in rows)


def _trials(ask: Callable[..., list[Any]]) -> list[tuple[str, int]]:
    return [(state, attempt) for state, attempt in ask("SELECT state, attempt FROM trials ORDER BY number")]


def test_a_vanished_workers_runner_and_trials_go_back_and_the_livings_stay(
    engine: Engine, ask: Any, worker: Any, at_work: Any, submit: Submit
) -> None:
    job = submit(budget={"trials": 8}, parallelism=2)
    gone, alive = worker(60), worker(1)
    at_work(job, gone, 2)
    at_work(job, alive, 2)

    for _ in range(2):  # the second finds nothing to do
        reconcile(engine, PATIENT, Observer())
        assert _tasks(ask, job) == {"todo": 1, "doing": 1}
        assert _trials(ask) == [("waiting", 2)] * 2 + [("running", 1)] * 2
    assert ask("SELECT queue_worker_id FROM workers WHERE stopped_at IS NULL") == [(alive,)]


def test_a_crash_costs_no_more_than_the_stall_timeout(
    engine: Engine, ask: Any, worker: Any, at_work: Any, submit: Submit
) -> None:
    """With the time until the next run added, a silent worker's trials go back within the stall timeout."""
    job = submit(budget={"trials": 1}, parallelism=1)
    at_work(job, worker(PATIENT.stall_timeout - 4.9), 1)
    reconcile(engine, PATIENT, Observer())
    assert _trials(ask) == [("waiting", 2)]


def test_missing_runners_are_put_on_the_queue_but_never_more_than_allowed(
    engine: Engine, ask: Any, submit: Submit
) -> None:
    wide, narrow = submit(budget={"trials": 50}, parallelism=3), submit(budget={"trials": 2}, parallelism=3)
    ask("DELETE FROM procrastinate_jobs WHERE true")
    for _ in range(2):
        reconcile(engine, PATIENT, Observer())
        assert _tasks(ask, wide) == {"todo": 3}
        assert _tasks(ask, narrow) == {"todo": 2}


def test_several_at_once_put_no_runner_too_many_on_the_queue(engine: Engine, ask: Any, submit: Submit) -> None:
    made = [submit(budget={"trials": 50}, parallelism=2) for _ in range(3)]
    ask("DELETE FROM procrastinate_jobs WHERE true")
    barrier = threading.Barrier(6)

    def repair(_: int) -> None:
        barrier.wait()
        reconcile(engine, PATIENT, Observer())

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(repair, range(6)))
    assert [_tasks(ask, job) for job in made] == [{"todo": 2}] * 3


def test_a_job_whose_last_runner_died_just_before_closing_it_gets_one_to_close_it(
    engine: Engine, ask: Any, submit: Submit, work: Any
) -> None:
    job = submit(budget={"trials": 2})
    work(job)
    ask("UPDATE jobs SET state = 'running', finished_at = NULL WHERE true")
    ask("DELETE FROM procrastinate_jobs WHERE true")

    reconcile(engine, PATIENT, Observer())

    assert _tasks(ask, job) == {"todo": 1}
    work(job)
    assert ask("SELECT state FROM jobs") == [("completed",)]
    reconcile(engine, PATIENT, Observer())
    assert _tasks(ask, job) == {"todo": 1}


def test_trials_of_a_cancelled_job_end(engine: Engine, ask: Any, worker: Any, at_work: Any, submit: Submit) -> None:
    job = submit(budget={"trials": 5}, parallelism=1)
    at_work(job, worker(60), 3)
    with engine.begin() as connection:
        jobs.cancel(connection, job)
    reconcile(engine, PATIENT, Observer())
    assert ask("SELECT state, failure_reason, count(*) FROM trials GROUP BY 1, 2") == [("failed", "cancelled", 3)]
    assert "doing" not in _tasks(ask, job)


async def test_it_is_safe_beside_itself(engine: Engine, ask: Any, worker: Any, at_work: Any, submit: Submit) -> None:
    job = submit(budget={"trials": 8}, parallelism=4)
    for _ in range(4):
        at_work(job, worker(60), 1)
    await asyncio.gather(*(asyncio.to_thread(reconcile, engine, PATIENT, Observer()) for _ in range(4)))
    assert _tasks(ask, job) == {"todo": 4}
    assert [attempt for _, attempt in _trials(ask)] == [2] * len(_trials(ask))


async def test_a_worker_that_was_only_slow_does_not_end_the_task_that_another_took_over(
    queue: procrastinate.App, engine: Engine, ask: Any, worker: Any, submit: Submit
) -> None:
    job, slow, other = submit(budget={"trials": 4}, parallelism=1), worker(60), worker(1)
    with app.replace_connector(queue.connector):
        lost = await app.job_manager.fetch_job([RUNNER_QUEUE], slow)
        reconcile(engine, PATIENT, Observer())
        taken = await app.job_manager.fetch_job([RUNNER_QUEUE], other)
        assert lost is not None
        assert taken is not None
        assert taken.id == lost.id
        with engine.begin() as connection:
            jobs.transition(connection, job, JobState.running)
            runs.claim_trials(connection, Holder(job, taken.id, taken.attempts, "other"), 4)

        await app.job_manager.finish_job(lost, Status.SUCCEEDED, delete_job=True)
        reconcile(engine, PATIENT, Observer())

        assert _tasks(ask, job) == {"doing": 1}
        assert _trials(ask) == [("running", 1)] * 4
        await app.job_manager.finish_job(taken, Status.SUCCEEDED, delete_job=True)
        assert _tasks(ask, job) == {}


@pytest.mark.parametrize(("worker_name", "left"), [("slow", ("running", 1)), ("other", ("waiting", 2))])
def test_a_crash_costs_only_what_the_worker_itself_was_training(
    engine: Engine, ask: Any, at_work: Any, worker: Any, submit: Submit, worker_name: str, left: tuple[str, int]
) -> None:
    job, holder = submit(budget={"trials": 2}, parallelism=1), worker(1)
    at_work(job, holder, 2)
    ask("UPDATE trials SET worker = 'other' WHERE true")
    _conclude(_place(engine, worker_name), _slice(ask, job, worker_name, holder), DIED)
    assert _trials(ask) == [left] * 2


DIED = Failure("its process died (exit code 1)", "worker", first=True)


def _place(engine: Engine, name: str) -> Workplace:
    return Workplace(name, engine, DevicePool([]), PATIENT)


def _slice(ask: Any, job: UUID, worker_name: str, holder: int, crashes: int = 0) -> Slice:
    ((task, lease),) = ask("SELECT id, attempts FROM procrastinate_jobs WHERE status = 'doing'")
    return Slice(Run(job, task, lease, worker_name, 60, 3), holder, crashes)


@pytest.mark.parametrize(
    ("failure", "left"),
    [
        (Failure("no space left", "infrastructure", first=True), ("waiting", 1)),
        (DIED, ("waiting", 2)),
        (Failure("it died again", "worker", first=False), ("waiting", 2)),  # nobody else is there to tell whose fault
        (Failure("ValueError", "job", first=True), ("waiting", 2)),
    ],
    ids=lambda value: value.what if isinstance(value, Failure) else None,
)
def test_what_the_infrastructure_does_costs_no_try(
    engine: Engine, ask: Any, at_work: Any, worker: Any, submit: Submit, failure: Failure, left: tuple[str, int]
) -> None:
    job, holder = submit(budget={"trials": 2}, parallelism=1), worker(1)
    at_work(job, holder, 2)
    name = f"worker-{holder}"
    ask("UPDATE trials SET worker = :name WHERE true", name=name)
    _conclude(_place(engine, name), _slice(ask, job, name, holder), failure)
    assert _trials(ask) == [left] * 2
    assert _tasks(ask, job) == {"todo": 1}


def test_a_worker_on_which_one_slice_after_another_fails_is_to_blame_where_another_is_fit(
    engine: Engine, ask: Any, at_work: Any, worker: Any, submit: Submit
) -> None:
    job, holder, _ = submit(budget={"trials": 2}, parallelism=1), worker(1), worker(1)
    at_work(job, holder, 2)
    _conclude(_place(engine, "worker"), _slice(ask, job, "worker", holder), replace(DIED, first=False))
    assert _trials(ask) == [("waiting", 1)] * 2


def test_a_job_fails_for_its_own_errors_only(
    engine: Engine, ask: Any, at_work: Any, worker: Any, submit: Submit
) -> None:
    for fault, state in (("worker", "running"), ("infrastructure", "running"), ("job", "failed")):
        job, holder = submit(budget={"trials": 2}, parallelism=1), worker(1)
        at_work(job, holder, 0)
        slice_ = _slice(ask, job, "worker", holder, crashes=MAX_CRASHES - 1)
        _conclude(_place(engine, "worker"), slice_, Failure("it broke", fault, first=True))  # type: ignore[arg-type]
        assert ask("SELECT state FROM jobs WHERE id = :job", job=job) == [(state,)]
        assert _tasks(ask, job) == ({"todo": 1} if state == "running" else {})


def test_a_runner_that_was_taken_over_puts_none_on_the_queue(
    engine: Engine, ask: Any, at_work: Any, worker: Any, submit: Submit
) -> None:
    job, holder, other = submit(budget={"trials": 9}, parallelism=1), worker(1), worker(1)
    at_work(job, holder, 2)
    slice_ = _slice(ask, job, "worker", holder)
    for takes_over in (
        f"UPDATE procrastinate_jobs SET worker_id = {other} WHERE status = 'doing'",
        f"UPDATE procrastinate_jobs SET worker_id = {holder}, attempts = attempts + 1 WHERE status = 'doing'",
    ):
        ask(takes_over)
        _conclude(_place(engine, "worker"), slice_, Done(more=True))
        _conclude(_place(engine, "worker"), slice_, DIED)
        assert _tasks(ask, job) == {"doing": 1}


def test_a_runner_too_many_is_not_put_back_to_the_queues_end(
    engine: Engine, ask: Any, at_work: Any, worker: Any, submit: Submit
) -> None:
    job, holder = submit(budget={"trials": 9}, parallelism=1), worker(1)
    at_work(job, holder, 2)
    slice_ = _slice(ask, job, "worker", holder)
    with engine.begin() as connection:
        defer_runners(connection, job, 1, 0)
    _conclude(_place(engine, "worker"), slice_, Done(more=True))
    assert _tasks(ask, job) == {"todo": 1}


def test_runners_too_many_are_removed_but_not_those_at_work(
    engine: Engine, ask: Any, at_work: Any, worker: Any, submit: Submit
) -> None:
    job = submit(budget={"trials": 9}, parallelism=2)
    at_work(job, worker(1), 1)
    at_work(job, worker(1), 1)
    with engine.begin() as connection:
        defer_runners(connection, job, 3, 0)
    reconcile(engine, PATIENT, Observer())
    assert _tasks(ask, job) == {"doing": 2}


def test_a_job_whose_row_is_locked_is_left_for_the_next_time(engine: Engine, ask: Any, submit: Submit) -> None:
    job = submit(budget={"trials": 9}, parallelism=2)
    ask("DELETE FROM procrastinate_jobs WHERE true")
    with engine.begin() as connection:
        jobs.lock(connection, job)
        reconcile(engine, PATIENT, Observer())
        assert _tasks(ask, job) == {}
    reconcile(engine, PATIENT, Observer())
    assert _tasks(ask, job) == {"todo": 2}


def test_a_heartbeat_that_stays_the_same_is_old_whatever_the_databases_clock_says() -> None:
    now = 100.0
    observer = Observer(clock=lambda: now)
    future = datetime(2100, 1, 1, tzinfo=UTC)

    def look(age: float = -1e9, later: int = 0) -> list[int]:
        return observer.silent([Heartbeat(7, future + timedelta(seconds=later), age)], 20)

    def at(moment: float, later: int = 0) -> list[int]:
        nonlocal now
        while now < moment:  # every five seconds, as a worker does
            now = min(now + 5.0, moment)
            found = look(later=later)
        return found

    assert look() == []
    assert at(119.0) == []
    assert at(121.0) == [7]
    assert at(122.0, later=1) == []
    assert at(140.0, later=1) == []
    assert look(age=21, later=1) == [7]
    now += 1000  # the observer itself slept, or the database was away
    assert look(age=1000, later=1) == []
    assert at(now + 19, later=1) == []
    assert at(now + 5, later=1) == [7]
