"""The process that owns a device: spawned once and kept, replaced when it dies."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from uuid import UUID, uuid4

import psutil
import pytest
from sqlalchemy import Engine

from actsearch.schemas import JobState
from actsearch.store import job_views, jobs
from actsearch_workers.device_process import DeviceProcess, ProcessDied
from actsearch_workers.messages import Broken, Done, Run

Submit = Callable[..., UUID]
HandOut = Callable[..., Run]


@pytest.fixture
async def device(database_url: str) -> AsyncIterator[DeviceProcess]:
    """A device process on the test's database."""
    process = DeviceProcess("cpu", 1, database_url)
    await process.start()
    yield process
    await process.stop()


def _pid(device: DeviceProcess) -> int:
    assert device._process is not None
    return device._process.pid


def _state(engine: Engine, job: UUID) -> JobState:
    with engine.connect() as connection:
        return jobs.get_state(connection, job)


async def test_it_is_kept_from_job_to_job_and_replaced_when_it_dies(
    device: DeviceProcess, engine: Engine, submit: Submit, hand_out: HandOut
) -> None:
    first, second, third = (submit(budget={"trials": 2}) for _ in range(3))
    pid = _pid(device)
    assert await device.run(hand_out(first)) == Done(more=False)
    assert await device.run(hand_out(second)) == Done(more=False)
    assert _pid(device) == pid
    assert [_state(engine, job) for job in (first, second)] == [JobState.completed] * 2

    # what is not a trial's fault is told, and does not end the process
    broken = await device.run(hand_out(uuid4()))
    assert isinstance(broken, Broken)
    assert "no job" in broken.detail
    assert _pid(device) == pid

    # killed at work: the caller learns how, and the next order gets a new process
    long = submit(budget={"trials": 2}, training={"epochs": 100_000})
    working = asyncio.create_task(device.run(hand_out(long)))
    while _state(engine, long) is JobState.queued:
        await asyncio.sleep(0.05)
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(ProcessDied) as death:
        await working
    assert death.value.code == -signal.SIGKILL
    assert await device.run(hand_out(third)) == Done(more=False)
    assert _pid(device) != pid
    assert not psutil.pid_exists(pid)


async def test_one_that_is_stopped_is_killed_while_a_busy_one_is_left_alone(
    database_url: str, engine: Engine, submit: Submit, hand_out: HandOut
) -> None:
    device = DeviceProcess("cpu", 1, database_url, silence=3.0)
    await device.start()
    long = submit(budget={"trials": 2}, training={"epochs": 100_000})
    working = asyncio.create_task(device.run(hand_out(long)))
    await asyncio.sleep(4)
    assert not working.done()
    os.kill(_pid(device), signal.SIGSTOP)
    with pytest.raises(ProcessDied, match=r"was not heard for \d+ s and was killed"):
        await asyncio.wait_for(working, 60)
    assert not device.alive


async def test_a_device_that_does_not_exist_is_told_at_the_start(database_url: str) -> None:
    device = DeviceProcess("cuda:77", 1, database_url)
    with pytest.raises(ProcessDied, match="exit code 1"):
        await device.start()


async def test_it_ends_when_it_is_stopped_even_at_work(
    device: DeviceProcess, engine: Engine, submit: Submit, hand_out: HandOut
) -> None:
    job = submit(budget={"trials": 2}, training={"epochs": 100_000})
    working = asyncio.create_task(device.run(hand_out(job)))
    while _state(engine, job) is JobState.queued:
        await asyncio.sleep(0.05)
    pid = _pid(device)

    await device.stop()

    with pytest.raises(ProcessDied):
        await working
    assert not psutil.pid_exists(pid)


async def test_draining_ends_the_slice_but_not_the_process(
    device: DeviceProcess, engine: Engine, submit: Submit, hand_out: HandOut
) -> None:
    job = submit(budget={"trials": 2}, training={"epochs": 100_000})
    working = asyncio.create_task(device.run(hand_out(job)))
    while _state(engine, job) is JobState.queued:
        await asyncio.sleep(0.05)

    await device.drain(0.1)

    assert await working == Done(more=True)
    with engine.connect() as connection:
        progress = job_views.get_job(connection, job, 30).progress
    assert (progress.running, progress.finished) == (0, 0)
