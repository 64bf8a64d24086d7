"""Whether a device process still works: it is heard every second, and its training moves on."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from actsearch_workers.messages import Beat

STEPS = 20
"""A training step may take so many times the longest one seen."""
PAUSES = 10
"""So many times the longest pause between trainings (a data set, a proposal, an evaluation) is no hang yet."""


@dataclass
class Watchdog:
    """Told of every beat of a device process; says what is wrong with it.

    Args:
        silence: seconds without a beat after which the process counts as stopped; also the least time for a step.
        patience: seconds without progress outside training steps after which it counts as hung, or longer where longer
            pauses were seen to end.
    """

    silence: float
    patience: float
    clock: Callable[[], float] = time.monotonic
    _last: Beat = field(default_factory=lambda: Beat(0, 0))
    _heard: float = field(init=False)
    _moved: float = field(init=False)
    _looked: float = field(init=False)
    _longest_step: float | None = None
    _longest_pause: float = 0.0

    def __post_init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Count from now on: an order has been given."""
        self._heard = self._moved = self._looked = self.clock()
        self._last = Beat(self._last.steps, self._last.moves)

    def hear(self, beat: Beat) -> None:
        """Note a beat."""
        now = self.clock()
        self._heard = now
        if (beat.steps, beat.moves) == (self._last.steps, self._last.moves):
            return
        gap, self._moved = now - self._moved, now
        if self._last.stepping and beat.steps > self._last.steps:
            self._longest_step = max(self._longest_step or 0.0, gap)
        else:
            self._longest_pause = max(self._longest_pause, gap)
        self._last = beat

    def wrong(self) -> str | None:
        """What is wrong with the process, if anything is; to be asked every second or so."""
        now = self.clock()
        if now - self._looked > self.silence / 2:  # it was us who did not run: what was sent is still to be read
            self._heard += now - self._looked
            self._moved += now - self._looked
        self._looked = now
        if now - self._heard > self.silence:
            return f"was not heard for {now - self._heard:.0f} s"
        if now - self._moved > self.deadline:
            return f"made no progress for {now - self._moved:.0f} s"
        return None

    @property
    def deadline(self) -> float:
        """Seconds without progress that are too many now."""
        if self._last.stepping and self._longest_step is not None:
            return max(self.silence, STEPS * self._longest_step)
        return max(self.patience, PAUSES * self._longest_pause)
