"""The grammar that a search draws expressions from: core units in a chain, after Ramachandran et al. 2017.

A core unit is `join(left(a), right(x))`: two unary operators and a binary one; a is x in the first unit and the value
of the unit before in the others. Every choice is one categorical parameter, so that any Optuna sampler can make it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from actsearch.activations.declaration import Parameter
from actsearch.activations.expressions.operators import FUNCTIONS
from actsearch.activations.expressions.tree import Call, Expression, Input, Name, Node
from actsearch.errors import FieldProblem, InvalidRequest

GRAMMAR = "grammar"
MAX_UNITS = 3
LEFT_ALONE = "left"
"""The binary operator that forgets its right argument."""


def _calling(operator: str) -> Callable[..., Node]:
    return lambda *arguments: Call(operator, arguments)


UNARY: Mapping[str, Callable[..., Node]] = {
    "identity": lambda a: a,
    "negative": _calling("negative"),
    "square": _calling("^2"),
    "cube": _calling("^3"),
} | {name: _calling(name) for name, operator in FUNCTIONS.items() if operator.arity == 1}
BINARY: Mapping[str, Callable[..., Node]] = {
    name: _calling(name) for name in ("+", "-", "*", "/", "max", "min", "gate", "rbf")
} | {LEFT_ALONE: lambda a, _: a}
PARAMETRIC: Mapping[str, tuple[Parameter, str]] = {
    "scale": (Parameter(1.0, 0.1, 10.0, log=True, learnable=True, description="factor"), "*"),
    "shift": (Parameter(0.0, -2.0, 2.0, learnable=True, description="summand"), "+"),
}
"""Unary operators with a parameter, offered where a unary operator is applied to x itself: at most four in a tree."""

OPERATORS = (*UNARY, *PARAMETRIC, *BINARY)


@dataclass(frozen=True)
class Grammar:
    """What expressions to draw from.

    Args:
        units: core units in the chain, 1 to `MAX_UNITS`.
        operators: names from `OPERATORS` to choose among; empty for all. Where no unary (or no binary) one is named,
            all of that kind are meant.

    Raises:
        InvalidRequest: for other names or numbers.
    """

    units: int = 2
    operators: Sequence[str] = field(default_factory=tuple)

    def __post_init__(self) -> None:
        if not 1 <= self.units <= MAX_UNITS:
            raise InvalidRequest(FieldProblem("depth", f"{self.units} is outside [1, {MAX_UNITS}]"))
        unknown = [name for name in self.operators if name not in OPERATORS]
        if unknown:
            raise InvalidRequest(FieldProblem("operators", f"no such operators: {', '.join(unknown)}", OPERATORS))

    def choices(self) -> dict[str, tuple[str, ...]]:
        """The categorical parameters, in the order of the chain, with what each chooses among."""
        on_x, joins = self._chosen([*UNARY, *PARAMETRIC]), self._chosen(BINARY)
        plain = tuple(name for name in on_x if name in UNARY) or ("identity",)
        found = {}
        for unit in range(1, self.units + 1):
            found[f"left{unit}"] = on_x if unit == 1 else plain
            found[f"right{unit}"] = on_x
            found[f"join{unit}"] = joins
        return found

    def _chosen(self, known: Iterable[str]) -> tuple[str, ...]:
        return tuple(name for name in known if name in self.operators) or tuple(known)


def used_parameters(chosen: Mapping[str, str]) -> dict[str, Parameter]:
    """The parameters that the chosen operators need, by the name of the place: `left1`, `right2` ..."""
    return {
        place: PARAMETRIC[name][0]
        for place, name in chosen.items()
        if name in PARAMETRIC and not _forgotten(place, chosen)
    }


def compose(chosen: Mapping[str, str]) -> Expression:
    """The expression of a choice for every place of `Grammar.choices`; its parameters are named by their places."""
    value: Node = Input()
    for unit in range(1, len(chosen) // 3 + 1):
        left = _applied(f"left{unit}", chosen, value)
        right = _applied(f"right{unit}", chosen, Input())
        value = BINARY[chosen[f"join{unit}"]](left, right)
    return Expression(value)


def _applied(place: str, chosen: Mapping[str, str], argument: Node) -> Node:
    name = chosen[place]
    if name in PARAMETRIC:
        return Call(PARAMETRIC[name][1], (Name(place), argument))
    return UNARY[name](argument)


def _forgotten(place: str, chosen: Mapping[str, str]) -> bool:
    """Whether the operator at a place has no effect, since its unit's `join` forgets it."""
    return place.startswith("right") and chosen[f"join{place.removeprefix('right')}"] == LEFT_ALONE
