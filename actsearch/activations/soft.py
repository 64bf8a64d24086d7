"""Soft rectifiers: smooth monotone curves between two lines."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from actsearch.activations.declaration import Parameter, family


@family(
    formula="ln(1 + exp(beta x)) / beta",
    reference="Dugas et al. 2001, Incorporating second-order functional knowledge",
    parameters={"beta": Parameter(1.0, 0.5, 10.0, log=True, description="sharpness of the bend")},
    smooth=True,
    monotone=True,
    cost="composite",
    torch_module="nn.Softplus({beta})",
)
def softplus(x: Tensor, beta: float | Tensor) -> Tensor:
    """Smooth rectifier; never zero."""
    return F.softplus(beta * x) / beta if isinstance(beta, Tensor) else F.softplus(x, beta)


@family(
    formula="(ln(1 + exp(beta x)) - ln(2)) / beta",
    reference="Schuett et al. 2017, SchNet: a continuous-filter convolutional neural network for quantum interactions",
    parameters={"beta": Parameter(1.0, 0.5, 10.0, log=True, description="sharpness of the bend")},
    smooth=True,
    monotone=True,
    cost="composite",
)
def shifted_softplus(x: Tensor, beta: float | Tensor) -> Tensor:
    """Softplus moved through the origin: without its mean of 0.8, which deep plain networks suffer from."""
    return softplus(x, beta) - 0.6931471805599453 / beta


@family(
    formula="(x + sqrt(x^2 + b)) / 2",
    reference="Barron 2021, Squareplus: a softplus-like algebraic rectifier",
    parameters={"b": Parameter(4.0, 0.1, 10.0, description="width of the bend")},
    smooth=True,
    monotone=True,
)
def squareplus(x: Tensor, b: float | Tensor) -> Tensor:
    """Smooth rectifier without an exponential."""
    return 0.5 * (x + torch.sqrt(x.square() + b))


@family(
    formula="ln(1 / (1 + exp(-x)))",
    reference="torch.nn.LogSigmoid",
    smooth=True,
    monotone=True,
    cost="composite",
)
def log_sigmoid(x: Tensor) -> Tensor:
    """Logarithm of the logistic function: softplus turned by half a circle."""
    # nn.LogSigmoid is exported to ONNX as ln(sigmoid(x)), which is -inf from -48 on.
    return -F.softplus(-x)


@family(
    formula="x - tanh(x)",
    reference="torch.nn.Tanhshrink",
    smooth=True,
    monotone=True,
    cost="exponential",
    torch_module="nn.Tanhshrink()",
)
def tanhshrink(x: Tensor) -> Tensor:
    """Identity, flattened smoothly around zero."""
    return x - torch.tanh(x)
