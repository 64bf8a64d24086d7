"""Learned shapes: families whose many coefficients training moves, so that the sampler leaves them alone."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from actsearch.activations.declaration import Parameter, family
from actsearch.activations.floors import at_least


def coefficient(default: float, description: str, *, needs: tuple[str, int] | None = None) -> Parameter:
    """A learned coefficient, at first in [-10, 10]."""
    return Parameter(default, -10.0, 10.0, learnable=True, description=description, searched=False, needs=needs)


@family(
    formula="t_l + a_l (x - t_l) if x < t_l, x between, t_r + a_r (x - t_r) if x > t_r",
    reference="Jin et al. 2016, Deep learning with S-shaped rectified linear activation units",
    parameters={
        # The thresholds' ranges do not cross, so that t_l < t_r at the start.
        "t_l": Parameter(0.0, -3.0, 0.0, learnable=True, description="left threshold"),
        "a_l": Parameter(0.2, 0.0, 1.0, learnable=True, description="slope left of t_l"),
        "t_r": Parameter(1.0, 0.5, 3.0, learnable=True, description="right threshold"),
        "a_r": Parameter(1.0, 0.0, 2.0, learnable=True, description="slope right of t_r"),
    },
    monotone=True,
    quantisation_friendly=True,
    learned="channel",
)
def srelu(x: Tensor, t_l: float | Tensor, a_l: float | Tensor, t_r: float | Tensor, a_r: float | Tensor) -> Tensor:
    """S-shaped rectifier: three lines that meet at two thresholds."""
    return x + (1 - a_l) * F.relu(t_l - x) + (a_r - 1) * F.relu(x - t_r)


@family(
    formula="max(0, x) + a1 max(0, b1 - x) + a2 max(0, b2 - x)",
    reference="Agostinelli et al. 2014, Learning activation functions to improve deep neural networks",
    parameters={
        "a1": coefficient(-0.1, "slope of the first hinge"),
        "b1": coefficient(0.0, "place of the first hinge"),
        "a2": coefficient(0.1, "slope of the second hinge"),
        "b2": coefficient(-1.0, "place of the second hinge"),
    },
    monotone=True,
    quantisation_friendly=True,
    learned="channel",
)
def apl(x: Tensor, a1: float | Tensor, b1: float | Tensor, a2: float | Tensor, b2: float | Tensor) -> Tensor:
    """Adaptive piecewise linear unit with two hinges; starts as a leaky rectifier that is flat below -1."""
    return F.relu(x) + a1 * F.relu(b1 - x) + a2 * F.relu(b2 - x)


@family(
    formula="(l1 x + l2) / (x^2 + d^2)",
    reference="Li, Xia & Zhang 2024, Cauchy activation function and XNet, arXiv 2409.19221",
    parameters={
        "l1": coefficient(1.0, "weight of the odd part"),
        "l2": coefficient(1.0, "weight of the even part"),
        "d": Parameter(1.0, 0.2, 5.0, log=True, learnable=True, description="width"),
    },
    smooth=True,
    bounded=True,
    learned="scalar",
)
def cauchy(x: Tensor, l1: float | Tensor, l2: float | Tensor, d: float | Tensor) -> Tensor:
    """Cauchy kernel: local, falls off as 1 / x; a learned width is kept at 0.2 or more."""
    d = at_least(d, 0.2)
    return (l1 * x + l2) / (x * x + d * d)


_STEEPEST = 20.0


@family(
    formula="(1 - exp(a x + b)) / (1 + exp(c x + d))",
    reference="Mishra et al. 2025, REAct: rational exponential activation for PINNs, arXiv 2503.02267",
    parameters={
        "a": Parameter(-2.0, -4.0, -0.5, learnable=True, description="rate of the numerator"),
        "b": Parameter(0.0, -2.0, 2.0, learnable=True, description="shift of the numerator"),
        "c": Parameter(-2.0, -4.0, -0.5, learnable=True, description="rate of the denominator"),
        "d": Parameter(0.0, -2.0, 2.0, learnable=True, description="shift of the denominator"),
    },
    smooth=True,
    monotone=True,
    bounded=True,
    cost="composite",
    learned="scalar",
)
def react(x: Tensor, a: float | Tensor, b: float | Tensor, c: float | Tensor, d: float | Tensor) -> Tensor:
    """Starts as the hyperbolic tangent; grows to the left where |a| > |c|, up to e^20."""
    below = F.softplus(c * x + d)  # ln of the denominator
    return torch.exp(-below) - torch.exp((a * x + b - below).clamp(max=_STEEPEST))


_WAVES = 5


def _waves() -> dict[str, Parameter]:
    """Five waves of equal size and growing frequency, their phases spread by the golden ratio."""
    found: dict[str, Parameter] = {}
    for i in range(1, _WAVES + 1):
        found[f"b{i}"] = coefficient(round(math.sqrt(2 / _WAVES), 4), f"size of wave {i}")
        found[f"w{i}"] = coefficient(float(i), f"frequency of wave {i}")
        phase = round(math.remainder(2 * math.pi * 0.618034 * (i - 1), 2 * math.pi), 4)
        found[f"p{i}"] = coefficient(phase, f"phase of wave {i}")
    return found


@family(
    formula="sum over i = 1..5 of b_i sin(w_i x + p_i)",
    reference="Morsali et al. 2025, STAF: sinusoidal trainable activation functions, arXiv 2502.00869",
    parameters=_waves(),
    smooth=True,
    bounded=True,
    cost="composite",
    learned="scalar",
)
def staf(x: Tensor, **waves: float | Tensor) -> Tensor:
    """A learned Fourier series of five waves; at the start of equal size with frequencies 1 to 5."""
    total = waves["b1"] * torch.sin(waves["w1"] * x + waves["p1"])
    for i in range(2, _WAVES + 1):
        total = total + waves[f"b{i}"] * torch.sin(waves[f"w{i}"] * x + waves[f"p{i}"])
    return total
