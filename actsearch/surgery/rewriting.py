"""A `forward` that was written anew, in a class that can be made again: what is pickled, copied or sent is what runs.

A module's class is replaced by a subclass of the same name. Pickle stores the original class and the text of the new
`forward`, and makes the subclass again from these.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType
from typing import Any

from torch import Tensor, nn


@dataclass(frozen=True)
class Arguments:
    """How the arguments of a `forward` are used in its graph.

    Args:
        symbols: names of those that the graph takes, in order.
        fixed: values of the others that it was traced with; `...` for no further keyword arguments.
        parameters: as in the source, `x, bias=_default_bias, **kwargs`.
        defaults: by name.
    """

    symbols: tuple[str, ...]
    fixed: Mapping[str, Any]
    parameters: str
    defaults: Mapping[str, Any]


@dataclass(frozen=True)
class Recipe:
    """The text of a `forward`; hashable, and pickled with a module.

    Args:
        symbols, fixed, parameters, defaults: see `Arguments`.
        bodies: source of a function of (self, *symbols), in training and in evaluation mode.
        names: what the bodies refer to, by name.
        shown: tells apart values that are equal, as 1 and True are.
    """

    symbols: tuple[str, ...]
    fixed: tuple[tuple[str, Any], ...]
    parameters: str
    defaults: tuple[tuple[str, Any], ...]
    bodies: tuple[str, str]
    names: tuple[tuple[str, Any], ...]
    shown: str


@dataclass(frozen=True)
class _Imported:
    """Stands for a Python module, which cannot be pickled."""

    name: str


def rewrite(module: nn.Module, recipe: Recipe) -> None:
    """Give a module the `forward` of a recipe, in place."""
    module.__class__ = _subclass(type(module), recipe)  # type: ignore[arg-type]


def recipe(arguments: Arguments, bodies: tuple[str, str], names: Mapping[str, Any]) -> Recipe:
    """A recipe that can be hashed and pickled."""
    kept = {n: _Imported(value.__name__) if isinstance(value, ModuleType) else value for n, value in names.items()}
    fixed, defaults = tuple(arguments.fixed.items()), tuple(arguments.defaults.items())
    shown = repr((fixed, defaults))
    return Recipe(arguments.symbols, fixed, arguments.parameters, defaults, bodies, tuple(kept.items()), shown)


@lru_cache(maxsize=4096)
def _subclass(kind: type[nn.Module], recipe: Recipe) -> type[nn.Module]:
    def reduce(self: nn.Module, protocol: Any) -> tuple[Any, ...]:
        parts: Any = object.__reduce_ex__(self, 2)
        return (_made_again, (kind, recipe), *parts[2:])

    body: dict[str, Any] = {
        "__module__": kind.__module__,
        "__qualname__": kind.__qualname__,
        "__doc__": kind.__doc__,
        "__reduce_ex__": reduce,
        "forward": _forward(recipe, kind.__name__),
    }
    return type(kind.__name__, (kind,), body)


def _made_again(kind: type[nn.Module], recipe: Recipe) -> nn.Module:
    subclass: type[nn.Module] = _subclass(kind, recipe)  # type: ignore[arg-type]
    return subclass.__new__(subclass)


def _forward(recipe: Recipe, kind: str) -> Callable[..., Any]:
    names = {n: importlib.import_module(v.name) if isinstance(v, _Imported) else v for n, v in recipe.names}
    scope: dict[str, Any] = {"_refuse_others": _refuse_others, "_refuse_none": _refuse_none}
    for name, body in zip(("_training", "_evaluation"), recipe.bodies, strict=True):
        space = dict(names)
        exec(compile(body, f"<forward of {kind}>", "exec"), space)  # noqa: S102  # written by torch.fx
        scope[name] = space["forward"]
    scope |= {f"_fixed_{name}": value for name, value in recipe.fixed}
    scope |= {f"_default_{name}": value for name, value in recipe.defaults}
    checks = [f"_refuse_others({kind!r}, {n!r}, {n}, _fixed_{n})" for n, _ in recipe.fixed]
    checks += [f"_refuse_none({kind!r}, {n!r}, {n})" for n, _ in recipe.defaults if n in recipe.symbols]
    call = ", ".join(["self", *recipe.symbols])
    lines = [*checks, "if self.training:", f"    return _training({call})", f"return _evaluation({call})"]
    text = f"def forward(self, {recipe.parameters}):\n" + "".join(f"    {line}\n" for line in lines)
    exec(compile(text, f"<forward of {kind}>", "exec"), scope)  # noqa: S102  # of names and constants
    forward: Callable[..., Any] = scope["forward"]
    return forward


def _refuse_others(kind: str, name: str, given: Any, fixed: Any) -> None:
    """Raise for an argument that the `forward` was not traced with: it would compute something else in silence."""
    wanted = {} if fixed is ... else fixed
    if given is wanted or (not isinstance(given, Tensor) and type(given) is type(wanted) and given == wanted):
        return
    shown = f"a tensor of shape {tuple(given.shape)}" if isinstance(given, Tensor) else repr(given)
    said = "no further keyword arguments" if fixed is ... else f"{name}={fixed!r}"
    raise ValueError(
        f"{kind}.forward was rewritten by swap_activations for {said}, but got {name}={shown}; pass sample `inputs` "
        "that use it to swap_activations, or make the activation in this forward a module of its own"
    )


def _refuse_none(kind: str, name: str, given: Any) -> None:
    """Raise where an argument that the `forward` was traced with is not given."""
    if given is None:
        raise ValueError(
            f"{kind}.forward was rewritten by swap_activations for calls that give {name}, but got {name}=None; "
            "give it, or make the activation in this forward a module of its own"
        )
