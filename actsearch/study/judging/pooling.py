"""One estimate from the verdicts of several jobs: what a family gains over the baseline, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

LEVEL = 0.95


@dataclass(frozen=True)
class Evidence:
    """What one job's verdict says of a family.

    Args:
        gain: mean paired difference to the baseline on fresh seeds, positive is better.
        error: standard error of that mean.
        seeds: pairs behind it, at least 2.
    """

    gain: float
    error: float
    seeds: int


@dataclass(frozen=True)
class Pooled:
    """A family over all its jobs.

    Args:
        mean: the random-effects mean of the jobs' gains.
        gain: that mean, shrunk towards the mean of all families by how little they differ beyond their errors.
        interval: of `mean`; all families' intervals hold together at the level.
        jobs, seeds: how many speak.
    """

    mean: float
    gain: float
    interval: tuple[float, float]
    jobs: int
    seeds: int


def pool(families: Mapping[str, Sequence[Evidence]], level: float = LEVEL) -> dict[str, Pooled]:
    """Pool each family's evidence.

    Jobs of a family differ by more than their errors (other seeds, settings, splits), so their mean is a random-effects
    one: DerSimonian and Laird's variance between jobs, Hartung and Knapp's interval by Student's t, and never a shorter
    interval than without variance between jobs. A family with a single job takes over the largest variance seen between
    the jobs of another. Intervals are corrected for the number of families (Bonferroni); gains are shrunk by empirical
    Bayes.

    Args:
        families: by name, each with at least one job's evidence.
        level: at which all intervals hold together, in (0, 1).

    Reference:
        DerSimonian & Laird, Meta-analysis in clinical trials, 1986; Knapp & Hartung, Improved tests for a random
        effects meta-regression, 2003; Efron & Morris, Stein's estimation rule and its competitors, 1973.
    """
    if not families:
        return {}
    between = {name: _between(found) for name, found in families.items()}
    largest = max((between[name] for name, found in families.items() if len(found) > 1), default=0.0)
    each = 1 - (1 - level) / len(families)
    means = {name: _mean(found, between[name] if len(found) > 1 else largest, each) for name, found in families.items()}
    shrunk = _shrunk({name: (mean, error) for name, (mean, error, _) in means.items()})
    return {
        name: Pooled(mean, shrunk[name], (mean - half, mean + half), len(found), sum(one.seeds for one in found))
        for (name, found), (mean, _, half) in zip(families.items(), means.values(), strict=True)
    }


def _between(found: Sequence[Evidence]) -> float:
    """DerSimonian and Laird's variance between jobs; 0 for one job."""
    gains, weights = _arrays(found, 0.0)
    mean = float((weights * gains).sum() / weights.sum())
    excess = float((weights * (gains - mean) ** 2).sum()) - (len(found) - 1)
    scale = float(weights.sum() - (weights**2).sum() / weights.sum())
    return max(0.0, excess / scale) if scale > 0 else 0.0


def _mean(found: Sequence[Evidence], between: float, level: float) -> tuple[float, float, float]:
    """Mean, its standard error, and half of its interval."""
    gains, weights = _arrays(found, between)
    mean = float((weights * gains).sum() / weights.sum())
    error = math.sqrt(1 / float(weights.sum()))
    freedom = min(one.seeds for one in found) - 1
    if len(found) > 1:
        spread = float((weights * (gains - mean) ** 2).sum()) / (len(found) - 1)
        error *= math.sqrt(max(1.0, spread))
        freedom = len(found) - 1
    return mean, error, float(stats.t.ppf((1 + level) / 2, freedom)) * error


_LEAST = 1e-12


def _arrays(found: Sequence[Evidence], between: float) -> tuple[np.ndarray, np.ndarray]:
    gains = np.array([one.gain for one in found])
    return gains, 1 / (np.array([one.error for one in found]) ** 2 + between + _LEAST)


def _shrunk(means: Mapping[str, tuple[float, float]]) -> dict[str, float]:
    """Each mean drawn towards that of all, by its error's share of what families differ by."""
    values = np.array([mean for mean, _ in means.values()])
    errors = np.array([error**2 for _, error in means.values()]) + _LEAST
    centre = float((values / errors).sum() / (1 / errors).sum())
    apart = max(0.0, float(((values - centre) ** 2).mean() - errors.mean())) if len(values) > 1 else math.inf
    kept = np.ones(len(values)) if math.isinf(apart) else apart / (apart + errors)
    return dict(zip(means, (centre + kept * (values - centre)).tolist(), strict=True))
