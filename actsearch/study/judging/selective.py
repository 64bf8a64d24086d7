"""What a difference is worth that is told because it was large enough to be told.

A mean that is reported only where its t statistic exceeds a critical value overstates the truth, the more so the
smaller that is. Conditional on having exceeded it, and on the sum of squares around the value under test, Student's t
keeps a known distribution, cut off at a place that depends on that value; inverting this test gives an estimate that is
too large no more often than too small among the differences that are told, and an interval that covers at least as
often as stated.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import stats
from scipy.optimize import brentq

from actsearch.schemas import Interval, ToldDifference
from actsearch.schemas.metrics import difference_within_range
from actsearch.study.judging.statistics import Comparison

_FAR = 1e3
"""Standard errors below what was seen beyond which nothing is looked for."""


def told_difference(comparison: Comparison, p: float, level: float, metric: str) -> ToldDifference | None:
    """What the difference that a comparison shows is worth; None where seeds failed: ranks decided, and not sizes.

    Args:
        p, level: see `told`.
        metric: whose range the interval is to keep to.
    """
    if comparison.any_failed or comparison.difference is None or comparison.sd is None or not 0 < p < 1:
        return None
    estimate, low, high = told(abs(comparison.difference), comparison.sd, comparison.pairs, p, level)
    low, high = difference_within_range(metric, estimate, low, high)
    return ToldDifference(difference=estimate, interval=Interval(low=low, high=high))


def told(mean: float, sd: float, pairs: int, p: float, level: float) -> tuple[float, float, float]:
    """Estimate and interval of a mean difference whose t test had to give at most `p` for it to be told.

    That the difference is above 0 is what was shown, so neither goes below it; where the truth is not below 0, this
    changes nothing about how often the interval covers it. The interval's upper end is Student's t interval's: for that
    to be too low the mean must be far below the truth and told all the same, which is rare wherever telling is.

    Args:
        mean, sd: of the differences, turned so that `mean` is positive.
        pairs: n >= 2, their number.
        p: two-sided, in (0, 1).
        level: of the interval, in (0, 1).

    Returns:
        The estimate (no more than half of those that are told are too large) and the interval's ends.

    References:
        Fithian, Sun & Taylor, Optimal inference after model selection, 2014, https://arxiv.org/abs/1410.2597 (the
        selective t test); Zhong & Prentice, Bias-reduced estimators and confidence intervals for odds ratios in
        genome-wide association studies, Biostatistics 2008 (the same for a known variance).
    """
    if sd == 0:
        return mean, mean, mean
    critical = float(stats.t.isf(p / 2, pairs - 1))
    low, middle = (_where(share, mean, sd, pairs, critical) for share in ((1 - level) / 2, 0.5))
    high = mean + float(stats.t.ppf((1 + level) / 2, pairs - 1)) * sd / math.sqrt(pairs)
    return max(0.0, middle), max(0.0, low), high


def _where(share: float, mean: float, sd: float, pairs: int, critical: float) -> float:
    """The true mean with which this share of what is told is larger; of several (with few pairs) not the largest."""
    error = sd / math.sqrt(pairs)

    def too_many(true: float) -> float:
        return _larger(true, mean, sd, pairs, critical) - share

    low = mean - _FAR * error
    return low if too_many(low) > 0 else float(brentq(too_many, low, mean, xtol=1e-9 * error))


def _larger(true: float, mean: float, sd: float, pairs: int, critical: float) -> float:
    """The chance of a larger t, by the null hypothesis of a true mean, among the t that exceed the critical value.

    With e = d - true, |e| is kept. `√n ē = |e| sin θ`, the standard deviation is `|e| cos θ / √(n - 1)` and Student's t
    of e `√(n - 1) tan θ`. What is told, `√n mean / sd > critical`, is then `sin(θ - tilt) > reach`: all θ above one,
    and where `true` is large those below another, of tiny deviations.
    """
    freedom = pairs - 1
    size = math.hypot(math.sqrt(freedom) * sd, math.sqrt(pairs) * (mean - true))
    tilt = math.atan(critical / math.sqrt(freedom))
    reach = -math.sqrt(pairs) * true / size * math.cos(tilt)
    observed = math.sqrt(pairs) * (mean - true) / sd
    if reach <= -1:
        return float(stats.t.sf(observed, freedom))
    turn = math.asin(min(reach, 1.0))
    told = float(stats.t.logsf(min(_t(tilt + turn, freedom), observed), freedom))
    if tilt - math.pi - turn > -math.pi / 2:
        told = float(np.logaddexp(told, stats.t.logcdf(_t(tilt - math.pi - turn, freedom), freedom)))
    return math.exp(min(0.0, float(stats.t.logsf(observed, freedom)) - told))


def _t(angle: float, freedom: int) -> float:
    return math.sqrt(freedom) * math.tan(min(angle, math.pi / 2))
