"""Gain of initial weights: what keeps the signal's second moment from layer to layer."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from actsearch.activations.curve import value_and_derivative
from actsearch.activations.expressions.family import family_of
from actsearch.activations.resolution import resolve
from actsearch.schemas import ActivationSpec

FALLBACK_GAIN = 1.0
_REACH, _PANELS, _NODES = 10.0, 2_000, 8


def gain(spec: ActivationSpec) -> float:
    """The gain g such that weights of variance g² / fan_in turn f(z), z ~ N(0, 1), into inputs of variance 1 again.

    g = 1 / sqrt(E[f(z)²]): sqrt(2) for relu (He et al. 2015), 1 for selu (LeCun). Learned parameters count at their
    initial values, random slopes at their mean. A family may declare a gain of its own (`Family.initial_gain`). Where
    the second moment is zero or not finite there is no such g, and the answer is `FALLBACK_GAIN`, 1.

    Raises:
        InvalidRequest: see `resolve`.
    """
    full = resolve(spec)
    own = family_of(full).initial_gain
    if own is not None:
        return own(**full.parameters)
    second, _ = _moments(full)
    if not math.isfinite(second) or second < 1e-12:
        return FALLBACK_GAIN
    return 1.0 / math.sqrt(second)


def second_moment(spec: ActivationSpec, sharpness: float = 1.0) -> float:
    """E[(f(s z) / s)²] for z ~ N(0, 1) and sharpness s, by quadrature in float64; not finite where f is not."""
    full = resolve(spec)
    if sharpness == 1.0:
        return _moments(full)[0]
    points, weights = _gaussian_rule()
    value, _ = value_and_derivative(family_of(full), full.parameters, sharpness * points)
    return float(weights @ (value / sharpness).square())


def largest_second_moment(spec: ActivationSpec, pieces: int) -> float:
    """E[max(f(z_1), ..., f(z_pieces))²] for independent z_i ~ N(0, 1), by quadrature in float64: that of a maxout."""
    full = resolve(spec)
    points, weights = _gaussian_rule()
    value, _ = value_and_derivative(family_of(full), full.parameters, points)
    ordered, places = value.sort()
    at_most = weights[places].cumsum(0) ** pieces  # (N,) P(max <= ordered)
    return float(at_most.diff(prepend=at_most.new_zeros(1)) @ ordered.square())


def derivative_second_moment(spec: ActivationSpec) -> float:
    """E[f'(z)²] for z ~ N(0, 1), by quadrature in float64.

    Times gain², this is chi_1 of mean-field theory: gradients of a deep network vanish below 1 and explode above.
    """
    full = resolve(spec)
    return _moments(full)[1]


def _moments(full: ActivationSpec) -> tuple[float, float]:
    return _cached_moments(full.family, full.expression, tuple(full.parameters.items()))


@lru_cache(maxsize=4096)
def _cached_moments(
    family: str, expression: str | None, parameters: tuple[tuple[str, float], ...]
) -> tuple[float, float]:
    points, weights = _gaussian_rule()
    spec = ActivationSpec(family=family, expression=expression)
    value, derivative = value_and_derivative(family_of(spec), dict(parameters), points)
    return float(weights @ value.square()), float(weights @ derivative.square())


@lru_cache(maxsize=1)
def _gaussian_rule() -> tuple[Tensor, Tensor]:
    """Points and weights (N,) of E[g(z)], z ~ N(0, 1): Gauss-Legendre on narrow panels, with an edge at 0.

    Gauss-Hermite would be shorter but converges slowly across the kinks that rectifiers have.
    """
    nodes, node_weights = np.polynomial.legendre.leggauss(_NODES)
    half = _REACH / _PANELS
    centres = np.linspace(-_REACH + half, _REACH - half, _PANELS)
    points = (centres[:, None] + half * nodes).ravel()  # (panels, nodes) -> (N,)
    density = np.exp(-0.5 * points**2) / math.sqrt(2 * math.pi)
    weights = half * np.tile(node_weights, _PANELS) * density
    return torch.from_numpy(points), torch.from_numpy(weights)
