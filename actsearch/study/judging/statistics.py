"""Is a finalist better than the baseline? Paired comparisons over seeds, and when one may stop collecting them.

Everything here works on differences `candidate - baseline`, one a seed, turned so that positive is better. Under the
hypothesis that nothing distinguishes the two, each difference is as likely as its negative; the exact sign-flip test
needs no more than that, so it keeps its level for ties, bounded accuracies and any number of seeds.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from actsearch.schemas import Outcome

_RESAMPLES = 10_000
# Up to so many pairs all sign patterns are looked at; above, `_RESAMPLES` of them by a fixed seed.
_EXACT_PAIRS = 13
_SLACK, _LEAST_EARLY = 1.5, 1e-3
"""What `p_early` stretches the t test's p by, and down to which level (of one finalist) that was seen to be enough."""


@dataclass(frozen=True)
class Comparison:
    """What differences paired by seed say.

    Args:
        differences: (n,), candidate - baseline, turned so that positive is better; n >= 2.
        level: of the intervals, in (0, 1).
        difference, sd: their mean and standard deviation.
        interval: of the mean difference, from Student's t.
        p_t, p_sign_flip: two-sided, not corrected for the number of finalists.
        wins, losses, ties: seeds on which the candidate was better, worse, equal.
    """

    differences: NDArray[np.float64]
    level: float
    difference: float
    sd: float
    interval: tuple[float, float]
    p_t: float
    p_sign_flip: float
    wins: int
    losses: int
    ties: int

    @property
    def pairs(self) -> int:
        """Seeds on which both were measured."""
        return len(self.differences)

    @property
    def p(self) -> float:
        """The p value that decides: of the t and the sign-flip test the larger.

        The sign-flip test guarantees the level. With the t test beside it, what is called a difference always has a
        t interval on one side of zero.
        """
        return max(self.p_t, self.p_sign_flip)

    @property
    def p_early(self) -> float:
        """The p value of an early look at too few seeds for the exact test, which cannot fall below 2 / 2^n.

        It takes the two results of a seed, under the hypothesis, for *independent* draws of one distribution, which may
        be another for each seed. Then n equal differences come about with a chance of at most 2 / 4^n (two values, even
        chances); that is the floor. Above it the t test's, times 1.5: distributions of a few values stretch it by up to
        1.4 (docs/decisions/0007-looks-share-the-error-level.md).
        """
        return min(1.0, max(_SLACK * self.p_t, 2.0 * 4.0**-self.pairs))

    @property
    def p_wilcoxon(self) -> float:
        """Wilcoxon's signed-rank test, two-sided, for those who know it; it decides nothing here."""
        return float(stats.wilcoxon(self.differences).pvalue) if self.differences.any() else 1.0

    @property
    def bootstrap(self) -> tuple[float, float] | None:
        """Interval of the mean by the bias-corrected and accelerated bootstrap; None where all differences are equal.

        Reference:
            Efron, Better bootstrap confidence intervals, JASA 1987.
        """
        return None if _is_constant(self.differences) else _bootstrap(self.differences, self.level)


def compare(candidate: ArrayLike, baseline: ArrayLike, *, level: float = 0.95) -> Comparison:
    """Compare two samples paired by seed, larger values being better.

    Args:
        candidate, baseline: (n,), n >= 2, finite, in the same order of seeds.
        level: of the intervals, in (0, 1).

    Raises:
        ValueError: fewer than two pairs, unequal lengths, or a value that is not finite.

    Reference:
        Pesarin & Salmaso, Permutation tests for complex data, 2010 (the sign-flip test).
    """
    differences = _differences(candidate, baseline)
    mean, sd = float(differences.mean()), float(differences.std(ddof=1))
    if _is_constant(differences):
        sd = 0.0
    return Comparison(
        differences=differences,
        level=level,
        difference=mean,
        sd=sd,
        interval=_t_interval(mean, sd, len(differences), level),
        p_t=_p_t(mean, sd, len(differences)),
        p_sign_flip=_p_sign_flip(differences),
        wins=int((differences > 0).sum()),
        losses=int((differences < 0).sum()),
        ties=int((differences == 0).sum()),
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """P values corrected for their number, in the order given: comparing them with alpha keeps the family's error.

    Reference:
        Holm, A simple sequentially rejective multiple test procedure, Scand. J. Statist. 1979.
    """
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, (len(p_values) - rank) * p_values[place])
        corrected[place] = min(1.0, largest)
    return corrected


