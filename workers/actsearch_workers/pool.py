"""The devices of a worker."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from actsearch.errors import FieldProblem, InvalidRequest
from actsearch_workers.device_process import DeviceProcess

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


class DevicePool:
    """Hands free devices to runner tasks."""

    def __init__(self, processes: Sequence[DeviceProcess]) -> None:
        self._processes = tuple(processes)
        self._free: asyncio.Queue[DeviceProcess] = asyncio.Queue()
        for process in processes:
            self._free.put_nowait(process)

    @asynccontextmanager
    async def free(self) -> AsyncIterator[DeviceProcess]:
        """A device for the time of the `with` block; waits for one."""
        process = await self._free.get()
        try:
            yield process
        finally:
            self._free.put_nowait(process)

    async def start(self) -> None:
        """Start every device's process."""
        await asyncio.gather(*(process.start() for process in self._processes))

    async def drain(self, seconds: float) -> None:
        """Ask every device to stop within about `seconds`."""
        await asyncio.gather(*(process.drain(seconds) for process in self._processes))

    async def stop(self) -> None:
        """End every device's process."""
        await asyncio.gather(*(process.stop() for process in self._processes))
