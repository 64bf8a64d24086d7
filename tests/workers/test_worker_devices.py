"""Devices of a worker: their names, their threads, and who has one."""

from __future__ import annotations

import asyncio
import os

import pytest

from actsearch.errors import InvalidRequest
from actsearch_workers import control
from actsearch_workers.control import Control
from actsearch_workers.device_process import DeviceProcess
from actsearch_workers.pool import LONGEST_REST, DevicePool, device_names, threads_each


def test_a_name_may_stand_twice_and_auto_finds_something() -> None:
    assert device_names(" cpu, cpu ,") == ["cpu", "cpu"]
    assert device_names("auto")


@pytest.mark.parametrize("wanted", ["tpu", "cpu,cuda:99", "", " , ", "cpu:0"])
def test_a_device_that_is_not_there_is_refused_by_name(wanted: str) -> None:
    with pytest.raises(InvalidRequest, match="no such device") as caught:
        device_names(wanted)
    (problem,) = caught.value.problems
    assert problem.field == "devices"
    assert {"auto", "cpu"} <= set(problem.allowed)
    assert "choose of auto, cpu" in problem.message


def test_processes_share_the_cores() -> None:
    cores = len(os.sched_getaffinity(0))
    assert threads_each(["cpu"]) == cores
    assert threads_each(["cpu"] * (2 * cores)) == 1


async def test_a_device_has_one_user_at_a_time_and_comes_back_after_errors() -> None:
    processes = [DeviceProcess("cpu", 1, "unused") for _ in range(2)]
    pool = DevicePool(processes)
    users: dict[int, int] = {}
    most = 0

    async def use(turn: int) -> None:
        nonlocal most
        async with pool.free() as device:
            users[id(device)] = users.get(id(device), 0) + 1
            most = max(most, sum(users.values()))
            assert users[id(device)] == 1
            await asyncio.sleep(0)
            users[id(device)] -= 1
            if turn % 3 == 0:
                raise ArithmeticError

    ends = await asyncio.gather(*(use(turn) for turn in range(30)), return_exceptions=True)
    assert sum(isinstance(end, ArithmeticError) for end in ends) == 10
    assert all(end is None or isinstance(end, ArithmeticError) for end in ends)
    assert most == 2


async def test_a_device_that_fails_rests_longer_each_time_and_says_why() -> None:
    (process,) = processes = [DeviceProcess("cpu", 1, "unused")]
    devices = DevicePool(processes)
    condition = devices.condition(process)
    rests = []
    for _ in range(12):
        condition.failed(None)
        rests.append(condition.rest)
    assert rests[:4] == [1, 2, 4, 8]
    assert rests[-1] == LONGEST_REST

    async with devices.free() as device:
        devices.rest(device, "its process died")
    assert devices.fit == 0
    assert devices.problems == ["cpu takes no work: its process died, 12 times in a row; next try after 300 s"]
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(devices.free().__aenter__(), 0.05)
    condition.worked()
    assert (condition.failures, condition.suspects) == (0, set())
    await devices.stop()


async def test_a_device_that_is_not_to_blame_returns_after_its_rest() -> None:
    devices = DevicePool([DeviceProcess("cpu", 1, "unused")])
    async with devices.free() as device:
        device._process = _Alive()  # type: ignore[assignment]
        devices.condition(device).failed(None)
        devices.rest(device, "the disk of the database is full", restart=False)
    assert devices.fit == 0
    async with asyncio.timeout(10), devices.free() as again:
        assert again is device
        assert devices.problems == []


class _Alive:
    """A process that runs."""

    returncode = None


def test_a_draining_slice_gives_up_only_when_its_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(control.time, "monotonic", lambda: now)
    asked = Control()
    assert (asked.draining, asked.given_up) == (False, False)
    asked.drain(5.0)
    assert (asked.draining, asked.given_up) == (True, False)
    now = 104.9
    assert not asked.given_up
    now = 105.0
    assert asked.given_up
