"""The reconciler on a real database: it repairs what crashes leave, once, and leaves the living alone."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import procrastinate
import pytest
from procrastinate.jobs import Status
from sqlalchemy import Engine, text

from actsearch.schemas import JobState
from actsearch.settings import Settings
from actsearch.store import claims, jobs, libpq_url
from actsearch.store.queue import RUNNER_QUEUE
from actsearch_workers.messages import Run
from actsearch_workers.pool import DevicePool
from actsearch_workers.tasks import Workplace, _after_crash, app
from actsearch_workers.upkeep import _repair, reconcile

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
def at_work(engine: Engine, ask: Callable[..., list[Any]]) -> Callable[[UUID, int, int], list[claims.Claim]]:
    """Have a worker fetch a runner task of a job and claim so many trials with it."""

    def fetch(job: UUID, worker_id: int, trials: int) -> list[claims.Claim]:
        ((task,),) = ask(
            "UPDATE procrastinate_jobs SET status = 'doing', worker_id = :worker WHERE id = (SELECT min(id) FROM"
            " procrastinate_jobs WHERE args ->> 'job_id' = :job AND status = 'todo') RETURNING id",
            worker=worker_id, job=str(job),
        )  # fmt: skip
        with engine.begin() as connection:
            if jobs.lock(connection, job) is JobState.queued:
                jobs.transition(connection, job, JobState.running)
            return claims.claim(connection, job, task, "worker", trials)

    return fetch


def _tasks(ask: Callable[..., list[Any]], job: UUID) -> dict[str, int]:
    rows = ask(
        "SELECT CAST(status AS text), count(*) FROM procrastinate_jobs WHERE args ->> 'job_id' = :job GROUP BY 1",
        job=str(job),
    )
    return dict(tuple(row) for row in rows)


def _trials(ask: Callable[..., list[Any]]) -> list[tuple[str, int]]:
    return [(state, attempt) for state, attempt in ask("SELECT state, attempt FROM trials ORDER BY number")]


async def test_a_vanished_workers_runner_and_trials_go_back_and_the_livings_stay(
    queue: procrastinate.App, engine: Engine, ask: Any, worker: Any, at_work: Any, submit: Submit
) -> None:
    job = submit(budget={"trials": 8}, parallelism=2)
    gone, alive = worker(60), worker(1)
    at_work(job, gone, 2)
    at_work(job, alive, 2)

    for _ in range(2):  # the second finds nothing to do
        await reconcile(queue, engine, PATIENT)
        assert _tasks(ask, job) == {"todo": 1, "doing": 1}
        assert _trials(ask) == [("waiting", 2)] * 2 + [("running", 1)] * 2
    assert ask("SELECT queue_worker_id FROM workers WHERE stopped_at IS NULL") == [(alive,)]


async def test_a_crash_costs_no_more_than_the_stall_timeout(
    queue: procrastinate.App, engine: Engine, ask: Any, worker: Any, at_work: Any, submit: Submit
) -> None:
    """With the time until the next run added, a silent worker's trials go back within the stall timeout."""
    job = submit(budget={"trials": 1}, parallelism=1)
    at_work(job, worker(PATIENT.stall_timeout - 4.9), 1)
    await reconcile(queue, engine, PATIENT)
    assert _trials(ask) == [("waiting", 2)]


async def test_missing_runners_are_put_on_the_queue_but_never_more_than_allowed(
    queue: procrastinate.App, engine: Engine, ask: Any, submit: Submit
) -> None:
    wide, narrow = submit(budget={"trials": 50}, parallelism=3), submit(budget={"trials": 2}, parallelism=3)
    ask("DELETE FROM procrastinate_jobs WHERE true")
    for _ in range(2):
        await reconcile(queue, engine, PATIENT)
        assert _tasks(ask, wide) == {"todo": 3}
        assert _tasks(ask, narrow) == {"todo": 2}


def test_several_at_once_put_no_runner_too_many_on_the_queue(engine: Engine, ask: Any, submit: Submit) -> None:
    made = [submit(budget={"trials": 50}, parallelism=2) for _ in range(3)]
    ask("DELETE FROM procrastinate_jobs WHERE true")
    barrier = threading.Barrier(6)

    def repair(_: int) -> None:
        barrier.wait()
        _repair(engine, PATIENT)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(repair, range(6)))
    assert [_tasks(ask, job) for job in made] == [{"todo": 2}] * 3


