"""What an expression may be made of: the whitelist of operators, each as a function and as PyTorch source.

All are total: where mathematics has no answer (a root of a negative number, a division by zero, a huge exponential)
they give the nearest finite one, so that no tree of them produces NaN from moderate inputs. The root's 2e-8 keeps its
slope finite; the ONNX exporter takes a summand of up to 1e-8 for zero and drops it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Operator:
    """One operator.

    Args:
        function: of as many arguments as `arity`, each a float or a tensor that broadcasts against the others.
        source: PyTorch code with the arguments in braces; may call the functions of this module.
        meaning: what it computes, for people.
        tensors: wants tensors where a plain number is given.
    """

    arity: int
    function: Callable[..., Any]
    source: str
    meaning: str
    tensors: bool = True

    @property
    def dear(self) -> bool:
        """Whether it costs more than arithmetic does: a transcendental function."""
        return self.tensors and self not in (FUNCTIONS["abs"], FUNCTIONS["sqrt"], FUNCTIONS["relu"])


def as_tensor(value: float | Tensor, x: Tensor) -> Tensor:
    """A number as a tensor () of the type of `x`."""
    return value if isinstance(value, Tensor) else torch.full((), value, dtype=x.dtype, device=x.device)


def divide(a: float | Tensor, b: float | Tensor) -> float | Tensor:
    """Quotient; a divisor within 1e-6 of zero counts as 1e-6 (or -1e-6 where it is negative)."""
    if not isinstance(b, Tensor):
        return a / math.copysign(max(abs(b), 1e-6), b)
    return a / torch.where(b < 0, b.clamp(max=-1e-6), b.clamp(min=1e-6))


def maximum(a: float | Tensor, b: float | Tensor) -> float | Tensor:
    """The larger one."""
    if isinstance(a, Tensor):
        return torch.maximum(a, b) if isinstance(b, Tensor) else a.clamp(min=b)
    return b.clamp(min=a) if isinstance(b, Tensor) else max(a, b)


def minimum(a: float | Tensor, b: float | Tensor) -> float | Tensor:
    """The smaller one."""
    if isinstance(a, Tensor):
        return torch.minimum(a, b) if isinstance(b, Tensor) else a.clamp(max=b)
    return b.clamp(max=a) if isinstance(b, Tensor) else min(a, b)


HELPERS = {function.__name__: function for function in (as_tensor, divide, maximum, minimum)}

INFIX = {
    "+": Operator(2, lambda a, b: a + b, "{0} + {1}", "a + b", tensors=False),
    "-": Operator(2, lambda a, b: a - b, "{0} - {1}", "a - b", tensors=False),
    "*": Operator(2, lambda a, b: a * b, "{0} * {1}", "a b", tensors=False),
    "/": Operator(2, divide, "divide({0}, {1})", "a / b, |b| at least 1e-6", tensors=False),
}
PREFIX = {"negative": Operator(1, lambda a: -a, "-{0}", "-a", tensors=False)}
POWERS = {
    "^2": Operator(1, lambda a: a * a, "({0}) ** 2", "a^2", tensors=False),
    "^3": Operator(1, lambda a: a * a * a, "({0}) ** 3", "a^3", tensors=False),
}
FUNCTIONS = {
    "abs": Operator(1, torch.abs, "torch.abs({0})", "|a|"),
    "sqrt": Operator(1, lambda a: torch.sqrt(a.abs() + 2e-8), "torch.sqrt(torch.abs({0}) + 2e-8)", "sqrt(|a|)"),
    "exp": Operator(
        1, lambda a: torch.exp(a.clamp(max=20)), "torch.exp(torch.clamp({0}, max=20))", "exp(a), a at most 20"
    ),
    "log1p": Operator(1, lambda a: torch.log1p(a.abs()), "torch.log1p(torch.abs({0}))", "ln(1 + |a|)"),
    "sin": Operator(1, torch.sin, "torch.sin({0})", "sin(a)"),
    "cos": Operator(1, torch.cos, "torch.cos({0})", "cos(a)"),
    "sinh": Operator(
        1, lambda a: torch.sinh(a.clamp(-20, 20)), "torch.sinh(torch.clamp({0}, -20, 20))", "sinh(a), |a| at most 20"
    ),
    "atan": Operator(1, torch.atan, "torch.atan({0})", "arc tangent of a"),
    "tanh": Operator(1, torch.tanh, "torch.tanh({0})", "tanh(a)"),
    "sigmoid": Operator(1, torch.sigmoid, "torch.sigmoid({0})", "1 / (1 + exp(-a))"),
    "erf": Operator(1, torch.erf, "torch.erf({0})", "error function of a"),
    "softplus": Operator(1, F.softplus, "F.softplus({0})", "ln(1 + exp(a))"),
    "relu": Operator(1, F.relu, "F.relu({0})", "max(a, 0)"),
    "elu": Operator(1, F.elu, "F.elu({0})", "a if a > 0 else exp(a) - 1"),
    "selu": Operator(1, F.selu, "F.selu({0})", "the family selu"),
    "silu": Operator(1, F.silu, "F.silu({0})", "a sigmoid(a)"),
    "gelu": Operator(1, F.gelu, "F.gelu({0})", "a Phi(a)"),
    "max": Operator(2, maximum, "maximum({0}, {1})", "the larger one", tensors=False),
    "min": Operator(2, minimum, "minimum({0}, {1})", "the smaller one", tensors=False),
    "gate": Operator(2, lambda a, b: torch.sigmoid(a) * b, "torch.sigmoid({0}) * ({1})", "sigmoid(a) b"),
    "rbf": Operator(
        2, lambda a, b: torch.exp(-((a - b) ** 2)), "torch.exp(-((({0}) - ({1})) ** 2))", "exp(-(a - b)^2)"
    ),
    "mix": Operator(
        3,
        lambda a, b, share: share * a + (1 - share) * b,
        "({2}) * ({0}) + (1 - ({2})) * ({1})",
        "c a + (1 - c) b",
        tensors=False,
    ),
}
OTHER_NAMES = {"swish": "silu", "arctan": "atan"}
CONSTANTS = {"pi": math.pi}

OPERATORS = {**INFIX, **PREFIX, **POWERS, **FUNCTIONS}