def decide(comparison: Comparison, corrected_p: float, alpha: float) -> Outcome:
    """`better` or `worse` where the corrected p value is at most `alpha`, else `no_difference`."""
    if corrected_p > alpha or comparison.difference == 0:
        return Outcome.no_difference
    return Outcome.better if comparison.difference > 0 else Outcome.worse


def _differences(candidate: ArrayLike, baseline: ArrayLike) -> NDArray[np.float64]:
    a, b = np.asarray(candidate, dtype=np.float64), np.asarray(baseline, dtype=np.float64)
    if a.ndim != 1 or a.shape != b.shape or len(a) < 2:
        raise ValueError(f"compare needs two samples of the same length, at least 2; got {a.shape} and {b.shape}")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("compare needs finite values; leave out the seeds on which training failed")
    return a - b


def _is_constant(differences: NDArray[np.float64]) -> bool:
    """Whether the differences are all the same but for the last bits."""
    return bool(np.ptp(differences) <= 1e-12 * np.abs(differences).max())


def _t_interval(mean: float, sd: float, pairs: int, level: float) -> tuple[float, float]:
    half = float(stats.t.ppf((1 + level) / 2, pairs - 1)) * sd / math.sqrt(pairs)
    return mean - half, mean + half


def _p_t(mean: float, sd: float, pairs: int) -> float:
    if sd == 0:
        return 1.0 if mean == 0 else 0.0
    return float(2 * stats.t.sf(abs(mean) / (sd / math.sqrt(pairs)), pairs - 1))


def _bootstrap(differences: NDArray[np.float64], level: float) -> tuple[float, float] | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of degenerate distributions, which come back as NaN
        found = stats.bootstrap(
            (differences,), np.mean, confidence_level=level, n_resamples=_RESAMPLES, rng=np.random.default_rng(0)
        )
    low, high = float(found.confidence_interval.low), float(found.confidence_interval.high)
    return (low, high) if math.isfinite(low) and math.isfinite(high) else None


def _p_sign_flip(differences: NDArray[np.float64]) -> float:
    """How often a sum at least as far from zero comes about when each sign is thrown anew.

    Zeros flip into themselves; leaving them out changes no sum and keeps the patterns few.
    """
    moved = differences[differences != 0]
    if len(moved) < 2:
        return 1.0
    exact = len(moved) <= _EXACT_PAIRS
    signs = _all_signs(len(moved)) if exact else _some_signs(len(moved))
    sums = np.abs(signs @ moved)
    observed = abs(float(moved.sum())) * (1 - 1e-12)  # equal sums differ in their last bits
    as_far = int((sums >= observed).sum())
    return as_far / len(signs) if exact else (as_far + 1) / (len(signs) + 1)


@lru_cache(maxsize=_EXACT_PAIRS + 1)
def _all_signs(pairs: int) -> NDArray[np.float64]:
    """(2^(pairs - 1), pairs): every sign pattern but for turning all of them, which changes no absolute sum."""
    codes = np.arange(2 ** (pairs - 1))[:, None] >> np.arange(pairs) & 1
    return np.asarray(1 - 2 * codes, dtype=np.float64)


@lru_cache(maxsize=64)
def _some_signs(pairs: int) -> NDArray[np.float64]:
    """(`_RESAMPLES`, pairs)."""
    return np.asarray(1 - 2 * np.random.default_rng(0).integers(0, 2, (_RESAMPLES, pairs)), dtype=np.float64)


# --- how long to go on ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Look:
    """A moment at which the evidence is judged.

    Args:
        seeds: seeds finished by then.
        alpha: the part of the total error level that this look may spend.
        early: whether it goes by `Comparison.p_early`, as seeds are too few for the exact test.
    """

    seeds: int
    alpha: float
    early: bool = False


