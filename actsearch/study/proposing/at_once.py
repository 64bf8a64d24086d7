"""How many proposals to ask of a sampler before it sees the first result."""

from __future__ import annotations

from actsearch.schemas import Sampler

# Optuna's TPE and GP draw their first ten trials at random anyway.
_AT_RANDOM = 10
_ROUNDS = 4


def most_at_once(sampler: Sampler, trials: int) -> int:
    """The most trials of a budget of `trials` to propose at once.

    A sampler that learns gets to learn at least three times: no more than a quarter of the budget is proposed together
    (what is proposed together keeps apart by the constant liar). Where nothing is learned it makes no difference.
    """
    return max(_AT_RANDOM, trials // _ROUNDS) if sampler.learns else trials
