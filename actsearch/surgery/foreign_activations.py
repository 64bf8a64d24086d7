"""Activations as they stand in other people's networks: classes of modules, functions and methods."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# fmt: off
_HIDDEN = (
    "relu", "relu_", "relu6", "leaky_relu", "leaky_relu_", "elu", "elu_", "selu", "selu_", "celu", "celu_", "gelu",
    "silu", "mish", "hardswish", "hardtanh", "hardtanh_", "softplus", "softsign", "tanhshrink", "softshrink",
    "hardshrink", "prelu", "rrelu", "rrelu_", "threshold", "threshold_", "tanh", "tanh_",
)
# fmt: on
_GATES = ("sigmoid", "sigmoid_", "hardsigmoid", "logsigmoid")
METHODS = frozenset([*_HIDDEN, *_GATES])
"""Names under which activations are functions of `torch` or `F`, or methods of tensors."""

FUNCTIONS: dict[Callable[..., Any], str] = {
    getattr(home, name): f"{shown}.{name}"
    for home, shown in ((torch, "torch"), (F, "F"))
    for name in sorted(METHODS)
    if hasattr(home, name)
}
"""What functions are called in reports."""

_GATE_CLASSES = frozenset({"Sigmoid", "Hardsigmoid", "HardSigmoid", "HardSigmoidMe", "LogSigmoid"})
# fmt: off
_CLASSES = _GATE_CLASSES | {
    "ReLU", "ReLU6", "LeakyReLU", "PReLU", "RReLU", "ELU", "CELU", "SELU", "GELU", "GELUTanh", "QuickGELU", "SiLU",
    "Swish", "Mish", "Hardswish", "HardSwish", "HSwish", "HardMish", "Hardtanh", "Softplus", "Softsign", "Tanh",
    "Tanhshrink", "Softshrink", "Hardshrink", "Threshold", "Snake", "FReLU", "StarReLU", "SwishMe", "MishMe",
    "HardSwishMe", "HardMishMe", "SquaredReLU", "Squareplus", "Activation", "SiteActivation",
}
# fmt: on


def is_activation(module: nn.Module) -> bool:
    """Whether a module is an activation: one of torch's, timm's or ours, a subclass, or a namesake without parts."""
    names = {kind.__name__ for kind in type(module).__mro__}
    return bool(names & _CLASSES) and not any(True for _ in module.children())


def is_gate(name: str) -> bool:
    """Whether a function or class (by its name) squeezes into (0, 1): a gate or an output rather than a hidden unit."""
    return name.rpartition(".")[2] in {*_GATES, *_GATE_CLASSES}


def is_inplace(module: nn.Module) -> bool:
    """Whether an activation changes its input."""
    return bool(getattr(module, "inplace", False))


def is_tensor_method(name: object) -> bool:
    """Whether a tensor has an activation of this name."""
    return name in METHODS and hasattr(Tensor, str(name))
