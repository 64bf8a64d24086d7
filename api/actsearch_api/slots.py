"""How many requests work at once, and how the others wait: for a slot, holding neither a thread nor a connection.

A request that is served has one thread and the connections that it takes there; nothing is held from one thread to the
next, so that none can wait for another. See docs/decisions/0141-one-slot-a-request.md.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import anyio
from anyio import to_thread

from actsearch.errors import ActsearchError

THREADS = 3
"""Requests that are served at once, with a connection each."""

PATIENCE = 10.0
"""Seconds that a request waits for a slot."""

T = TypeVar("T")


class Busy(ActsearchError):
    """Too many others wait already."""


@dataclass
class Slots:
    """Places for requests of one kind.

    Args:
        at_once: requests that are served at once.
        patience: seconds that a request waits at most.
    """

    at_once: int = THREADS
    patience: float = PATIENCE
    _free: anyio.CapacityLimiter = field(init=False)

    def __post_init__(self) -> None:
        self._free = anyio.CapacityLimiter(self.at_once)

    async def run(self, work: Callable[[], T]) -> T:
        """Do work in a thread as soon as there is a slot.

        Raises:
            Busy: there was none in time.
        """
        async with self.taken():
            return await to_thread.run_sync(work, limiter=anyio.CapacityLimiter(1))

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        """Hold a slot for the length of the block.

        Raises:
            Busy: there was none in time.
        """
        owner = object()
        with anyio.move_on_after(self.patience) as waiting:
            await self._free.acquire_on_behalf_of(owner)
        if waiting.cancelled_caught:
            raise Busy(f"{self.at_once} requests are being served and no place came free in {self.patience:g} s")
        try:
            yield
        finally:
            self._free.release_on_behalf_of(owner)
