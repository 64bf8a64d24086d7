"""What an architecture is, for people and for search spaces."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from actsearch.architectures.declaration import Architecture, InputSpec
from actsearch.architectures.resolution import resolve_parameters
from actsearch.schemas import ArchitectureInfo, Scalar, json_schema


def describe(architecture: Architecture) -> ArchitectureInfo:
    """An architecture as the API shows it."""
    return ArchitectureInfo(
        name=architecture.name,
        description=architecture.description,
        inputs=list(architecture.inputs),
        parameters=list(architecture.parameters),
        parameter_schema=json_schema(architecture.parameters),
        baseline=architecture.baseline,
        role_baselines=dict(architecture.role_baselines),
    )


def site_names(architecture: Architecture, parameters: Mapping[str, Scalar], spec: InputSpec) -> list[tuple[str, str]]:
    """(site, stage) of every activation site, in forward order; found by building the network without memory.

    Raises:
        InvalidRequest: see `resolve_parameters`.
    """
    recorder = _Recorder()
    with torch.device("meta"):
        architecture.build(spec, recorder, **resolve_parameters(architecture, parameters))
    return recorder.found


class _Recorder:
    """Sites that only write down their names."""

    def __init__(self) -> None:
        self.found: list[tuple[str, str]] = []

    def __call__(self, site: str, *, stage: str, channels: int, axis: int = 1) -> nn.Module:
        self.found.append((site, stage))
        return _Nothing()


class _Nothing(nn.Identity):
    gain = 1.0
