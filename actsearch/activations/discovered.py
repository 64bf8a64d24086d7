"""Functions that programs found by searching on small tasks."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from actsearch.activations.declaration import Parameter, family

_MINED = "AlphaEvolve's, 2026: Mining generalizable activation functions, arXiv 2602.05688"


@family(
    formula="gelu(x) + alpha sin(omega x)",
    reference=_MINED,
    parameters={
        "alpha": Parameter(0.1, 0.02, 0.5, log=True, description="size of the ripple"),
        "omega": Parameter(1.0, 0.5, 4.0, log=True, description="frequency of the ripple"),
    },
    smooth=True,
    cost="composite",
)
def gelu_sine(x: Tensor, alpha: float | Tensor, omega: float | Tensor) -> Tensor:
    """GELU with a ripple. A replication on a byte language model contradicts the gain that was claimed."""
    return F.gelu(x) + alpha * torch.sin(omega * x)


@family(
    formula="tanh(a x) exp(-b x^2) + c x",
    reference=_MINED,
    parameters={
        "a": Parameter(1.5, 0.5, 3.0, description="steepness of the bump"),
        "b": Parameter(0.2, 0.05, 1.0, log=True, description="how fast the bump fades"),
        "c": Parameter(0.2, 0.05, 1.0, log=True, description="slope far from zero"),
    },
    smooth=True,
    cost="composite",
)
def gmtu(x: Tensor, a: float | Tensor, b: float | Tensor, c: float | Tensor) -> Tensor:
    """Gaussian-modulated hyperbolic tangent on a line."""
    return torch.tanh(a * x) * torch.exp(-b * x.square()) + c * x
