"""What is known of a network of somebody else's: how to make it, where its activations stand, how it is trained."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

Inputs = Any
"""A batch as the network takes it: one tensor, a dict of keyword arguments, or a tuple of positional ones."""


@dataclass(frozen=True)
class Lesson:
    """What a network is trained on in a small search.

    Args:
        data: `(inputs, targets)` of this many samples; inputs as the network takes them.
        loss: None for the one of the targets' kind.
        outputs: which of several is learned; None for the one that is taken without a word.
        forward: how the network is called, where inputs alone do not say; else None.
    """

    data: Callable[[int], tuple[Tensor | dict[str, Tensor], Tensor]]
    loss: Callable[[Tensor, Tensor], Tensor] | None = None
    outputs: str | None = None
    forward: Callable[[nn.Module, Any], Tensor] | None = None


@dataclass(frozen=True, eq=False)
class OwnNetwork:
    """A network and what `swap_activations` is to say of it, written by hand after reading the network's source.

    Args:
        name: unique, for tests.
        origin: the class or model as its library calls it.
        build: makes it, small and with random weights.
        inputs: a batch for it.
        found: how many activations stand at places of this pattern (a path with `#` for each number), and what.
        left: how many places of this pattern are left as they are, and words that the reason has.
        lost_keys: patterns of the keys of `state_dict` that are gone with the activations.
        lesson: see there.
        heavy: whether its tests take several seconds; see conftest.py.
    """

    name: str
    origin: str
    build: Callable[[], nn.Module]
    inputs: Callable[[], Inputs]
    found: Mapping[str, tuple[int, str]]
    lesson: Lesson
    left: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    lost_keys: tuple[str, ...] = ()
    heavy: bool = False


def pattern(path: str) -> str:
    """A path with `#` for each number in it."""
    return re.sub(r"\d+", "#", path)


def counted(paths: Iterable[str]) -> dict[str, int]:
    """How many of the paths have each pattern."""
    return dict(Counter(map(pattern, paths)))


def called(module: nn.Module, inputs: Inputs) -> Any:
    """What a network returns for a batch."""
    if isinstance(inputs, Mapping):
        return module(**inputs)
    return module(*inputs) if isinstance(inputs, tuple) else module(inputs)
