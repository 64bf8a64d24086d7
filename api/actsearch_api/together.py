"""Requests that ask the same at the same time are answered together: what is read for one is right for all that wait.

An answer is shared only by requests that came before its transaction began, so that nobody is told less than is there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import anyio
import anyio.lowlevel

from actsearch_api.slots import Busy, Slots

AT_ONCE = 8
"""Answers of a round that are sent before others get their turn."""

T = TypeVar("T")


@dataclass
class _Round(Generic[T]):
    """One reading, and those that wait for it; `waiting` is how many."""

    over: anyio.Event = field(default_factory=anyio.Event)
    waiting: int = 0
    answer: T | None = None
    failure: Exception | None = None

    def result(self) -> T:
        """The answer, or whatever kept it from being found."""
        if self.answer is not None:
            return self.answer
        raise self.failure or Busy("the request that was to read for all was ended")


class Together(Generic[T]):
    """Rounds of reading: of each question one goes on at a time, and one is waited for.

    Args:
        slots: a request waits for the round before its own as long as for one of these.
    """

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._going_on: dict[Hashable, _Round[T]] = {}
        self._next: dict[Hashable, _Round[T]] = {}

    async def answer(self, question: Hashable, read: Callable[[Callable[[], None]], Awaitable[T]]) -> T:
        """What `read` finds.

        Args:
            question: what is asked, by whom as far as that matters.
            read: reads; it calls what it is given just before it begins, from whatever thread.

        Raises:
            Busy: an earlier round did not end in time.
            Exception: as `read`.
        """
        if (waited_for := self._next.get(question)) is not None:
            place = waited_for.waiting = waited_for.waiting + 1
            await self._until_over(waited_for)
            for _ in range(place // AT_ONCE):  # hundreds of answers in a row would keep all else from the event loop
                await anyio.lowlevel.checkpoint()
            return waited_for.result()
        mine: _Round[T] = _Round()
        self._next[question] = mine
        try:
            while (other := self._going_on.get(question)) is not None:
                await self._until_over(other)
            self._going_on[question] = mine
            mine.answer = await read(lambda: self._close(question, mine))
        except Exception as error:
            mine.failure = error
        finally:
            self._close(question, mine)
            if self._going_on.get(question) is mine:
                del self._going_on[question]
            mine.over.set()
        return mine.result()

    async def _until_over(self, one: _Round[T]) -> None:
        with anyio.move_on_after(self._slots.patience) as waiting:
            await one.over.wait()
        if waiting.cancelled_caught:
            raise Busy(f"what others asked, too, was not read within {self._slots.patience:g} s")

    def _close(self, question: Hashable, one: _Round[T]) -> None:
        """Nobody else is answered by this round."""
        if self._next.get(question) is one:
            del self._next[question]
