"""Self-gated units with a gate of other ranges or steeper on one side: Gompertz, expanded and generalised logistic."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from actsearch.activations.declaration import Parameter, family
from actsearch.activations.floors import at_least

_SATURATED = 6.0  # exp(-0.2 exp(6)) is below 1e-35: the gate is shut, and half precision does not overflow


@family(
    formula="alpha x exp(-beta exp(-gamma x))",
    reference="Das et al. 2025, Gompertz linear units, arXiv 2502.03654",
    parameters={
        "alpha": Parameter(1.0, 0.5, 2.0, description="scale"),
        "beta": Parameter(1.0, 0.2, 5.0, log=True, description="shift of the gate to the right"),
        "gamma": Parameter(1.0, 0.5, 5.0, log=True, description="steepness of the gate"),
    },
    smooth=True,
    cost="composite",
)
def golu(x: Tensor, alpha: float | Tensor, beta: float | Tensor, gamma: float | Tensor) -> Tensor:
    """Input gated by Gompertz's function, which is steeper on the left than on the right."""
    return alpha * x * torch.exp(-beta * torch.exp((-gamma * x).clamp(max=_SATURATED)))


@family(
    formula="x (1 + lambda exp(-kappa x))^(-1/lambda)",
    reference="Alexandridis et al. 2024, Adaptive parametric activation, arXiv 2407.08567",
    parameters={
        "lam": Parameter(1.0, 0.1, 5.0, log=True, learnable=True, description="asymmetry lambda; 1: silu"),
        "kappa": Parameter(1.0, 0.2, 5.0, log=True, learnable=True, description="steepness of the gate"),
    },
    smooth=True,
    cost="composite",
)
def agl(x: Tensor, lam: float | Tensor, kappa: float | Tensor) -> Tensor:
    """Input gated by the generalised logistic function; a learned lambda is kept at 0.1 or more."""
    lam = at_least(lam, 0.1)
    shift = lam.log() if isinstance(lam, Tensor) else math.log(lam)
    return x * torch.exp(-F.softplus(shift - kappa * x) / lam)


_EXPANSION = {
    "alpha": Parameter(0.0, -0.4, 1.0, learnable=True, description="by how much the gate exceeds 0 and 1 on each side")
}
_EXPANDED = "Huang 2024, Expanded gating ranges improve activation functions, arXiv 2405.20768"


@family(
    formula="x (g (1 + 2 alpha) - alpha), g = arctan(x) / pi + 1/2",
    reference=_EXPANDED,
    parameters=_EXPANSION,
    smooth=True,
    monotone=True,
    cost="exponential",
    learned="scalar",
)
def xatlu(x: Tensor, alpha: float | Tensor) -> Tensor:
    """Input gated by an arc tangent whose range is learned."""
    return x * ((torch.atan(x) / math.pi + 0.5) * (1 + 2 * alpha) - alpha)


@family(
    formula="x (Phi(x) (1 + 2 alpha) - alpha)",
    reference=_EXPANDED,
    parameters=_EXPANSION,
    smooth=True,
    cost="exponential",
    learned="scalar",
)
def xgelu(x: Tensor, alpha: float | Tensor) -> Tensor:
    """GELU with a gate whose range is learned; starts as GELU."""
    return F.gelu(x) * (1 + 2 * alpha) - alpha * x


@family(
    formula="x (sigmoid(x) (1 + 2 alpha) - alpha)",
    reference=_EXPANDED,
    parameters=_EXPANSION,
    smooth=True,
    cost="exponential",
    learned="scalar",
)
def xsilu(x: Tensor, alpha: float | Tensor) -> Tensor:
    """SiLU with a gate whose range is learned; starts as SiLU."""
    return F.silu(x) * (1 + 2 * alpha) - alpha * x


@family(
    formula="sigmoid(beta x) (x + 2 alpha / beta) - alpha / beta",
    reference="Seo et al. 2024, Swish-T: enhancing Swish with tanh bias, arXiv 2407.01012",
    parameters={
        "alpha": Parameter(0.1, 0.0, 1.0, description="size of the hyperbolic tangent that is added"),
        "beta": Parameter(1.0, 0.2, 10.0, log=True, learnable=True, description="steepness of the gate"),
    },
    smooth=True,
    cost="exponential",
    learned="scalar",
)
def swish_t(x: Tensor, alpha: float | Tensor, beta: float | Tensor) -> Tensor:
    """Swish plus a scaled hyperbolic tangent (its variant C); a learned beta is kept at 0.2 or more."""
    beta = at_least(beta, 0.2)
    return torch.sigmoid(beta * x) * (x + 2 * alpha / beta) - alpha / beta


@family(
    formula="(x + alpha) sigmoid(x) - alpha / 2",
    reference="Horuz et al. 2025, The resurrection of the ReLU, arXiv 2505.22074",
    parameters={"alpha": Parameter(1.67, 1.0, 2.5, description="shift; swish_t with alpha / 2 and beta 1")},
    smooth=True,
    cost="exponential",
)
def b_silu(x: Tensor, alpha: float | Tensor) -> Tensor:
    """Bounded SiLU: what `swish_t` computes at alpha / 2 and beta 1, around another default."""
    return torch.sigmoid(x) * (x + alpha) - 0.5 * alpha
