"""Is a finalist better than the baseline? Comparisons paired by seed.

Everything here works on differences `candidate - baseline`, one per seed, turned so that positive is better. Under the
hypothesis that nothing distinguishes the two, each difference is as likely as its negative; the exact sign-flip test
needs no more than that, so it keeps its level for ties, bounded accuracies and any number of seeds.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from actsearch.schemas import Outcome

_RESAMPLES = 10_000
# Up to so many pairs all sign patterns are looked at; above, `_RESAMPLES` of them by a fixed seed.
_EXACT_PAIRS = 13
SLACK, LEAST_EARLY = 1.5, 1e-3
"""What `p_early` stretches the t test's p by, and down to which level (of one finalist) that was seen to be enough."""


@dataclass(frozen=True)
class Comparison:
    """What two samples paired by seed say.

    Args:
        differences: (n,), candidate - baseline on the seeds on which both finished, turned so that positive is better.
        scores: (m,), one for each seed, m >= n: what the sign-flip test adds up (see `compare`).
        level: of the intervals, in (0, 1).
        difference, median, sd: mean, median and standard deviation of the differences; None where n < 2.
        interval: of the mean difference, from Student's t; None where n < 2.
        p_t: two-sided, not corrected for the number of finalists; None where n < 2.
        p_sign_flip: likewise, of the scores.
        wins, losses, ties: seeds on which the candidate was better, worse, equal; failing is worse than any value.
        candidate_failed, baseline_failed: seeds on which the one or the other failed by itself.
    """

    differences: NDArray[np.float64]
    scores: NDArray[np.float64]
    level: float
    difference: float | None
    median: float | None
    sd: float | None
    interval: tuple[float, float] | None
    p_t: float | None
    p_sign_flip: float
    wins: int
    losses: int
    ties: int
    candidate_failed: int
    baseline_failed: int

    @property
    def pairs(self) -> int:
        """Seeds on which both finished."""
        return len(self.differences)

    @property
    def seeds(self) -> int:
        """Seeds that are compared, those on which one failed included."""
        return len(self.scores)

    @property
    def any_failed(self) -> bool:
        """Whether a seed counts on which one of the two failed by itself."""
        return self.candidate_failed + self.baseline_failed > 0

    @property
    def leaning(self) -> float:
        """Towards the candidate (positive) or the baseline: the mean score over the largest possible, in [-1, 1]."""
        size = float(np.abs(self.scores).sum())
        return float(self.scores.sum()) / size if size else 0.0

    @property
    def p(self) -> float:
        """The p value that decides: of the t and the sign-flip test the larger; the latter alone where any failed.

        The sign-flip test guarantees the level. With the t test beside it, what is called a difference always has a
        t interval on one side of zero. Where seeds failed, a mean over the others says nothing of them.
        """
        return self.p_sign_flip if self.any_failed or self.p_t is None else max(self.p_t, self.p_sign_flip)

    @property
    def p_early(self) -> float:
        """The p value of an early look at too few seeds for the exact test, which cannot fall below 2 / 2^n.

        It takes the two results of a seed, under the hypothesis, for *independent* draws of one distribution, which may
        be another for each seed. Then n equal differences come about with a chance of at most 2 / 4^n (two values, even
        chances); that is the floor. Above it the t test's, times 1.5: distributions of a few values stretch it by up to
        1.4 (docs/decisions/0007-looks-share-the-error-level.md). Where seeds failed, it is the exact test's.
        """
        if self.any_failed or self.p_t is None:
            return self.p_sign_flip
        return min(1.0, max(SLACK * self.p_t, 2.0 * 4.0**-self.pairs))

    @property
    def p_wilcoxon(self) -> float:
        """Wilcoxon's signed-rank test, two-sided, for those who know it; it decides nothing here."""
        return float(stats.wilcoxon(self.scores).pvalue) if self.scores.any() else 1.0

    @property
    def bootstrap(self) -> tuple[float, float] | None:
        """Interval of the mean by the bias-corrected and accelerated bootstrap; None where all differences are equal.

        Reference:
            Efron, Better bootstrap confidence intervals, JASA 1987.
        """
        enough = self.pairs >= 2 and not _is_constant(self.differences)
        return _bootstrap(self.differences, self.level) if enough else None


