"""The ranges of the tasks' metrics, by name."""

from __future__ import annotations

import math
from collections.abc import Mapping

_SHARES = (
    "accuracy",
    "average_precision",
    "balanced_accuracy",
    "exact_match",
    "f1",
    "f1_macro",
    "modes_covered",
    "quality",
    "roc_auc",
)
_ERRORS = (
    "bits_per_character",
    "log_loss",
    "mae",
    "mse",
    "poisson_deviance",
    "relative_l2",
    "rmse",
    "sliced_wasserstein",
)
RANGES: Mapping[str, tuple[float, float]] = {
    **dict.fromkeys(_SHARES, (0.0, 1.0)),
    **dict.fromkeys(_ERRORS, (0.0, math.inf)),
    "r2": (-math.inf, 1.0),
}


def within_range(metric: str, mean: float, low: float, high: float) -> tuple[float, float]:
    """An interval of a mean, cut off where the metric ends: no mean lies beyond, so it covers as often as before.

    Args:
        metric: name; one that is not known here has no range, nor has one whose mean lies outside.
    """
    least, most = RANGES.get(metric, (-math.inf, math.inf))
    return (max(low, least), min(high, most)) if least <= mean <= most else (low, high)


def difference_within_range(metric: str, mean: float, low: float, high: float) -> tuple[float, float]:
    """The same for the mean difference of two results."""
    least, most = RANGES.get(metric, (-math.inf, math.inf))
    width = most - least
    return (max(low, -width), min(high, width)) if abs(mean) <= width else (low, high)
