"""What a running slice is asked from outside, and how far it is."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from actsearch_workers.messages import Beat


@dataclass
class Control:
    """Shared between the thread that listens to the worker and the one that trains.

    Args:
        busy: a slice is running.
        draining: begin no further cohort.
    """

    busy: bool = False
    draining: bool = False
    _give_up_at: float = float("inf")
    _beat: Beat = field(default_factory=lambda: Beat(0, 0))

    def drain(self, seconds: float) -> None:
        """Begin no further cohort, and give the present one up after `seconds`."""
        self.draining = True
        self._give_up_at = time.monotonic() + seconds

    @property
    def given_up(self) -> bool:
        """Whether the present cohort should stop at its next rung."""
        return time.monotonic() >= self._give_up_at

    def stepped(self, another: bool) -> None:
        """A training step is done; `another` follows at once."""
        self._beat = Beat(self._beat.steps + 1, self._beat.moves, stepping=another)

    def moved(self) -> None:
        """Something else is done: trials proposed, a rung reported, a network measured."""
        self._beat = Beat(self._beat.steps, self._beat.moves + 1)

    @property
    def beat(self) -> Beat:
        """How far the slice is, to be told to the worker."""
        return self._beat
