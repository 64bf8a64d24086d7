"""Learning-rate schedules."""

from __future__ import annotations

import math


def learning_rate_factor(schedule: str, step: int, steps: int) -> float:
    """What the learning rate is multiplied with at a step.

    Args:
        schedule: `constant`, or `cosine` (from 1 towards 0 over `steps`; Loshchilov & Hutter 2017, without restarts).
        step: steps done so far, from 0.
        steps: steps in the whole training.
    """
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * step / steps))
    return 1.0
