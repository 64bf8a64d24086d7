"""How a family is declared: one decorated function, from which everything else is derived."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

from actsearch.errors import NotFound

Cost = Literal["cheap", "exponential", "composite"]
Learned = Literal["fixed", "scalar", "channel"]


@dataclass(frozen=True)
class Parameter:
    """A hyperparameter of a family.

    Args:
        default: value when a spec leaves it out.
        low, high: inclusive bounds of the value and default search range.
        log: searched on a log scale.
        learnable: may be trained with the weights.
        description: one line for docs and the API.
        searched: offered to the sampler; False for the coefficients of learned shapes, which only training moves.
        whole: takes integers only.
        needs: another hyperparameter, an integer, and its least value for this one to be in use: a spline of five
            knots has no sixth height.
    """

    default: float
    low: float
    high: float
    log: bool = False
    learnable: bool = False
    description: str = ""
    searched: bool = True
    whole: bool = False
    needs: tuple[str, int] | None = None


@dataclass(frozen=True)
class Family:
    """A parametric class of activations.

    Args:
        name: id in the catalogue.
        function: `f(x, **parameters)`, elementwise, written with torch operations that broadcast: a parameter is a
            float or a tensor that broadcasts against `x`. A stochastic family also takes `training: bool`. Those that
            are not in use (`Parameter.needs`) it may be given or not, and leaves them alone.
        parameters: by name, in order.
        formula: for people, plain text.
        reference: paper or documentation.
        smooth: at least once continuously differentiable for every parameter value.
        monotone, bounded: for the default parameters; bounded means on both sides.
        cost: `cheap` (no transcendental), `exponential` (one), `composite` (several).
        learned: whether its learnable parameters are trained unless a spec says otherwise.
        stochastic: draws random numbers in training.
        quantisation_friendly: bounded or piecewise linear.
        torch_module: the same function in `torch.nn`, as an expression with the parameters (and `channels`) in braces:
            `nn.LeakyReLU({slope})`; None where torch has none.
        initial_gain: `initial_gain(**parameters)`, the gain of weights where the family asks for one of its own
            (SIREN); None for the one that keeps the second moment (`gain`).
        alias_of: the family that computes the same under another name; a search over all families takes only that.
    """

    name: str
    function: Callable[..., Tensor]
    formula: str
    reference: str
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    smooth: bool = False
    monotone: bool = False
    bounded: bool = False
    cost: Cost = "cheap"
    learned: Learned = "fixed"
    stochastic: bool = False
    quantisation_friendly: bool = False
    torch_module: str | None = None
    initial_gain: Callable[..., float] | None = None
    alias_of: str | None = None

    def used(self, values: Mapping[str, float]) -> tuple[str, ...]:
        """Names of the hyperparameters in use where some of them have these values, the others their defaults."""

        def is_used(needs: tuple[str, int] | None) -> bool:
            return needs is None or values.get(needs[0], self.parameters[needs[0]].default) >= needs[1]

        return tuple(name for name, parameter in self.parameters.items() if is_used(parameter.needs))

    @property
    def year(self) -> int | None:
        """The year of publication, the first that the reference names; None for the classical ones."""
        found = _YEAR.search(self.reference)
        return int(found.group()) if found else None

    @property
    def tags(self) -> tuple[str, ...]:
        """Words to choose families by: smooth, monotone, bounded, cheap, quantisation_friendly, learnable."""
        flags = {
            "smooth": self.smooth,
            "monotone": self.monotone,
            "bounded": self.bounded,
            "cheap": self.cost == "cheap",
            "quantisation_friendly": self.quantisation_friendly,
            "learnable": any(p.learnable for p in self.parameters.values()),
        }
        return tuple(name for name, held in flags.items() if held)


RESERVED = ("expression", "grammar")
"""Names that stand for functions of a request's own."""
_YEAR = re.compile(r"\b(?:19|20)\d\d\b")
_WORD = re.compile(r"[a-z][a-z0-9_]{0,99}")
_FAMILIES: dict[str, Family] = {}


def family(
    *,
    formula: str,
    reference: str,
    name: str | None = None,
    parameters: Mapping[str, Parameter] | None = None,
    smooth: bool = False,
    monotone: bool = False,
    bounded: bool = False,
    cost: Cost = "cheap",
    learned: Learned = "fixed",
    stochastic: bool = False,
    quantisation_friendly: bool = False,
    torch_module: str | None = None,
    initial_gain: Callable[..., float] | None = None,
    alias_of: str | None = None,
) -> Callable[[Callable[..., Tensor]], Callable[..., Tensor]]:
    """Register the decorated function as a family; see `Family` for the arguments.

    Raises:
        ValueError: if the name is taken or no lowercase word, if the hyperparameters are not the function's arguments
            after `x`, if one has a default out of its range, or needs one that is not an integer.
    """

    def register(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        declared = Family(
            name=name or function.__name__,
            function=function,
            formula=formula,
            reference=reference,
            parameters=dict(parameters or {}),
            smooth=smooth,
            monotone=monotone,
            bounded=bounded,
            cost=cost,
            learned=learned,
            stochastic=stochastic,
            quantisation_friendly=quantisation_friendly,
            torch_module=torch_module,
            initial_gain=initial_gain,
            alias_of=alias_of,
        )
        _check(declared)
        _FAMILIES[declared.name] = declared
        return function

    return register


def _check(declared: Family) -> None:
    name = declared.name
    if name in _FAMILIES or name in RESERVED:
        raise ValueError(f"family {name!r} is already declared")
    if not _WORD.fullmatch(name):
        raise ValueError(f"family {name!r}: a name is a lowercase word of letters, digits and underscores")
    _check_arguments(declared)
    for parameter, p in declared.parameters.items():
        if not p.low <= p.default <= p.high or (p.log and p.low <= 0):
            raise ValueError(f"family {name!r}: {parameter} must have low <= default <= high, and low > 0 where log")
        if p.needs is not None and not getattr(declared.parameters.get(p.needs[0]), "whole", False):
            raise ValueError(
                f"family {name!r}: {parameter} needs {p.needs[0]}, which is not one of its integer hyperparameters"
            )


def _check_arguments(declared: Family) -> None:
    """The function takes x, the hyperparameters and nothing else."""
    _, *others = inspect.signature(declared.function).parameters.values()
    taken = {p.name for p in others if p.kind is not p.VAR_KEYWORD} - ({"training"} if declared.stochastic else set())
    open_ended = any(p.kind is p.VAR_KEYWORD for p in others)
    wanted = set(declared.parameters)
    if not taken <= wanted or not (open_ended or wanted <= taken):
        raise ValueError(f"family {declared.name!r} declares {sorted(wanted)}, its function takes {sorted(taken)}")


def families() -> Mapping[str, Family]:
    """All declared families by name, in catalogue order."""
    return dict(_FAMILIES)


def distinct_families() -> Mapping[str, Family]:
    """The families that are not another name of one that is here too: what a search over all of them takes."""
    return {name: found for name, found in _FAMILIES.items() if found.alias_of is None}


def get_family(name: str) -> Family:
    """The family called `name`.

    Raises:
        NotFound: naming the known ones.
    """
    try:
        return _FAMILIES[name]
    except KeyError:
        raise NotFound("family", name, tuple(_FAMILIES)) from None
