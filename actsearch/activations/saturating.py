"""Saturating functions: bounded on one side or both."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from actsearch.activations.declaration import Parameter, family
from actsearch.activations.rectifiers import leaky_relu


@family(
    formula="x / (1 + |x|)",
    reference="Bergstra et al. 2009, Quadratic polynomials learn better image features",
    smooth=True,
    monotone=True,
    bounded=True,
    quantisation_friendly=True,
    torch_module="nn.Softsign()",
)
def softsign(x: Tensor) -> Tensor:
    """Saturates like 1 / |x|, slower than tanh."""
    return F.softsign(x)


@family(
    formula="tanh(x)",
    reference="classical",
    smooth=True,
    monotone=True,
    bounded=True,
    cost="exponential",
    quantisation_friendly=True,
    torch_module="nn.Tanh()",
)
def tanh(x: Tensor) -> Tensor:
    """Hyperbolic tangent."""
    return torch.tanh(x)


@family(
    formula="1 / (1 + exp(-x))",
    reference="classical",
    smooth=True,
    monotone=True,
    bounded=True,
    cost="exponential",
    quantisation_friendly=True,
    torch_module="nn.Sigmoid()",
)
def sigmoid(x: Tensor) -> Tensor:
    """Logistic function; with a mean of 1/2, hard to train in deep plain networks."""
    return torch.sigmoid(x)


@family(
    formula="a tanh(b x)",
    reference="LeCun et al. 1998, Efficient backprop",
    parameters={
        "a": Parameter(1.7159, 0.5, 3.0, description="height"),
        "b": Parameter(2 / 3, 0.2, 3.0, description="steepness"),
    },
    smooth=True,
    monotone=True,
    bounded=True,
    cost="exponential",
    quantisation_friendly=True,
)
def scaled_tanh(x: Tensor, a: float | Tensor, b: float | Tensor) -> Tensor:
    """Hyperbolic tangent, scaled so that f(1) = 1 and f(-1) = -1 by default."""
    return a * torch.tanh(b * x)


@family(
    formula="tanh(x) if x > 0 else a tanh(x)",
    reference="Xu et al. 2016, Revise saturated activation functions; Eger et al. 2018",
    parameters={"a": Parameter(0.25, 0.05, 0.5, description="height of the negative part")},
    monotone=True,
    bounded=True,
    cost="exponential",
    quantisation_friendly=True,
)
def penalized_tanh(x: Tensor, a: float | Tensor) -> Tensor:
    """Hyperbolic tangent with a smaller negative part."""
    return leaky_relu(torch.tanh(x), a)


@family(
    formula="atan(x)",
    reference="classical",
    smooth=True,
    monotone=True,
    bounded=True,
    cost="exponential",
    quantisation_friendly=True,
)
def arctan(x: Tensor) -> Tensor:
    """Inverse tangent."""
    return torch.atan(x)


@family(
    formula="x / sqrt(1 + alpha x^2)",
    reference="Carlile et al. 2017, Improving deep learning by inverse square root linear units",
    parameters={"alpha": Parameter(1.0, 0.1, 5.0, description="saturates at 1 / sqrt(alpha)")},
    smooth=True,
    monotone=True,
    bounded=True,
    quantisation_friendly=True,
)
def isru(x: Tensor, alpha: float | Tensor) -> Tensor:
    """Inverse square root unit."""
    return x * torch.rsqrt(1 + alpha * x.square())


@family(
    formula="x if x > 0 else x / sqrt(1 + alpha x^2)",
    reference="Carlile et al. 2017, Improving deep learning by inverse square root linear units",
    parameters={"alpha": Parameter(1.0, 0.1, 5.0, description="saturates at -1 / sqrt(alpha)")},
    smooth=True,
    monotone=True,
)
def isrlu(x: Tensor, alpha: float | Tensor) -> Tensor:
    """Inverse square root linear unit: shaped like ELU, without an exponential."""
    high = F.relu(x)
    return high + isru(x - high, alpha)


@family(
    formula="min(max(-cap, x), cap)",
    reference="Collobert 2004, Large scale machine learning",
    parameters={"cap": Parameter(1.0, 0.5, 6.0, description="largest magnitude")},
    monotone=True,
    bounded=True,
    quantisation_friendly=True,
    torch_module="nn.Hardtanh(-{cap}, {cap})",
)
def hardtanh(x: Tensor, cap: float | Tensor) -> Tensor:
    """Identity, clipped on both sides."""
    return cap * F.hardtanh(x / cap) if isinstance(cap, Tensor) else F.hardtanh(x, -cap, cap)


@family(
    formula="min(max(0, x + 3), 6) / 6",
    reference="Courbariaux et al. 2015, BinaryConnect; Howard et al. 2019",
    monotone=True,
    bounded=True,
    quantisation_friendly=True,
    torch_module="nn.Hardsigmoid()",
)
def hardsigmoid(x: Tensor) -> Tensor:
    """Piecewise linear sigmoid."""
    return F.relu6(x + 3) / 6  # F.hardsigmoid costs less than half, but cannot be differentiated twice
