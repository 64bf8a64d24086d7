"""A Gaussian process over shapes, plain parameters and earlier jobs' predictions, fitted once a cohort."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_solve, cholesky, solve_triangular

from actsearch.study.proposing.shape.features import Array

_FITTED_ON = 120  # scales need no more trials than this
_SHAPE_LENGTHS = (0.35, 0.7, 1.4, 2.8)
_PLAIN_LENGTHS = (0.2, 0.5, 1.2)
_NOISES = (0.05, 0.2, 0.6)
_BOLDNESS = 1.0  # standard deviations that a candidate is credited with
_PLAUSIBLE = 0.05  # of the likeliest scales' weight; less likely ones are left out
# What all earlier jobs' predictions together count before any trial: mean and variance of their weight.
_TRUST, _TRUST_VARIANCE = 0.5, 0.5


@dataclass(frozen=True)
class Inputs:
    """Points: shapes (N, S), plain parameters (N, Q), and what each of J earlier jobs predicts for them (N, J)."""

    shapes: Array
    plain: Array
    hints: Array

    def take(self, rows: Array | slice) -> Inputs:
        """Some of the points."""
        return Inputs(self.shapes[rows], self.plain[rows], self.hints[rows])

    def followed_by(self, others: Inputs) -> Inputs:
        """These points and others after them."""
        return Inputs(
            np.vstack([self.shapes, others.shapes]),
            np.vstack([self.plain, others.plain]),
            np.vstack([self.hints, others.hints]),
        )

    def __len__(self) -> int:
        return len(self.shapes)


@dataclass(frozen=True)
class Scales:
    """What a process takes for known.

    Args:
        shape: length scale of shapes.
        plain: length scale of plain parameters.
        noise: its variance, of a signal of variance 1.
        hinted: whether earlier jobs' predictions count.
    """

    shape: float
    plain: float
    noise: float
    hinted: bool


class Surrogate:
    """Predicts scores of points from those of observed ones: several processes, weighted by their likelihood.

    A function's score is a process over shapes and plain parameters, and, where `Scales.hinted`, a weighted sum of what
    earlier jobs predict; the weights are unknown and normally distributed, so the linear kernel of the predictions is
    added (Rasmussen & Williams, "Gaussian Processes for Machine Learning", 2006, section 2.7).

    Args:
        seen: N observed points.
        scores: (N,) their scores, of about unit variance; larger is better.
    """

    def __init__(self, seen: Inputs, scores: Array) -> None:
        some = np.linspace(0, len(scores) - 1, min(len(scores), _FITTED_ON)).astype(int)
        plausible = _plausible(seen.take(some), scores[some])
        self._weights = np.array([weight for _, weight in plausible])
        self._processes = [_Process(seen, scores, scales) for scales, _ in plausible]

    def predict(self, points: Inputs) -> Array:
        """Means (M,) at points."""
        return np.asarray(self._weights @ np.stack([process.mean(points) for process in self._processes]))

    def choose(self, points: Inputs, count: int, under_way: Inputs) -> list[int]:
        """`count` points of the largest upper confidence bound, each as if those before it were known.

        Known at their predicted means (kriging believer), like all points `under_way`: only the variances change, so a
        cohort spreads out.
        """
        count = min(count, len(points))
        everything = points.followed_by(under_way)
        beliefs = [process.at(everything, len(under_way) + count) for process in self._processes]
        for place in range(len(points), len(everything)):
            for belief in beliefs:
                belief.assume(place)
        means = np.stack([belief.mean for belief in beliefs])
        mean = self._weights @ means
        dissent = self._weights @ (means - mean) ** 2  # between the processes
        free = np.arange(len(everything)) < len(points)
        chosen: list[int] = []
        for _ in range(count):
            variance = self._weights @ np.stack([belief.variance for belief in beliefs]) + dissent
            pick = int(np.where(free, mean + _BOLDNESS * np.sqrt(variance), -np.inf).argmax())
            chosen.append(pick)
            free[pick] = False
            for belief in beliefs:
                belief.assume(pick)
        return chosen


class _Process:
    """A Gaussian process with known scales."""

    def __init__(self, seen: Inputs, scores: Array, scales: Scales) -> None:
        self._seen, self.scales = seen, scales
        residual = scores - _expected(seen, scales)
        self._level = float(residual.mean()) if len(scores) else 0.0
        covariance = _kernel(seen, seen, scales) + scales.noise * np.eye(len(seen))
        self._factor = cholesky(covariance, lower=True) if len(seen) else covariance
        self._alpha = cho_solve((self._factor, True), residual - self._level) if len(seen) else residual

    def mean(self, points: Inputs) -> Array:
        """Means (M,) at points."""
        return self._mean(points, _kernel(self._seen, points, self.scales))

    def at(self, points: Inputs, room: int) -> _Belief:
        """What it says of points; `room` is for how many of them will be assumed."""
        across = _kernel(self._seen, points, self.scales)
        white = np.empty((len(across) + room, len(points)))
        if len(across):
            white[: len(across)] = solve_triangular(self._factor, across, lower=True)
        return _Belief(points, self.scales, self._mean(points, across), white, len(across))

    def _mean(self, points: Inputs, across: Array) -> Array:
        return np.asarray(self._level + _expected(points, self.scales) + across.T @ self._alpha)


class _Belief:
    """Means and variances (M,) of points, and how they change with points that are taken as known."""

    def __init__(self, points: Inputs, scales: Scales, mean: Array, white: Array, known: int) -> None:
        self.mean = mean
        prior = 1 + _linear(points.hints, points.hints, scales, diagonal=True)
        self.variance = np.maximum(prior - (white[:known] ** 2).sum(0), 1e-9)
        self._points, self._scales, self._white, self._known = points, scales, white, known

    def assume(self, place: int) -> None:
        """Take a point as known at its mean."""
        white = self._white[: self._known]
        cross = _kernel(self._points, self._points.take(slice(place, place + 1)), self._scales)[:, 0]
        share = (cross - white.T @ white[:, place]) / np.sqrt(self.variance[place] + self._scales.noise)
        self._white[self._known] = share
        self._known += 1
        self.variance = np.maximum(self.variance - share**2, 1e-9)


def _kernel(a: Inputs, b: Inputs, scales: Scales) -> Array:
    """Matern 5/2 over shapes and plain parameters, and the linear kernel of the hints, (N, M)."""
    squares = _squares(a.shapes, b.shapes) / scales.shape**2 + _squares(a.plain, b.plain) / scales.plain**2
    return np.asarray(_matern(squares) + _linear(a.hints, b.hints, scales))


def _expected(points: Inputs, scales: Scales) -> Array:
    """What earlier jobs let expect, (N,)."""
    count = points.hints.shape[1]
    return np.asarray(_TRUST * points.hints.sum(1) / max(count, 1) * scales.hinted)


def _linear(a: Array, b: Array, scales: Scales, *, diagonal: bool = False) -> Array:
    share = _TRUST_VARIANCE / max(a.shape[1], 1) * scales.hinted
    return np.asarray(share * ((a * b).sum(1) if diagonal else a @ b.T))


def _matern(squares: Array) -> Array:
    r = np.sqrt(5 * np.maximum(squares, 0))
    return np.asarray((1 + r + r * r / 3) * np.exp(-r))


def _squares(a: Array, b: Array) -> Array:
    return np.asarray((a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T)


def _plausible(seen: Inputs, scores: Array) -> Sequence[tuple[Scales, float]]:
    """Scales among a few with their posterior weights: of marginal likelihood and a weak prior for middling ones."""
    has_shapes, has_plain = seen.shapes.shape[1] > 0, seen.plain.shape[1] > 0
    lengths = itertools.product(_SHAPE_LENGTHS if has_shapes else (1.0,), _PLAIN_LENGTHS if has_plain else (1.0,))
    shapes, plain = _squares(seen.shapes, seen.shapes), _squares(seen.plain, seen.plain)
    found: list[tuple[Scales, float]] = []
    for (shape, length), hinted in itertools.product(lengths, (True, False) if seen.hints.shape[1] else (False,)):
        middling = Scales(shape, length, _NOISES[1], hinted)
        covariance = _matern(shapes / shape**2 + plain / length**2) + _linear(seen.hints, seen.hints, middling)
        residual = scores - _expected(seen, middling)
        for noise in _NOISES:
            loss = _misfit(covariance + noise * np.eye(len(scores)), residual) if len(scores) else 0.0
            loss += 0.5 * np.log(shape) ** 2 + 0.5 * np.log(noise / _NOISES[1]) ** 2
            found.append((Scales(shape, length, noise, hinted), loss))
    least = min(loss for _, loss in found)
    weights = [(scales, float(np.exp(least - loss))) for scales, loss in found]
    kept = [(scales, weight) for scales, weight in weights if weight >= _PLAUSIBLE]
    total = sum(weight for _, weight in kept)
    return [(scales, weight / total) for scales, weight in kept]


def _misfit(covariance: Array, residual: Array) -> float:
    """Minus the log marginal likelihood of scores about their mean, but for a constant."""
    factor = cholesky(covariance, lower=True, check_finite=False)
    white = solve_triangular(factor, residual - residual.mean(), lower=True, check_finite=False)
    return float(0.5 * (white**2).sum() + np.log(np.diag(factor)).sum())
