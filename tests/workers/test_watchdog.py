"""When a device process counts as stopped or hung; the clock is the test's."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from actsearch_workers.control import Control
from actsearch_workers.messages import Beat
from actsearch_workers.watchdog import PAUSES, STEPS, Watchdog

SILENCE, PATIENCE = 10.0, 100.0


class Watched:
    """A process that a watchdog looks at every half second, and its clock."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.dog = Watchdog(SILENCE, PATIENCE, clock=lambda: self.now)
        self.control = Control()

    def live(self, seconds: float, *, beats: bool = True) -> str | None:
        """Pass time, heard or not, without progress; what is found wrong, if anything."""
        end = self.now + seconds
        while self.now < end:
            self.now += 0.5
            if beats:
                self.dog.hear(self.control.beat)
            if wrong := self.dog.wrong():
                return wrong
        return None


def test_a_process_that_is_not_heard_is_stopped() -> None:
    watched = Watched()
    assert watched.live(SILENCE, beats=False) is None
    assert watched.live(1, beats=False) == "was not heard for 10 s"


def test_one_that_is_heard_but_does_nothing_hangs_only_after_long() -> None:
    watched = Watched()
    assert watched.live(PATIENCE - 1) is None
    assert watched.live(2) == "made no progress for 100 s"


def test_between_steps_the_limit_follows_the_steps() -> None:
    watched = Watched()
    for _ in range(5):
        watched.control.stepped(True)
        assert watched.live(2) is None
    assert watched.live(STEPS * 2 - 3) is None
    assert watched.live(4) == "made no progress for 40 s"


def test_short_steps_are_given_the_time_of_silence() -> None:
    watched = Watched()
    for _ in range(50):
        watched.control.stepped(True)
        assert watched.live(0.5) is None
    assert watched.live(SILENCE - 1) is None
    assert watched.live(1.5) is not None


def test_after_the_last_step_of_an_epoch_patience_counts_again() -> None:
    watched = Watched()
    for another in (True, True, False):
        watched.control.stepped(another)
        watched.live(0.5)
    assert watched.live(PATIENCE - 1) is None
    assert watched.live(2) is not None


def test_a_long_pause_that_ended_makes_more_patient() -> None:
    watched = Watched()
    watched.live(PATIENCE / 2)
    watched.control.moved()
    watched.live(0.5)
    assert watched.dog.deadline >= PAUSES * PATIENCE / 2


@given(st.floats(SILENCE / 2 + 1, 1e6))
def test_a_worker_that_slept_itself_kills_nobody_for_it(slept: float) -> None:
    watched = Watched()
    assert watched.live(5) is None
    watched.now += slept
    assert watched.dog.wrong() is None
    assert watched.live(SILENCE, beats=True) is None


def test_an_idle_time_before_the_order_does_not_count() -> None:
    watched = Watched()
    watched.control.stepped(True)
    watched.live(1)
    watched.now += 10_000
    watched.dog.begin()
    assert watched.dog.deadline == PATIENCE
    watched.dog.hear(Beat(1, 0))
    assert watched.live(PATIENCE - 1) is None
