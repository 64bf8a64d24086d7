"""Expressions as trees: evaluated, written as text and as PyTorch source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import Tensor

from actsearch.activations.expressions.operators import FUNCTIONS, INFIX, OPERATORS, POWERS, as_tensor

# How tightly each kind of node binds in text; a looser one inside a tighter one needs parentheses.
_SUM, _PRODUCT, _SIGN, _POWER, _ATOM = range(1, 6)
_BINDING = {"+": _SUM, "-": _SUM, "*": _PRODUCT, "/": _PRODUCT, "negative": _SIGN, "^2": _POWER, "^3": _POWER}


@dataclass(frozen=True)
class Input:
    """The input x."""


@dataclass(frozen=True)
class Number:
    """A constant."""

    value: float


@dataclass(frozen=True)
class Name:
    """A parameter."""

    name: str


@dataclass(frozen=True)
class Call:
    """An operator applied; `operator` is a key of `OPERATORS`."""

    operator: str
    arguments: tuple[Node, ...]


Node = Input | Number | Name | Call


@dataclass(frozen=True)
class Expression:
    """A tree that can be called like the function of a family: `expression(x, **parameters)`."""

    tree: Node

    def __call__(self, x: Tensor, **parameters: float | Tensor) -> Tensor:
        """The value, of the shape of `x`; a parameter is a float or broadcasts against `x`."""
        value: Tensor = evaluate(self.tree, x, parameters)
        return value

    @cached_property
    def text(self) -> str:
        """The expression with spaces and parentheses as few as needed: the same text for the same tree."""
        return _text(self.tree)

    @cached_property
    def parameters(self) -> tuple[str, ...]:
        """Names of the parameters, in order of appearance."""
        return tuple(dict.fromkeys(node.name for node in nodes(self.tree) if isinstance(node, Name)))

    @cached_property
    def source(self) -> str:
        """PyTorch code of the value, in terms of `x` and the parameters' names."""
        return _source(self.tree)


def evaluate(node: Node, x: Tensor, parameters: Mapping[str, float | Tensor]) -> Any:
    """The value of a node: a tensor, or a float where neither x nor a tensor parameter is below it."""
    if isinstance(node, Input):
        return x
    if isinstance(node, Number):
        return node.value
    if isinstance(node, Name):
        return parameters[node.name]
    operator = OPERATORS[node.operator]
    values = [evaluate(argument, x, parameters) for argument in node.arguments]
    return operator.function(*(as_tensor(v, x) for v in values) if operator.tensors else values)


def nodes(node: Node) -> Iterator[Node]:
    """A node and all below it, from left to right."""
    yield node
    if isinstance(node, Call):
        for argument in node.arguments:
            yield from nodes(argument)


def depth(node: Node) -> int:
    """Operators above the deepest leaf."""
    return 1 + max(map(depth, node.arguments)) if isinstance(node, Call) else 0


def has_input(node: Node) -> bool:
    """Whether the value depends on x."""
    return any(isinstance(below, Input) for below in nodes(node))


def _text(node: Node) -> str:
    if not isinstance(node, Call):
        return _leaf_text(node)
    if node.operator in FUNCTIONS:
        return f"{node.operator}({', '.join(map(_text, node.arguments))})"
    binding = _BINDING[node.operator]
    if node.operator in POWERS:
        return _inside(node.arguments[0], binding) + node.operator
    if node.operator == "negative":
        return "-" + _inside(node.arguments[0], binding + 1)
    left, right = node.arguments
    return f"{_inside(left, binding)} {node.operator} {_inside(right, binding + 1)}"


def _leaf_text(node: Input | Number | Name) -> str:
    if isinstance(node, Number):
        return repr(node.value).removesuffix(".0")
    return "x" if isinstance(node, Input) else node.name


def _inside(node: Node, binding: int) -> str:
    own = _ATOM
    if isinstance(node, Call):
        own = _BINDING.get(node.operator, _ATOM)
    elif isinstance(node, Number) and node.value < 0:
        own = _SIGN
    return _text(node) if own >= binding else f"({_text(node)})"


def _source(node: Node) -> str:
    if isinstance(node, Input | Name):
        return _text(node)
    if isinstance(node, Number):
        return f"({node.value!r})" if node.value < 0 else repr(node.value)
    operator = OPERATORS[node.operator]
    written = [_source(argument) for argument in node.arguments]
    if operator.tensors:
        pairs = zip(written, node.arguments, strict=True)
        written = [text if has_input(argument) else f"as_tensor({text}, x)" for text, argument in pairs]
    joined = operator.source.format(*written)
    return f"({joined})" if node.operator in (*INFIX, "negative", "gate", "mix") and node.operator != "/" else joined
