"""Sampled curves of a function and its derivative: what plots and comparisons are made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from actsearch.activations.declaration import Family
from actsearch.activations.expressions.family import family_of
from actsearch.activations.resolution import resolve
from actsearch.schemas import ActivationSpec


class Curve(NamedTuple):
    """A function and its derivative at points x, all of one length, ready for JSON."""

    x: list[float]
    value: list[float]
    derivative: list[float]


def curve(spec: ActivationSpec, low: float = -5.0, high: float = 5.0, points: int = 201) -> Curve:
    """The activation sampled at `points` evenly spaced points of [low, high], in float64.

    Learned parameters are taken at their initial values, random ones at their mean; at a kink the derivative is the
    one that training uses.

    Raises:
        InvalidRequest: see `resolve`.
    """
    full = resolve(spec)
    x = torch.linspace(low, high, points, dtype=torch.float64)
    value, derivative = value_and_derivative(family_of(full), full.parameters, x)
    return Curve(x.tolist(), value.tolist(), derivative.tolist())


def value_and_derivative(family: Family, parameters: Mapping[str, float], x: Tensor) -> tuple[Tensor, Tensor]:
    """f(x) and f'(x) of a family at points x (N,), both (N,)."""
    with torch.enable_grad():
        at = x.detach().clone().requires_grad_()
        value = family.function(at, **parameters)
        (derivative,) = torch.autograd.grad(value.sum(), at)
    return value.detach(), derivative
