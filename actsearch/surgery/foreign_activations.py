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

# fmt: off
_TORCHS = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.RReLU, nn.ELU, nn.CELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish,
    nn.Hardswish, nn.Hardtanh, nn.Softplus, nn.Softsign, nn.Tanh, nn.Tanhshrink, nn.Softshrink, nn.Hardshrink,
    nn.Threshold, nn.Sigmoid, nn.Hardsigmoid, nn.LogSigmoid,
)
_NAMES = frozenset({
    "ReLU", "ReLU6", "LeakyReLU", "PReLU", "RReLU", "ELU", "CELU", "SELU", "GELU", "GELUTanh", "QuickGELU", "SiLU",
    "Swish", "Mish", "Hardswish", "HardSwish", "HSwish", "HardMish", "Hardtanh", "Softplus", "Softsign", "Tanh",
    "Tanhshrink", "Softshrink", "Hardshrink", "Threshold", "Snake", "StarReLU", "SwishMe", "MishMe", "HardSwishMe",
    "HardMishMe", "SquaredReLU", "Squareplus", "Sigmoid", "Hardsigmoid", "HardSigmoid", "HardSigmoidMe", "LogSigmoid",
})
# fmt: on


def has_torchs_class(module: nn.Module) -> bool:
    """Whether a module is one of torch's activations, or a subclass without parts."""
    return isinstance(module, _TORCHS) and not any(True for _ in module.children())


def is_namesake(module: nn.Module) -> bool:
    """Whether a module without parts is called like an activation; counts where it cannot be tried."""
    return any(kind.__name__ in _NAMES for kind in type(module).__mro__) and not any(True for _ in module.children())


def is_gate_name(name: str) -> bool:
    """Whether a function of this name squeezes into (0, 1)."""
    return name.rpartition(".")[2] in _GATES


def is_inplace(module: nn.Module) -> bool:
    """Whether an activation changes its input."""
    return bool(getattr(module, "inplace", False))


def is_tensor_method(name: object) -> bool:
    """Whether a tensor has an activation of this name."""
    return name in METHODS and hasattr(Tensor, str(name))
