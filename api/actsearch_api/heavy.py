"""Answers that take seconds of a processor: computed apart, one at a time, and kept while the job stays as it is."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import Annotated, Concatenate, ParamSpec, TypeVar
from uuid import UUID

import anyio
import structlog
from cachetools import LRUCache
from fastapi import Depends, Request
from sqlalchemy import Connection, Engine
from starlette.requests import ClientDisconnect

from actsearch.store import job_views
from actsearch_api.apart import run_apart
from actsearch_api.slots import Slots

AT_ONCE = 1
"""Answers that are computed at once: each keeps a processor busy and holds a job's trials in memory."""

PATIENCE = 30.0
"""Seconds that a request waits for its turn."""

LONGEST = 120.0
"""Seconds after which an answer is given up."""

KEPT_BYTES = 64_000_000
"""Bytes of all answers that are kept."""

_ENTRY = 1000
"""Bytes that an answer takes besides its own, an absent one (a chart that a job has not) too."""

log = structlog.get_logger()
P = ParamSpec("P")
T = TypeVar("T")
Work = Callable[Concatenate[Connection, UUID, P], bytes | None]


@dataclass(frozen=True)
class _Kept:
    version: bytes
    answer: bytes | None


@dataclass
class HeavyAnswers:
    """Computes and keeps the heavy answers of a process.

    Args:
        engine: of the trial store.
        slots: of all requests; finding out whether a job has changed takes one.
        turns: of the heavy answers (`AT_ONCE`, `PATIENCE`).
        longest, kept_bytes: see `LONGEST`, `KEPT_BYTES`.
    """

    engine: Engine
    slots: Slots
    turns: Slots = field(default_factory=lambda: Slots(AT_ONCE, PATIENCE))
    longest: float = LONGEST
    kept_bytes: int = KEPT_BYTES
    _kept: LRUCache[Hashable, _Kept] = field(init=False)

    def __post_init__(self) -> None:
        self._kept = LRUCache(self.kept_bytes, getsizeof=_size)

    async def answer(
        self, request: Request, job_id: UUID, work: Work[P], *given: P.args, **options: P.kwargs
    ) -> bytes | None:
        """What `work` makes of a job: kept from before if the job is as it was, else computed now.

        Args:
            request: who asks; nobody computes for a client that has left.
            work: see `run_apart`; what it answers depends on the job and on what is given, and on nothing else.

        Raises:
            NotFound: no such job.
            Busy: others had their turn for too long.
            Endless: it took too long.
            StoreError: the database could not be reached.
            ClientDisconnect: the client has left.
        """
        version = await self.slots.run(lambda: self._version(job_id))
        key = (work.__module__, work.__qualname__, job_id, given, tuple(sorted(options.items())))

        async def compute() -> bytes | None:
            async with self.turns.taken():
                kept = self._kept.get(key)  # perhaps by whoever had the turn before
                if kept is None or kept.version != version:
                    log.info("computing", answer=work.__qualname__, job=str(job_id))
                    url = self.engine.url.render_as_string(hide_password=False)
                    kept = _Kept(version, await run_apart(url, self.longest, work, job_id, *given, **options))
                    if _size(kept) <= self.kept_bytes:
                        self._kept[key] = kept
                return kept.answer

        kept = self._kept.get(key)
        if kept is not None and kept.version == version:
            return kept.answer
        return await _while_there(request, compute)

    def _version(self, job_id: UUID) -> bytes:
        """Differs whenever what is computed from a job may: a trial, an evaluation or the job itself ended or began."""
        with self.engine.begin() as connection:
            job = job_views.get_job(connection, job_id, stall_timeout=0)
        return hashlib.sha256(job.model_dump_json(exclude={"workers_online"}).encode()).digest()


async def _while_there(request: Request, work: Callable[[], Awaitable[T]]) -> T:
    """What work gives, which is cancelled when the client leaves.

    Raises:
        ClientDisconnect: it has left.
    """
    given: list[T] = []
    failure: Exception = ClientDisconnect()

    async def watch() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch)
        try:
            given.append(await work())
        except Exception as error:
            failure = error
        tasks.cancel_scope.cancel()
    if not given:
        raise failure
    return given[0]


def _size(kept: _Kept) -> int:
    return _ENTRY + len(kept.answer or b"")


async def _heavy(request: Request) -> HeavyAnswers:
    heavy: HeavyAnswers = request.app.state.heavy
    return heavy


Heavy = Annotated[HeavyAnswers, Depends(_heavy)]
