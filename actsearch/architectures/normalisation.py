"""The normalisation layers that architectures offer under one parameter."""

from __future__ import annotations

from typing import cast

from torch import nn

from actsearch.schemas import ParameterInfo

NORM = ParameterInfo(
    name="norm",
    type="choice",
    default="none",
    choices=["none", "batch", "layer"],
    description="normalisation between a layer and its activation",
)


def needs_bias(kind: str) -> bool:
    """Whether a layer before this normalisation needs a bias.

    BatchNorm takes it out again: its gradient is rounding noise, which Adam would blow up to full steps.
    """
    return kind != "batch"


def normalisation(kind: str, channels: int, dimensions: int) -> nn.Module:
    """The normalisation of signals (B, channels, *space).

    Args:
        kind: `none`, `batch` (running statistics), or `layer` (over channels and space of one sample).
        dimensions: number of space axes, 0 to 2.
    """
    if kind == "none":
        return nn.Identity()
    if kind == "batch":
        return cast("nn.Module", (nn.BatchNorm1d, nn.BatchNorm1d, nn.BatchNorm2d)[dimensions](channels))
    return nn.LayerNorm(channels) if dimensions == 0 else nn.GroupNorm(1, channels)
