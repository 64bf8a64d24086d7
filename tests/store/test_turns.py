"""Whose turn it is: devices go round the jobs of one priority, however many runner tasks each of them has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, insert, text

from actsearch.store import queue
from actsearch.store.models import JobRow, StudyRow

Submit = Callable[..., UUID]


@pytest.fixture
def connection(module_engine: Engine) -> Iterator[Connection]:
    """A transaction that is rolled back."""
    with module_engine.connect() as opened:
        yield opened


@pytest.fixture
def submit(connection: Connection) -> Submit:
    """A running job with so many runner tasks."""

    def create(tasks: int, priority: int = 0) -> UUID:
        count = connection.execute(text("SELECT count(*) FROM studies")).scalar_one()
        study = insert(StudyRow).values(name=f"study {count}", directions=["maximize"]).returning(StudyRow.id)
        row: dict[str, Any] = dict.fromkeys(("architecture", "task", "metric", "direction"), "any")
        row |= {"state": "running", "parallelism": tasks, "budget_trials": 9, "request": {}, "priority": priority}
        row["study_id"] = connection.execute(study).scalar_one()
        job: UUID = connection.execute(insert(JobRow).values(row).returning(JobRow.id)).scalar_one()
        queue.defer_runners(connection, job, tasks, priority)
        return job

    return create


@pytest.fixture
def worker(connection: Connection) -> int:
    """A worker that the queue knows."""
    made = connection.execute(text("INSERT INTO procrastinate_workers DEFAULT VALUES RETURNING id"))
    return int(made.scalar_one())


def fetch(connection: Connection, worker: int) -> tuple[int, UUID] | None:
    """What the worker gets: task and job."""
    cursor: Any = connection.connection.cursor()
    cursor.execute(queue.FETCH, {"worker": worker})
    rows = cursor.fetchall()
    return (rows[0][0], UUID(rows[0][6]["job_id"])) if rows else None


def give_up(connection: Connection, worker: int, task: int, job: UUID) -> None:
    """The slice is over, and the job has work left."""
    assert queue.take_off(connection, task, 0, worker)
    queue.defer_runners(connection, job, 1, 0)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1, 5), min_size=2, max_size=4), st.integers(1, 3))
def test_each_job_gets_as_many_slices_as_the_others(
    connection: Connection, worker: int, submit: Submit, tasks: list[int], devices: int
) -> None:
    with connection.begin_nested() as undone:
        made = [submit(count) for count in tasks]
        at_work = [fetch(connection, worker) for _ in range(min(devices, sum(tasks)))]
        slices = [found[1] for found in at_work if found]
        for turn in range(8 * len(tasks)):
            task, job = at_work[turn % len(at_work)] or pytest.fail("nothing fetched")
            give_up(connection, worker, task, job)
            at_work[turn % len(at_work)] = found = fetch(connection, worker)
            assert found is not None
            slices.append(found[1])
        counts = [slices.count(job) for job in made]
        wide_enough = [count for count, width in zip(counts, tasks, strict=True) if width >= devices]
        assert all(counts)
        assert max(wide_enough, default=0) - min(wide_enough, default=0) <= devices
        if devices == 1:  # strictly in turn
            assert all(len(set(slices[i : i + len(made)])) == len(made) for i in range(len(slices) - len(made)))
        undone.rollback()


def test_a_higher_priority_goes_first_and_a_job_without_a_device_before_one_with(
    connection: Connection, worker: int, submit: Submit
) -> None:
    wide, narrow, urgent = submit(3), submit(1), submit(2, priority=5)
    order = [fetch(connection, worker) for _ in range(7)]
    assert [found and found[1] for found in order] == [urgent, urgent, wide, narrow, wide, wide, None]


def test_tasks_deferred_before_the_clock_was_set_back_do_not_wait(
    connection: Connection, worker: int, submit: Submit
) -> None:
    job = submit(1)
    connection.execute(text("UPDATE procrastinate_jobs SET scheduled_at = now() + interval '20 s'"))
    assert fetch(connection, worker) is None
    connection.execute(text("UPDATE procrastinate_jobs SET scheduled_at = now() + interval '1 hour'"))
    found = fetch(connection, worker)
    assert found is not None
    assert found[1] == job


def test_a_worker_that_the_queue_forgot_gets_nothing(connection: Connection, worker: int, submit: Submit) -> None:
    submit(1)
    assert fetch(connection, worker + 1) is None


def test_others_wait_where_the_device_would_go_to_them(connection: Connection, worker: int, submit: Submit) -> None:
    mine = submit(2)
    assert fetch(connection, worker)
    assert not queue.others_wait(connection, mine)  # only another runner of the same job waits
    other = submit(2)
    assert queue.others_wait(connection, mine)
    found = fetch(connection, worker)
    assert found is not None
    assert found[1] == other
    assert not queue.others_wait(connection, mine)  # each has a device
    assert fetch(connection, worker)
    third = submit(1, priority=-1)
    assert not queue.others_wait(connection, other)
    connection.execute(
        text("UPDATE procrastinate_jobs SET priority = 1 WHERE args ->> 'job_id' = :j"), {"j": str(third)}
    )
    assert queue.others_wait(connection, other)


def test_only_the_holder_of_a_task_takes_it_off(connection: Connection, worker: int, submit: Submit) -> None:
    submit(1)
    found = fetch(connection, worker)
    assert found is not None
    assert not queue.take_off(connection, found[0], 0, worker + 1)
    assert not queue.take_off(connection, found[0], 1, worker)
    assert queue.put_back(connection, [worker + 1]) == []
    assert queue.put_back(connection, [worker]) == [found[0]]
    assert not queue.take_off(connection, found[0], 0, worker)
    assert fetch(connection, worker) == found
    assert not queue.take_off(connection, found[0], 0, worker)  # it was fetched anew since
    assert queue.take_off(connection, found[0], 1, worker)
