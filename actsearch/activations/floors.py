"""Keeping a trained hyperparameter on the safe side of a bound."""

from __future__ import annotations

from torch import Tensor


def at_least(value: float | Tensor, bound: float) -> float | Tensor:
    """`value`, or `bound` where it is smaller; the gradient passes as if nothing had happened.

    A plain clamp has no gradient below the bound: a value that one bad step pushed there would never come back.
    """
    if not isinstance(value, Tensor):
        return max(value, bound)
    return value + (value.clamp(min=bound) - value).detach()
