"""What a running slice is asked from outside."""

from __future__ import annotations

import time
from dataclasses import dataclass


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

    def drain(self, seconds: float) -> None:
        """Begin no further cohort, and give the present one up after `seconds`."""
        self.draining = True
        self._give_up_at = time.monotonic() + seconds

    @property
    def given_up(self) -> bool:
        """Whether the present cohort should stop at its next rung."""
        return time.monotonic() >= self._give_up_at