def compare(candidate: ArrayLike, baseline: ArrayLike, *, level: float = 0.95) -> Comparison:
    """Compare two samples paired by seed, larger values being better.

    A seed on which one side failed by itself is a loss larger than any difference; one on which both did is a tie.
    Where there are such seeds the sign-flip test adds up signed ranks, which need no size of a failure; else the
    differences.

    Args:
        candidate, baseline: (n,), n >= 2, in the same order of seeds; NaN where training failed by itself.
        level: of the intervals, in (0, 1).

    Raises:
        ValueError: fewer than two seeds, unequal lengths, or an infinite value.

    Reference:
        Pesarin & Salmaso, Permutation tests for complex data, 2010 (the sign-flip test); Lachin, Worst-rank score
        analysis with informatively missing observations in clinical trials, Controlled Clinical Trials 1999.
    """
    ours, theirs = _samples(candidate, baseline)
    finished = ~np.isnan(ours) & ~np.isnan(theirs)
    differences = (ours - theirs)[finished]
    scores = differences if finished.all() else _worst_rank_scores(ours, theirs)
    return Comparison(
        differences=differences,
        scores=scores,
        level=level,
        **_moments(differences, level),
        p_sign_flip=_p_sign_flip(scores),
        wins=int((scores > 0).sum()),
        losses=int((scores < 0).sum()),
        ties=int((scores == 0).sum()),
        candidate_failed=int(np.isnan(ours).sum()),
        baseline_failed=int(np.isnan(theirs).sum()),
    )


def _worst_rank_scores(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Signed ranks of the differences; a failure of one side ranks above all of them, a tie scores 0."""
    lost, won = np.isnan(ours), np.isnan(theirs)
    signed = np.where(lost & won, 0.0, np.where(lost, -np.inf, np.where(won, np.inf, ours - theirs)))
    ranks = np.asarray(stats.rankdata(np.abs(signed)), dtype=np.float64)
    return np.asarray(np.sign(signed) * ranks, dtype=np.float64)


def _moments(differences: NDArray[np.float64], level: float) -> dict[str, Any]:
    """What Student's t says of the differences; nothing of fewer than two."""
    if len(differences) < 2:
        return dict.fromkeys(("difference", "median", "sd", "interval", "p_t"))
    mean, sd = float(differences.mean()), float(differences.std(ddof=1))
    if _is_constant(differences):
        sd = 0.0
    return {
        "difference": mean,
        "median": float(np.median(differences)),
        "sd": sd,
        "interval": _t_interval(mean, sd, len(differences), level),
        "p_t": _p_t(mean, sd, len(differences)),
    }


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
    """`better` or `worse` where the corrected p value is at most `alpha`, else `no_difference`.

    What failed on more seeds than the baseline is not called better, whatever it gained on the others.
    """
    if corrected_p > alpha or comparison.leaning == 0:
        return Outcome.no_difference
    if comparison.leaning < 0:
        return Outcome.worse
    fails_more = comparison.candidate_failed > comparison.baseline_failed
    return Outcome.no_difference if fails_more else Outcome.better


def _samples(candidate: ArrayLike, baseline: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    a, b = np.asarray(candidate, dtype=np.float64), np.asarray(baseline, dtype=np.float64)
    if a.ndim != 1 or a.shape != b.shape or len(a) < 2:
        raise ValueError(f"compare needs two samples of the same length, at least 2; got {a.shape} and {b.shape}")
    if np.isinf(a).any() or np.isinf(b).any():
        raise ValueError("compare takes no infinite values; give NaN for the seeds on which training failed")
    return a, b


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
