"""A Gaussian process over shapes and plain parameters, fitted once a cohort."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_solve, cholesky, solve_triangular

from actsearch.search.shape.features import Array

_FITTED_ON = 120  # hyperparameters need no more trials than this
_SHAPE_LENGTHS = (0.35, 0.7, 1.4, 2.8)
_PLAIN_LENGTHS = (0.2, 0.5, 1.2)
_NOISES = (0.05, 0.2, 0.6)
_BOLDNESS = 1.0  # standard deviations that a candidate is credited with


@dataclass(frozen=True)
class Inputs:
    """Points: shapes (N, S) and plain parameters (N, Q)."""

    shapes: Array
    plain: Array

    def take(self, rows: Array | slice) -> Inputs:
        """Some of the points."""
        return Inputs(self.shapes[rows], self.plain[rows])

    def __len__(self) -> int:
        return len(self.shapes)


@dataclass(frozen=True)
class Scales:
    """Length scales of both kinds of input, and the variance of the noise (of a signal of variance 1)."""

    shape: float
    plain: float
    noise: float


class Surrogate:
    """Predicts normal scores of points from those of observed ones.

    Args:
        seen: N observed points.
        scores: (N,) their scores, of about unit variance; larger is better.
        priors: predictions of other jobs for the observed points, (J, N); how much they count is fitted too.
        fitted: scales and weights of the priors, to be fitted where they are not given.
    """

    def __init__(self, seen: Inputs, scores: Array, priors: Array, fitted: tuple[Scales, Array] | None = None) -> None:
        self._seen = seen
        some = np.linspace(0, len(scores) - 1, min(len(scores), _FITTED_ON)).astype(int)
        self.scales, self.weights = fitted or _fitted(seen.take(some), scores[some], priors[:, some])
        residual = scores - self.weights @ priors
        self._level = float(residual.mean()) if len(scores) else 0.0
        covariance = _kernel(seen, seen, self.scales) + self.scales.noise * np.eye(len(seen))
        self._factor = cholesky(covariance, lower=True) if len(seen) else covariance
        self._alpha = cho_solve((self._factor, True), residual - self._level) if len(seen) else residual

    def predict(self, points: Inputs, priors: Array) -> tuple[Array, Array, Array]:
        """Means (M,) and variances (M,) at points, with the whitened covariance (N, M) to the observed ones.

        Args:
            priors: predictions of the other jobs for the points, (J, M).
        """
        across = _kernel(self._seen, points, self.scales)
        white = solve_triangular(self._factor, across, lower=True) if len(across) else across
        mean = self._level + across.T @ self._alpha + self.weights @ priors
        return mean, np.maximum(1 - (white**2).sum(0), 1e-9), white

    def choose(self, points: Inputs, priors: Array, count: int) -> list[int]:
        """`count` points of the largest upper confidence bound, each as if those before it were known.

        Known at their predicted means (kriging believer): only the variances change, so a cohort spreads out.
        """
        mean, variance, white = self.predict(points, priors)
        chosen: list[int] = []
        taken = np.zeros(len(points), bool)
        for _ in range(min(count, len(points))):
            pick = int(np.where(taken, -np.inf, mean + _BOLDNESS * np.sqrt(variance)).argmax())
            chosen.append(pick)
            taken[pick] = True
            cross = _kernel(points, points.take(slice(pick, pick + 1)), self.scales)[:, 0] - white.T @ white[:, pick]
            share = cross / np.sqrt(variance[pick] + self.scales.noise)
            white = np.vstack([white, share])
            variance = np.maximum(variance - share**2, 1e-9)
        return chosen


def _kernel(a: Inputs, b: Inputs, scales: Scales) -> Array:
    """Matern 5/2 over both kinds of input, (N, M)."""
    return _matern(_squares(a.shapes, b.shapes) / scales.shape**2 + _squares(a.plain, b.plain) / scales.plain**2)


def _matern(squares: Array) -> Array:
    r = np.sqrt(5 * np.maximum(squares, 0))
    return np.asarray((1 + r + r * r / 3) * np.exp(-r))


def _squares(a: Array, b: Array) -> Array:
    return np.asarray((a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T)


def _fitted(seen: Inputs, scores: Array, priors: Array) -> tuple[Scales, Array]:
    """Scales and prior weights of the largest marginal likelihood among a few."""
    if not len(seen):
        return Scales(_SHAPE_LENGTHS[1], _PLAIN_LENGTHS[1], _NOISES[1]), np.full(len(priors), 0.5 / max(1, len(priors)))
    shapes, plain = _squares(seen.shapes, seen.shapes), _squares(seen.plain, seen.plain)
    has_shapes, has_plain = seen.shapes.shape[1] > 0, seen.plain.shape[1] > 0
    mixtures = _mixtures(len(priors))
    residuals = np.stack([scores - weights @ priors for weights in mixtures], 1)  # (N, mixtures)
    residuals = residuals - residuals.mean(0)
    best: tuple[float, Scales, int] = (np.inf, Scales(_SHAPE_LENGTHS[1], _PLAIN_LENGTHS[1], _NOISES[1]), 0)
    for shape, length, noise in itertools.product(
        _SHAPE_LENGTHS if has_shapes else (1.0,), _PLAIN_LENGTHS if has_plain else (1.0,), _NOISES
    ):
        covariance = _matern(shapes / shape**2 + plain / length**2) + noise * np.eye(len(scores))
        factor = cholesky(covariance, lower=True, check_finite=False)
        white = solve_triangular(factor, residuals, lower=True, check_finite=False)
        losses = 0.5 * (white**2).sum(0) + np.log(np.diag(factor)).sum()
        # A weak prior for middling scales and for what earlier jobs found decides while there are few trials.
        losses = losses + 0.5 * np.log(shape / 1.0) ** 2 + 0.5 * np.log(noise / 0.2) ** 2 + _doubts(mixtures)
        place = int(losses.argmin())
        if losses[place] < best[0]:
            best = (float(losses[place]), Scales(shape, length, noise), place)
    return best[1], mixtures[best[2]]


def _mixtures(jobs: int) -> Sequence[Array]:
    """Weights that other jobs' predictions may have: one of them, all alike, or none."""
    if not jobs:
        return [np.zeros(0)]
    single = [weight * row for row in np.eye(jobs) for weight in (0.5, 1.0)]
    alike = [np.full(jobs, weight / jobs) for weight in (0.5, 1.0)] if jobs > 1 else []
    return [np.zeros(jobs), *single, *alike]


def _doubts(mixtures: Sequence[Array]) -> Array:
    """Loss of a mixture before any trial: that earlier jobs say nothing at all is the least likely."""
    return np.array([1.0 if not weights.any() else 0.5 * np.count_nonzero(weights == 0) for weights in mixtures])
