"""Exponential-linear units: linear above zero, an exponential below.

The halves are added, each with an input that is zero on the other's side: max(0, x) and x - max(0, x) = min(0, x). So
no exponential overflows on the side that does not use it.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from actsearch.activations.declaration import Parameter, family
from actsearch.activations.floors import at_least


@family(
    formula="x if x > 0 else alpha (exp(x) - 1)",
    reference="Clevert et al. 2016, Fast and accurate deep network learning by exponential linear units",
    parameters={"alpha": Parameter(1.0, 0.1, 3.0, learnable=True, description="depth of the negative part")},
    monotone=True,
    cost="exponential",
    torch_module="nn.ELU({alpha})",
)
def elu(x: Tensor, alpha: float | Tensor) -> Tensor:
    """Exponential linear unit; smooth only for alpha = 1."""
    return torch.lerp(F.relu(x), F.elu(x), alpha) if isinstance(alpha, Tensor) else F.elu(x, alpha)


@family(
    formula="max(0, x) + min(0, alpha (exp(x / alpha) - 1))",
    reference="Barron 2017, Continuously differentiable exponential linear units",
    parameters={"alpha": Parameter(1.0, 0.1, 3.0, learnable=True, description="depth of the negative part")},
    smooth=True,
    monotone=True,
    cost="exponential",
    torch_module="nn.CELU({alpha})",
)
def celu(x: Tensor, alpha: float | Tensor) -> Tensor:
    """Exponential linear unit, smooth for every alpha (kept at 0.1 or more while it is learned)."""
    alpha = at_least(alpha, 0.1)
    return alpha * F.elu(x / alpha) if isinstance(alpha, Tensor) else F.celu(x, alpha)


@family(
    formula="1.0507 (x if x > 0 else 1.6733 (exp(x) - 1))",
    reference="Klambauer et al. 2017, Self-normalizing neural networks",
    monotone=True,
    cost="exponential",
    torch_module="nn.SELU()",
)
def selu(x: Tensor) -> Tensor:
    """Self-normalising exponential linear unit."""
    return F.selu(x)


@family(
    formula="(a / b) x if x > 0 else a (exp(x / b) - 1)",
    reference="Trottier et al. 2017, Parametric exponential linear unit for deep convolutional neural networks",
    parameters={
        "a": Parameter(1.0, 0.1, 5.0, log=True, learnable=True, description="depth of the negative part"),
        "b": Parameter(1.0, 0.1, 5.0, log=True, learnable=True, description="width of the negative part"),
    },
    smooth=True,
    monotone=True,
    cost="exponential",
    learned="scalar",
)
def pelu(x: Tensor, a: float | Tensor, b: float | Tensor) -> Tensor:
    """Exponential linear unit with one slope at zero for both halves; a and b are kept at 0.1 or more."""
    a, b = at_least(a, 0.1), at_least(b, 0.1)
    return a * F.elu(x / b)


@family(
    formula="x if x > 0 else alpha (exp(beta x) - 1)",
    reference="Li et al. 2018, Improving deep neural network with multiple parametric exponential linear units",
    parameters={
        "alpha": Parameter(1.0, 0.1, 3.0, learnable=True, description="depth of the negative part"),
        "beta": Parameter(1.0, 0.1, 3.0, learnable=True, description="steepness of the negative part"),
    },
    monotone=True,
    cost="exponential",
    learned="channel",
)
def mpelu(x: Tensor, alpha: float | Tensor, beta: float | Tensor) -> Tensor:
    """Exponential linear unit with depth and steepness apart; beta is kept at 0.1 or more."""
    high = F.relu(x)
    return high + alpha * F.elu(at_least(beta, 0.1) * (x - high))


@family(
    formula="(n + 1/2) x + 1 - exp(-x) if x > 0 else x sigmoid(x)",
    reference="Pishchik 2023, Trainable activations for image classification",
    parameters={"n": Parameter(0.0, -0.5, 1.0, learnable=True, description="slope of the positive part, less 1/2")},
    cost="composite",
)
def delu(x: Tensor, n: float | Tensor) -> Tensor:
    """Sigmoid linear unit below zero, a saturating exponential plus a line above."""
    high = F.relu(x)
    return (n + 0.5) * high - F.elu(-high) + F.silu(x - high)


@family(
    formula="alpha_p x^2 + beta x if x > 0 else alpha_n (exp(x) - 1 - x) + beta x",
    reference="Huang & Schlag 2024, Deriving activation functions using integration",
    parameters={
        "alpha_p": Parameter(0.8, 0.1, 3.0, learnable=True, description="curvature of the positive part"),
        "alpha_n": Parameter(0.8, 0.1, 3.0, learnable=True, description="depth of the negative part"),
        "beta": Parameter(0.5, 0.1, 1.0, description="slope at zero"),
    },
    smooth=True,
    cost="exponential",
    learned="scalar",
)
def xielu(x: Tensor, alpha_p: float | Tensor, alpha_n: float | Tensor, beta: float | Tensor) -> Tensor:
    """Integral of a trainable ELU; learned curvatures are kept at 0 or more."""
    alpha_p, alpha_n = at_least(alpha_p, 0.0), at_least(alpha_n, 0.0)
    high = F.relu(x)
    low = x - high
    return alpha_p * high.square() + alpha_n * (F.elu(low) - low) + beta * x


@family(
    formula="scale x if x > 0 else scale alpha x exp(x)",
    reference="Zhang & Li 2018, Effectiveness of scaled exponentially-regularized linear units",
    parameters={
        "scale": Parameter(1.07862, 0.5, 2.0, description="slope of the positive part"),
        "alpha": Parameter(2.90427, 0.5, 5.0, description="depth of the bump below zero"),
    },
    cost="exponential",
)
def serlu(x: Tensor, scale: float | Tensor, alpha: float | Tensor) -> Tensor:
    """Self-normalising unit with a bump below zero, which fades for large negative inputs."""
    high = F.relu(x)
    low = x - high
    return scale * (high + alpha * low * low.exp())
