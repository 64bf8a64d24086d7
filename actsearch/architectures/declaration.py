"""How an architecture is declared: a builder with named activation sites, registered by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import nn

from actsearch.schemas import ActivationSpec, ParameterInfo

RELU = ActivationSpec(family="relu")


class Sites(Protocol):
    """Makes the activation module of a site; the builder calls it once a site, in forward order.

    The module it returns has a float attribute `gain`: the weights of the layer before the site are drawn with it
    (`initialise`), so that the second moment of the signal is kept.
    """

    def __call__(self, site: str, *, stage: str, channels: int, axis: int = 1) -> nn.Module:
        """The module for `site` of `stage`, whose input has `channels` on `axis` (counted with the batch axis)."""
        ...


@dataclass(frozen=True)
class InputSpec:
    """What an architecture must fit: see `tasks.Dataset` for the kinds and shapes.

    Args:
        example: of the kind `several`, inputs of one sample.
    """

    kind: str
    shape: tuple[int, ...]
    outputs: int
    example: Any = None


Builder = Callable[..., nn.Module]
"""`build(spec: InputSpec, sites: Sites, **parameters) -> nn.Module`, drawing weights from torch's global generator."""


@dataclass(frozen=True)
class Architecture:
    """A named builder of networks.

    Args:
        build: see `Builder`.
        inputs: input kinds it takes.
        parameters: depth, width, norm ...: name, type, range, default.
        baseline: the activation that people use in it, with which a job compares unless its request says otherwise.
        role_baselines: by stage, where stages are roles with another usual activation: the gates of a recurrent cell. A
            role is chosen apart even if all else shares one choice, and keeps its baseline whatever a request says.
        own: by site, the catalogue's activation that the network computes there where it is `as given`, if it has it.
    """

    name: str
    description: str
    build: Builder
    inputs: Sequence[str]
    parameters: Sequence[ParameterInfo]
    baseline: ActivationSpec = RELU
    role_baselines: Mapping[str, ActivationSpec] = field(default_factory=dict)
    own: Mapping[str, ActivationSpec] = field(default_factory=dict)


_ARCHITECTURES: dict[str, Architecture] = {}


def architecture(
    *,
    inputs: Sequence[str],
    parameters: Sequence[ParameterInfo],
    name: str | None = None,
    baseline: ActivationSpec = RELU,
    role_baselines: Mapping[str, ActivationSpec] | None = None,
) -> Callable[[Builder], Builder]:
    """Register the decorated builder; its docstring's first line is the description.

    Raises:
        ValueError: if the name is taken.
    """

    def add(build: Builder) -> Builder:
        key = name or build.__name__
        if key in _ARCHITECTURES:
            raise ValueError(f"architecture {key!r} is already declared")
        description = (build.__doc__ or "").strip().partition("\n")[0]
        _ARCHITECTURES[key] = Architecture(
            key, description, build, tuple(inputs), tuple(parameters), baseline, dict(role_baselines or {})
        )
        return build

    return add


def architectures() -> Mapping[str, Architecture]:
    """All declared architectures by name."""
    return dict(_ARCHITECTURES)
