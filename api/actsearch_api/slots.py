"""How many requests work at once, and how the others wait: for a slot, holding neither a thread nor a connection.

A request that is served has one thread and the connections that it takes there; nothing is held from one thread to the
next, so that none can wait for another. See docs/decisions/0141-one-slot-a-request.md.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import wraps
from typing import ParamSpec, TypeVar

import anyio
from anyio import to_thread
from fastapi import Request

from actsearch.errors import ActsearchError

THREADS = 3
"""Requests that are served at once; the pool has twice as many connections, as some take two."""

HEAVY = 1
"""How many of them may be reports, importances and the like, which keep a processor busy for seconds."""

PATIENCE = 10.0
"""Seconds that a request waits for a slot."""

P = ParamSpec("P")
T = TypeVar("T")


class Busy(ActsearchError):
    """Too many others wait already."""


@dataclass
class Slots:
    """The slots of an application.

    Args:
        patience: seconds that a request waits at most.
    """

    threads: int = THREADS
    heavy: int = HEAVY
    patience: float = PATIENCE
    _free: anyio.CapacityLimiter = field(init=False)
    _free_for_heavy: anyio.CapacityLimiter = field(init=False)

    def __post_init__(self) -> None:
        self._free = anyio.CapacityLimiter(self.threads)
        self._free_for_heavy = anyio.CapacityLimiter(self.heavy)

    async def run(self, work: Callable[[], T], *, is_heavy: bool = False) -> T:
        """Do work in a thread as soon as there is a slot.

        Args:
            is_heavy: whether it may take seconds.

        Raises:
            Busy: there was none in time.
        """
        wanted = [self._free_for_heavy, self._free] if is_heavy else [self._free]
        owner, taken = object(), 0
        try:
            with anyio.move_on_after(self.patience):
                for limiter in wanted:
                    await limiter.acquire_on_behalf_of(owner)
                    taken += 1
            if taken < len(wanted):
                raise Busy(f"{self.threads} requests are being served and no place came free in {self.patience:g} s")
            return await to_thread.run_sync(work, limiter=anyio.CapacityLimiter(1))
        finally:
            for limiter in wanted[:taken]:
                limiter.release_on_behalf_of(owner)


def in_transaction(*, is_heavy: bool = False) -> Callable[[Callable[..., T]], Callable[..., Awaitable[T]]]:
    """Decorate a route whose argument `connection` is a connection in a transaction, open for as long as it runs.

    It is committed before the answer is sent, so that whoever has the answer finds what it speaks of.

    Args:
        is_heavy: see `Slots.run`.
    """

    def decorate(route: Callable[..., T]) -> Callable[..., Awaitable[T]]:
        signature = inspect.signature(route)
        own = [p.replace(kind=p.KEYWORD_ONLY) for name, p in signature.parameters.items() if name != "connection"]

        @wraps(route)
        async def served(*, http: Request, **given: object) -> T:
            def work() -> T:
                with http.app.state.engine.begin() as connection:
                    return route(**given, connection=connection)

            slots: Slots = http.app.state.slots
            return await slots.run(work, is_heavy=is_heavy)

        asked = inspect.Parameter("http", inspect.Parameter.KEYWORD_ONLY, annotation=Request)
        vars(served)["__signature__"] = signature.replace(parameters=[asked, *own])
        return served

    return decorate
