"""Self-gated units whose gate is a hyperbolic tangent, a logarithm or an error function.

An exponential inside a gate that has long saturated is clamped: exp(5) already makes tanh and ln(2 - exp(-exp(x)))
exact in float64, while exp(50) would overflow half precision and turn the gradient into NaN.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from actsearch.activations.declaration import Parameter, family


@family(
    formula="x tanh(ln(1 + exp(x)))",
    reference="Misra 2019, Mish: a self regularized non-monotonic activation function",
    smooth=True,
    cost="composite",
    torch_module="nn.Mish()",
)
def mish(x: Tensor) -> Tensor:
    """Input gated by the hyperbolic tangent of its softplus."""
    # With p = sigmoid(x), tanh(ln(1 + exp(x))) = q / (2 - q), q = p (2 - p): a third of the time of F.mish, which has
    # a second derivative of NaN from about 89.
    p = torch.sigmoid(x)
    q = p * (2 - p)
    return x * q / (2 - q)


@family(
    formula="x tanh(exp(x))",
    reference="Liu & Di 2020, TanhExp: a smooth activation function with high convergence speed",
    smooth=True,
    cost="composite",
)
def tanhexp(x: Tensor) -> Tensor:
    """Input gated by the hyperbolic tangent of its exponential; the same function as `telu`."""
    return x * torch.tanh(torch.exp(x.clamp(max=5)))


@family(
    formula="x tanh(exp(x))",
    reference="Fernandez & Mali 2024, TeLU activation function for fast and stable deep learning",
    smooth=True,
    cost="composite",
    alias_of="tanhexp",
)
def telu(x: Tensor) -> Tensor:
    """Hyperbolic tangent exponential linear unit; the same function as `tanhexp`."""
    return x * torch.tanh(torch.exp(x.clamp(max=5)))


@family(
    formula="x ln(2 - exp(-exp(x)))",
    reference="Kaytan et al. 2022, Gish: a novel activation function for image classification",
    smooth=True,
    cost="composite",
)
def gish(x: Tensor) -> Tensor:
    """Input gated by a logarithm of a Gumbel distribution function."""
    return x * torch.log1p(-torch.expm1(-torch.exp(x.clamp(max=5))))


@family(
    formula="x erf(ln(1 + exp(x)))",
    reference="Nag & Bhattacharyya 2021, SERF: towards better training of deep neural networks",
    smooth=True,
    cost="composite",
)
def serf(x: Tensor) -> Tensor:
    """Input gated by the error function of its softplus."""
    return x * torch.erf(F.softplus(x))


@family(
    formula="alpha x ln(1 + sigmoid(beta x))",
    reference="Zhu et al. 2021, Logish: a new nonlinear nonmonotonic activation function",
    parameters={
        "alpha": Parameter(1.0, 0.5, 3.0, description="scale"),
        "beta": Parameter(1.0, 0.5, 10.0, log=True, description="steepness of the gate"),
    },
    smooth=True,
    cost="composite",
)
def logish(x: Tensor, alpha: float | Tensor, beta: float | Tensor) -> Tensor:
    """Input gated by the logarithm of one plus a sigmoid."""
    return alpha * x * torch.log1p(torch.sigmoid(beta * x))


@family(
    formula="alpha x tanh(ln(1 + sigmoid(beta x)))",
    reference="Wang et al. 2022, Smish: a novel activation function for deep learning methods",
    parameters={
        "alpha": Parameter(1.0, 0.5, 3.0, description="scale"),
        "beta": Parameter(1.0, 0.5, 3.0, description="steepness of the gate"),
    },
    smooth=True,
    cost="composite",
)
def smish(x: Tensor, alpha: float | Tensor, beta: float | Tensor) -> Tensor:
    """Input gated by the hyperbolic tangent of logish's gate."""
    return alpha * x * torch.tanh(torch.log1p(torch.sigmoid(beta * x)))


@family(
    formula="x tanh(gelu(x))",
    reference="Naveen 2022, Phish: a novel hyper-optimizable activation function",
    smooth=True,
    cost="composite",
)
def phish(x: Tensor) -> Tensor:
    """Input gated by the hyperbolic tangent of its GELU."""
    return x * torch.tanh(F.gelu(x))


@family(
    formula="x tanh(x)",
    reference="Roy et al. 2019, LiSHT: non-parametric linearly scaled hyperbolic tangent activation function",
    smooth=True,
    cost="exponential",
)
def lisht(x: Tensor) -> Tensor:
    """Smooth absolute value."""
    return x * torch.tanh(x)