_EARLY, _EXTENDED = 0.2, 0.3
"""Shares of the error level for the look halfway and for the one after an extension; the planned one has the rest."""

_HOPELESS = 0.5
"""Uncorrected p above which, for every finalist, the look halfway ends it: no difference is in sight."""


def plan_looks(seeds: int, most_seeds: int, finalists: int, level: float, *, early: bool) -> list[Look]:
    """When the evidence is judged, and how much error each look may spend: in all, 1 - `level`.

    The chance that any look errs is at most the sum of their chances (Bonferroni), whatever the order in which one
    decides to go on; so stopping early and extending leave the stated level as it is. A look halfway at too few seeds
    for the exact test goes by `p_early`. One at which even that could show nothing, however clear, is only there to
    give up (which errs on the safe side) and spends nothing.

    Args:
        seeds: the planned number.
        most_seeds: where an extension ends; equal to `seeds` for none.
        early: whether there is a look halfway.
    """
    alpha = 1 - level
    extended = _EXTENDED * alpha if most_seeds > seeds else 0.0
    half = (seeds + 1) // 2
    looks: list[Look] = []
    spent = 0.0
    if early and 3 <= half < seeds:
        # The smallest p of the exact test is 2 / 2^seeds, of the early one 2 / 4^seeds; Holm times the finalists.
        share = _EARLY * alpha
        exact = finalists * 2.0 * 2.0**-half <= share
        by_model = share >= finalists * max(2.0 * 4.0**-half, _LEAST_EARLY)
        spent = share if exact or by_model else 0.0
        looks.append(Look(half, spent, early=spent > 0 and not exact))
    looks.append(Look(seeds, alpha - spent - extended))
    if most_seeds > seeds:
        looks.append(Look(most_seeds, extended))
    return looks


def is_hopeless(p_values: Sequence[float]) -> bool:
    """Whether no finalist comes near a difference, so that a look halfway may give up."""
    return all(p > _HOPELESS for p in p_values)


def is_open(p_values: Sequence[float]) -> bool:
    """Whether more seeds may well settle it: some finalist's uncorrected p value is below 0.2."""
    return any(p < 0.2 for p in p_values)


# --- in words -------------------------------------------------------------------------------------


def in_words(comparison: Comparison, outcome: Outcome, metric: str, level: float) -> str:
    """The comparison as one would say it: `better by 2.1 points, 95% 1.4 to 2.8, on 10 of 10 seeds`.

    Shares (`accuracy` and its kin) are told in percentage points, everything else in the metric's own unit.
    """
    scale, unit = (100.0, " points") if metric.endswith("accuracy") else (1.0, f" in {metric}")
    number = _fixed if scale == 100.0 else _significant
    low, high = (scale * end for end in comparison.interval)
    mean = scale * comparison.difference
    if outcome is Outcome.no_difference:
        said = f"{number(mean)}{unit}, {100 * level:g}% {number(low)} to {number(high)}"
        seeds = f"better on {comparison.wins} of {comparison.pairs} seeds"
        return f"no difference shown ({said}; {seeds}{_why_not(comparison, level)})"
    wins = comparison.wins
    if outcome is Outcome.worse:
        mean, low, high, wins = -mean, -high, -low, comparison.losses
    interval = f"{100 * level:g}% {number(low)} to {number(high)}"
    return f"{outcome.value} by {number(mean)}{unit}, {interval}, on {wins} of {comparison.pairs} seeds"


def _why_not(comparison: Comparison, level: float) -> str:
    """What keeps a comparison from showing a difference, where the interval does not say so."""
    if 2.0 * 2.0**-comparison.pairs > 1 - level:  # the smallest p that the exact test can give
        return f"; {comparison.pairs} seeds are too few to show any"
    low, high = comparison.interval
    return "; not enough, corrected for several comparisons and looks" if low * high > 0 else ""


def _fixed(value: float) -> str:
    if abs(value) < 1e-4:  # what float32 leaves of equal accuracies
        return "0.0"
    return f"{value:.1f}" if abs(value) >= 0.05 else f"{value:.2g}"


def _significant(value: float) -> str:
    return f"{value + 0.0:.3g}"
