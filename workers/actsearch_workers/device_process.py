"""A device's process, as its worker sees it: spawned once, kept, watched, and replaced when it dies or hangs."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import structlog

from actsearch.processor import blas_environment
from actsearch_workers.messages import Answer, Beat, Drain, Ready, Run, parse_reply, to_line
from actsearch_workers.watchdog import Watchdog

log = structlog.get_logger()
LINE_LIMIT = 2**20
KILL_TIMEOUT = 10.0
"""Seconds that a killed process may take to end; one that waits for its hardware may not end at all."""


class ProcessDied(Exception):
    """The device process ended while it was asked to work, or was killed because it hung.

    Attributes:
        code: its exit code (negative: a signal).
        reason: what happened, for people.
    """

    def __init__(self, code: int | None, reason: str | None = None) -> None:
        self.code = code
        self.reason = reason or f"died (exit code {code})"
        super().__init__(f"the device process {self.reason}")


@dataclass
class DeviceProcess:
    """A device and the process that trains on it.

    Args:
        device: `cpu`, `cuda:0` ...
        threads: CPU threads of the process.
        database_url: of the trial store; handed over in the environment, never on the command line.
        silence: seconds without a sign of life after which the process is killed.
        patience: seconds without progress after which it is killed, while it does something of unknown length.
    """

    device: str
    threads: int
    database_url: str
    silence: float = 30.0
    patience: float = 600.0
    _process: asyncio.subprocess.Process | None = None
    _watchdog: Watchdog | None = None
    _draining: Drain | None = None
    _busy: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.returncode is None

    @property
    def busy(self) -> bool:
        """Whether it has been given an order that it has not answered."""
        return self._busy.locked()

    async def start(self) -> None:
        """Spawn the process and wait until it is ready.

        Raises:
            ProcessDied: if it ends before, or is not ready in time.
        """
        beat = min(1.0, self.silence / 5)
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "actsearch_workers.device_main", self.device, str(self.threads), str(beat),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=LINE_LIMIT, env=self._environment(),
        )  # fmt: skip
        log.info("device process started", device=self.device, pid=self._process.pid)
        # Until it is ready it has nothing to say: its silence is no sign.
        self._watchdog = Watchdog(self.patience, self.patience)
        if not isinstance(await self._watched_answer(), Ready):
            raise ProcessDied(self._process.returncode)
        self._watchdog = Watchdog(self.silence, self.patience)

    def _environment(self) -> Mapping[str, str]:
        # Passive: a thread that spins while it waits starves whatever else runs on the cores (the API, PostgreSQL,
        # another device's process); on two busy cores that made training five times slower.
        return (
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

    async def run(self, order: Run) -> Answer:
        """Have the process work on a job.

        Raises:
            ProcessDied: if it ends meanwhile, or is killed because it hangs; the next call starts a new one.
        """
        async with self._busy:
            if not self.alive:
                await self.start()
            if self._draining:
                await self._send(self._draining)
            await self._send(order)
            return await self._watched_answer()

    async def drain(self, seconds: float) -> None:
        """Ask the process to stop soon: see `Drain`."""
        self._draining = Drain(seconds)
        if self.alive:
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
            await self.kill()

    async def kill(self) -> None:
        """End the process whatever it does, even if it is stopped."""
        if self._process is None or self._process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            self._process.kill()
        try:
            await asyncio.wait_for(self._process.wait(), timeout=KILL_TIMEOUT)
        except TimeoutError:
            log.error("device process cannot be killed", device=self.device, pid=self._process.pid)  # noqa: TRY400

    async def _send(self, message: Run | Drain) -> None:
        assert self._process is not None  # noqa: S101 - set by start()
        assert self._process.stdin is not None  # noqa: S101
        try:
            self._process.stdin.write(to_line(message))
            # Not waited for: a stopped process reads nothing, and what is sent fits into the pipe.
        except (BrokenPipeError, ConnectionResetError):
            return  # the reply, or its absence, tells

    async def _watched_answer(self) -> Answer:
        """The process's answer to what it was asked; kills it when it hangs."""
        assert self._watchdog is not None  # noqa: S101 - set by start()
        watchdog = self._watchdog
        watchdog.begin()
        answer = asyncio.create_task(self._answer(watchdog))
        try:
            while not answer.done():
                await asyncio.wait([answer], timeout=min(1.0, watchdog.silence / 10))
                if not answer.done() and (wrong := watchdog.wrong()) is not None:
                    log.warning("device process hangs: killed", device=self.device, it=wrong)
                    await self.kill()
                    raise ProcessDied(None, f"{wrong} and was killed")
            return answer.result()
        finally:
            answer.cancel()

    async def _answer(self, watchdog: Watchdog) -> Answer:
        assert self._process is not None  # noqa: S101
        assert self._process.stdout is not None  # noqa: S101
        while line := await self._process.stdout.readline():
            reply = parse_reply(line)
            if not isinstance(reply, Beat):
                return reply
            watchdog.hear(reply)
        raise ProcessDied(await self._process.wait())
