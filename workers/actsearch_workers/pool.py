"""The devices of a worker."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID

import structlog

from actsearch.errors import FieldProblem, InvalidRequest
from actsearch_workers.device_process import DeviceProcess, ProcessDied

log = structlog.get_logger()
LONGEST_REST = 300.0
"""Seconds at most between two tries of a device that fails."""

# As many as a job's runners by default.
_CPU_PROCESSES = 4


def device_names(wanted: str) -> list[str]:
    """Devices by name; a name may stand twice.

    `auto` is every CUDA device; where there is none, the CPU, once for each core but at most four times: small networks
    train faster in several single-threaded processes than on several threads.

    Raises:
        InvalidRequest: naming what is not a device of this machine.
    """
    names = [name.strip() for name in wanted.split(",") if name.strip()]
    if names and set(names) == {"cpu"}:
        return names  # asking for more takes seconds
    available = _cuda_devices()
    if names == ["auto"]:
        return available or ["cpu"] * min(_cores(), _CPU_PROCESSES)
    wrong = [name for name in names if name not in {"cpu", *available}]
    if wrong or not names:
        allowed = ("auto", "cpu", *available)
        message = f"no such device: {', '.join(wrong) or repr(wanted)}; choose of {', '.join(allowed)}"
        raise InvalidRequest(FieldProblem("devices", message, allowed))
    return names


def _cuda_devices() -> list[str]:
    # Asked in a process of its own: CUDA, once initialised here, would hold memory on every device.
    code = "import torch; print(torch.cuda.device_count() if torch.cuda.is_available() else 0)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return [f"cuda:{i}" for i in range(int(answer.stdout.strip() or 0))]


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def threads_each(names: Sequence[str]) -> int:
    """CPU threads of each device process, so that together they do not oversubscribe the cores."""
    return max(1, _cores() // max(1, len(names)))


@dataclass
class Condition:
    """How a device does: whose slices failed on it since one went well, and why it rests, if it does.

    Args:
        failures: slices (or starts) that failed since one went well.
        suspects: the jobs whose slices those were.
        problem: why it takes no work now; None where it does.
    """

    failures: int = 0
    suspects: set[UUID] = field(default_factory=set)
    problem: str | None = None

    def failed(self, job: UUID | None) -> None:
        """Note that a start, or a slice of `job`, failed."""
        self.failures += 1
        if job is not None:
            self.suspects.add(job)

    def worked(self) -> None:
        """Note that a slice went well."""
        self.failures, self.suspects = 0, set()

    @property
    def rest(self) -> float:
        """Seconds to take no work for, after that many failures."""
        return min(LONGEST_REST, 2.0 ** (self.failures - 1))


class DevicePool:
    """Hands free devices to runner tasks; one whose process failed rests before it is tried again."""

    def __init__(self, processes: Sequence[DeviceProcess]) -> None:
        self._condition = {id(process): Condition() for process in processes}
        self._processes = tuple(processes)
        self._free: asyncio.Queue[DeviceProcess] = asyncio.Queue()
        self._tending: set[asyncio.Task[None]] = set()
        self.leaving = False
        for process in processes:
            self._free.put_nowait(process)

    @asynccontextmanager
    async def free(self) -> AsyncIterator[DeviceProcess]:
        """A device for the time of the `with` block; waits for one."""
        process = await self._free.get()
        try:
            yield process
        finally:
            if self.condition(process).problem is None:
                self._free.put_nowait(process)

    def condition(self, process: DeviceProcess) -> Condition:
        """How a device does."""
        return self._condition[id(process)]

    def rest(self, process: DeviceProcess, why: str, *, restart: bool = True) -> None:
        """Have a device that the caller has taken rest, and its process replaced, before anybody else gets it.

        Args:
            restart: replace its process; not needed where that is not to blame.
        """
        self._rest(process, why)
        self._tend(process, restart=restart)

    @property
    def fit(self) -> int:
        """How many devices take work."""
        return sum(condition.problem is None for condition in self._condition.values())

    @property
    def problems(self) -> list[str]:
        """Why devices take no work, a line for each that does not."""
        return [condition.problem for condition in self._condition.values() if condition.problem is not None]

    async def start(self) -> None:
        """Start every device's process; one that does not start rests and is tried again."""
        processes = [self._free.get_nowait() for _ in self._processes]
        await asyncio.gather(*(self._start(process) for process in processes))

    async def drain(self, seconds: float) -> None:
        """Ask every device to stop within about `seconds`."""
        self.leaving = True
        await asyncio.gather(*(process.drain(seconds) for process in self._processes))

    async def kill(self) -> None:
        """End the processes of devices that still work."""
        self.leaving = True
        await asyncio.gather(*(process.kill() for process in self._processes if process.busy))

    async def stop(self) -> None:
        """End every device's process, whatever it does."""
        self.leaving = True
        for task in self._tending:
            task.cancel()
        await asyncio.gather(*(process.stop() for process in self._processes))

    async def _start(self, process: DeviceProcess) -> None:
        try:
            await process.start()
        except ProcessDied as death:
            self.condition(process).failed(None)
            self._rest(process, f"its process {death.reason} while starting")
            self._tend(process, restart=True)
        else:
            self._return(process)

    def _return(self, process: DeviceProcess) -> None:
        self.condition(process).problem = None
        self._free.put_nowait(process)

    def _rest(self, process: DeviceProcess, why: str) -> None:
        condition = self.condition(process)
        times = f", {condition.failures} times in a row" if condition.failures > 1 else ""
        condition.problem = f"{process.device} takes no work: {why}{times}; next try after {condition.rest:.0f} s"
        log.warning("device rests", device=process.device, seconds=condition.rest, why=why, failures=condition.failures)

    def _tend(self, process: DeviceProcess, *, restart: bool) -> None:
        task = asyncio.create_task(self._recover(process, restart=restart))
        self._tending.add(task)
        task.add_done_callback(self._tending.discard)

    async def _recover(self, process: DeviceProcess, *, restart: bool) -> None:
        if restart:
            await process.kill()
        await asyncio.sleep(self.condition(process).rest)
        if self.leaving:
            return
        if restart or not process.alive:
            await self._start(process)
        else:
            self._return(process)