async def test_a_job_whose_last_runner_died_just_before_closing_it_gets_one_to_close_it(
    queue: procrastinate.App, engine: Engine, ask: Any, submit: Submit, work: Any
) -> None:
    job = submit(budget={"trials": 2})
    work(job)
    ask("UPDATE jobs SET state = 'running', finished_at = NULL WHERE true")
    ask("DELETE FROM procrastinate_jobs WHERE true")

    await reconcile(queue, engine, PATIENT)

    assert _tasks(ask, job) == {"todo": 1}
    work(job)
    assert ask("SELECT state FROM jobs") == [("completed",)]
    await reconcile(queue, engine, PATIENT)
    assert _tasks(ask, job) == {"todo": 1}


async def test_trials_of_a_cancelled_job_end(
    queue: procrastinate.App, engine: Engine, ask: Any, worker: Any, at_work: Any, submit: Submit
) -> None:
    job = submit(budget={"trials": 5}, parallelism=1)
    at_work(job, worker(60), 3)
    with engine.begin() as connection:
        jobs.cancel(connection, job)
    await reconcile(queue, engine, PATIENT)
    assert ask("SELECT state, failure_reason, count(*) FROM trials GROUP BY 1, 2") == [("failed", "cancelled", 3)]
    assert "doing" not in _tasks(ask, job)


async def test_it_is_safe_beside_itself(
    queue: procrastinate.App, engine: Engine, ask: Any, worker: Any, at_work: Any, submit: Submit
) -> None:
    job = submit(budget={"trials": 8}, parallelism=4)
    for _ in range(4):
        at_work(job, worker(60), 1)
    await asyncio.gather(*(reconcile(queue, engine, PATIENT) for _ in range(4)))
    assert _tasks(ask, job) == {"todo": 4}
    assert [attempt for _, attempt in _trials(ask)] == [2] * len(_trials(ask))


async def test_a_worker_that_was_only_slow_does_not_end_the_task_that_another_took_over(
    queue: procrastinate.App, engine: Engine, ask: Any, worker: Any, submit: Submit
) -> None:
    job, slow, other = submit(budget={"trials": 4}, parallelism=1), worker(60), worker(1)
    with app.replace_connector(queue.connector):
        lost = await app.job_manager.fetch_job([RUNNER_QUEUE], slow)
        await reconcile(app, engine, PATIENT)
        taken = await app.job_manager.fetch_job([RUNNER_QUEUE], other)
        assert lost is not None
        assert taken is not None
        assert taken.id == lost.id
        with engine.begin() as connection:
            jobs.transition(connection, job, JobState.running)
            claims.claim(connection, job, taken.id, "other", 4)

        await app.job_manager.finish_job(lost, Status.SUCCEEDED, delete_job=True)
        await reconcile(app, engine, PATIENT)

        assert _tasks(ask, job) == {"doing": 1}
        assert _trials(ask) == [("running", 1)] * 4
        await app.job_manager.finish_job(taken, Status.SUCCEEDED, delete_job=True)
        assert _tasks(ask, job) == {}


@pytest.mark.parametrize(("worker_name", "left"), [("slow", ("running", 1)), ("other", ("waiting", 2))])
def test_a_crash_costs_only_what_the_worker_itself_was_training(
    engine: Engine, ask: Any, at_work: Any, worker: Any, submit: Submit, worker_name: str, left: tuple[str, int]
) -> None:
    job = submit(budget={"trials": 2}, parallelism=1)
    at_work(job, worker(1), 2)
    ask("UPDATE trials SET worker = 'other' WHERE true")
    ((task,),) = ask("SELECT id FROM procrastinate_jobs WHERE status = 'doing'")
    place = Workplace(worker_name, engine, DevicePool([]), PATIENT)

    _after_crash(place, Run(job, task, worker_name, 60, 3), 0, "exit code 1")

    assert _trials(ask) == [left] * 2
