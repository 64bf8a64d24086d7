"""Learning-rate schedules."""

from __future__ import annotations

import math

_RISE, _START, _FINAL = 0.3, 1 / 25, 1 / 25e4


def learning_rate_factor(schedule: str, step: int, steps: int) -> float:
    """What the learning rate is multiplied with at a step.

    Args:
        schedule: `constant`; `cosine` (from 1 towards 0 over `steps`; Loshchilov & Hutter 2017, without restarts); or
            `one_cycle` (from 1/25 up to 1 over the first 30 %, then down to 4e-6, in half cosines; Smith & Topin 2018,
            as torch's `OneCycleLR` has it).
        step: steps done so far, from 0.
        steps: steps in the whole training.
    """
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * step / steps))
    if schedule == "one_cycle":
        return _one_cycle(step, steps)
    return 1.0


def _one_cycle(step: int, steps: int) -> float:
    peak, end = _RISE * steps - 1, steps - 1
    if step <= peak:
        return _between(_START, 1.0, step / peak)
    return _between(1.0, _FINAL, (step - peak) / (end - peak))


def _between(first: float, last: float, share: float) -> float:
    """Half a cosine from `first` to `last`; `share` in [0, 1] says how far."""
    return last + 0.5 * (first - last) * (1 + math.cos(math.pi * share))
