"""Blends: weighted sums of five functions, the weights trained: free, with sum one, or positive with sum one."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from actsearch.activations.declaration import Parameter, family
from actsearch.activations.learned import coefficient

PARTS = ("identity", "relu", "elu", "tanh", "swish")
REFERENCE = "Suetfeld et al. 2018, Adaptive blending units; Manessi & Rozza 2018"


def weights(default: float, what: str) -> dict[str, Parameter]:
    """A weight for each part."""
    return {f"w_{name}": coefficient(default, f"{what} of {name}") for name in PARTS}


def power(logit: float | Tensor) -> float | Tensor:
    """exp(logit)."""
    return logit.exp() if isinstance(logit, Tensor) else math.exp(logit)


@family(
    formula="w_identity x + w_relu relu(x) + w_elu elu(x) + w_tanh tanh(x) + w_swish silu(x)",
    reference=REFERENCE,
    parameters=weights(0.2, "weight"),
    monotone=True,
    cost="composite",
    learned="scalar",
)
def blend(
    x: Tensor,
    *,
    w_identity: float | Tensor,
    w_relu: float | Tensor,
    w_elu: float | Tensor,
    w_tanh: float | Tensor,
    w_swish: float | Tensor,
) -> Tensor:
    """Adaptive blending unit: five functions with free weights, equal at first."""
    smooth = w_elu * F.elu(x) + w_tanh * torch.tanh(x) + w_swish * F.silu(x)
    return w_identity * x + w_relu * F.relu(x) + smooth


@family(
    formula="blend(x) with (1 - sum of the weights) / 5 added to each weight",
    reference=REFERENCE,
    parameters=weights(0.2, "weight"),
    monotone=True,
    cost="composite",
    learned="scalar",
)
def blend_affine(x: Tensor, **given: float | Tensor) -> Tensor:
    """Blend whose weights are moved so that their sum is 1; some may be negative."""
    lift = (1 - sum(given.values())) / 5
    return blend(x, **{name: weight + lift for name, weight in given.items()})


@family(
    formula="blend(x) with the softmax of the weights for weights",
    reference=REFERENCE,
    parameters=weights(0.0, "logit of the weight"),
    monotone=True,
    cost="composite",
    learned="scalar",
)
def blend_softmax(x: Tensor, **logits: float | Tensor) -> Tensor:
    """Convex blend: positive weights whose sum is 1."""
    centre = sum(logits.values()) / 5  # keeps the exponentials small
    powers = {name: power(logit - centre) for name, logit in logits.items()}
    total = sum(powers.values())
    return blend(x, **{name: part / total for name, part in powers.items()})
