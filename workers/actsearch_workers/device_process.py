"""A device's process, as its worker sees it: spawned once, kept, and replaced when it dies."""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import dataclass, field

import structlog

from actsearch.processor import blas_environment
from actsearch_workers.messages import Broken, Done, Drain, Ready, Reply, Run, parse_reply, to_line

log = structlog.get_logger()
LINE_LIMIT = 2**20


class ProcessDied(Exception):
    """The device process ended while it was asked to work; `code` is its exit code (negative: a signal)."""

    def __init__(self, code: int | None) -> None:
        self.code = code
        super().__init__(f"the device process died (exit code {code})")


@dataclass
class DeviceProcess:
    """A device and the process that trains on it.

    Args:
        device: `cpu`, `cuda:0` ...
        threads: CPU threads of the process.
        database_url: of the trial store; handed over in the environment, never on the command line.
    """

    device: str
    threads: int
    database_url: str
    _process: asyncio.subprocess.Process | None = None
    _draining: Drain | None = None
    _busy: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def start(self) -> None:
        """Spawn the process and wait until it is ready.

        Raises:
            ProcessDied: if it ends before.
        """
        # Passive: a thread that spins while it waits starves whatever else runs on the cores (the API, PostgreSQL,
        # another device's process); on two busy cores that made training five times slower.
        environment = (
            {"OMP_WAIT_POLICY": "PASSIVE"}
            | blas_environment()
            | os.environ
            | {
                "ACTSEARCH_DATABASE_URL": self.database_url,
                "OMP_NUM_THREADS": str(self.threads),
                "MKL_NUM_THREADS": str(self.threads),
                "OPENBLAS_NUM_THREADS": str(self.threads),
            }
        )
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "actsearch_workers.device_main", self.device, str(self.threads),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=LINE_LIMIT, env=environment,
        )  # fmt: skip
        log.info("device process started", device=self.device, pid=self._process.pid)
        if not isinstance(await self._reply(), Ready):
            raise ProcessDied(self._process.returncode)

    async def run(self, order: Run) -> Done | Broken:
        """Have the process work on a job.

        Raises:
            ProcessDied: if it ends meanwhile; the next call starts a new one.
        """
        async with self._busy:
            if self._process is None or self._process.returncode is not None:
                await self.start()
            if self._draining:
                await self._send(self._draining)
            await self._send(order)
            reply = await self._reply()
            if isinstance(reply, Ready):
                raise ProcessDied(None)
            return reply

    async def drain(self, seconds: float) -> None:
        """Ask the process to stop soon: see `Drain`."""
        self._draining = Drain(seconds)
        if self._process is not None and self._process.returncode is None:
            await self._send(self._draining)

    async def stop(self) -> None:
        """End the process: at once when it is idle."""
        if self._process is None or self._process.returncode is not None:
            return
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), timeout=5)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    async def _send(self, message: Run | Drain) -> None:
        assert self._process is not None  # noqa: S101 - set by start()
        assert self._process.stdin is not None  # noqa: S101
        try:
            self._process.stdin.write(to_line(message))
            await self._process.stdin.drain()
        except (BrokenPipeError, ConnectionResetError):
            return  # the reply, or its absence, tells

    async def _reply(self) -> Reply:
        assert self._process is not None  # noqa: S101
        assert self._process.stdout is not None  # noqa: S101
        line = await self._process.stdout.readline()
        if not line:
            code = await self._process.wait()
            raise ProcessDied(code)
        return parse_reply(line)
