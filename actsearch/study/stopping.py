"""When a search ends before its trials are spent."""

from __future__ import annotations

from dataclasses import dataclass

from actsearch.schemas import Budget, Direction, StopRule


@dataclass(frozen=True)
class Tally:
    """How far a search is.

    Args:
        seconds: since it began.
        device_seconds: that its trials took.
        best: the best finite value so far; None without one.
        since_best: trials that ended after the first one to reach it.
    """

    seconds: float
    device_seconds: float
    best: float | None
    since_best: int


def reached(budget: Budget, direction: Direction, tally: Tally) -> StopRule | None:
    """The limit of the budget that is reached, other than the number of trials and the bound on regret."""
    if budget.seconds is not None and tally.seconds >= budget.seconds:
        return StopRule.seconds
    if budget.device_seconds is not None and tally.device_seconds >= budget.device_seconds:
        return StopRule.device_seconds
    if tally.best is None:
        return None
    sign = 1 if direction is Direction.maximize else -1
    if budget.target is not None and sign * tally.best >= sign * budget.target:
        return StopRule.target
    if budget.patience is not None and tally.since_best >= budget.patience:
        return StopRule.patience
    return None


def limited(budget: Budget) -> bool:
    """Whether the budget has a limit that `reached` knows of."""
    return any(limit is not None for limit in (budget.seconds, budget.device_seconds, budget.target, budget.patience))
