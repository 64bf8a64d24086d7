"""Hidden units that change the number of channels: gates, maxout and concatenated rectifiers.

All are built around the activation f of a site, which is searched as everywhere; u, v, u_i are the linear
pre-activations that the layer before computes, as neighbouring blocks of its outputs:

    plain   f(u)                   one in, one out
    glu     f(u) v                 two in, one out: geglu, swiglu, reglu by the family; bilinear with `identity`
    maxout  max(f(u_1) ... f(u_k)) k in, one out: Goodfellow's with `identity`
    crelu   f(u), f(-u)            one in, two out: Shang's with `relu`

Reference:
    Dauphin et al. 2017, Language modeling with gated convolutional networks; Shazeer 2020, GLU variants improve
    Transformer; Goodfellow et al. 2013, Maxout networks; Shang et al. 2016, Understanding and improving convolutional
    neural networks via concatenated rectified linear units.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor, nn

from actsearch.activations import largest_second_moment, second_moment
from actsearch.architectures.declaration import Sites
from actsearch.architectures.initialisation import gain_of
from actsearch.schemas import ParameterInfo

UNIT = (
    ParameterInfo(
        name="unit",
        type="choice",
        default="plain",
        choices=["plain", "glu", "maxout", "crelu"],
        description="f(u); f(u) v; the largest of f(u_1) ...; f(u) beside f(-u)",
    ),
    ParameterInfo(name="pieces", type="int", default=2, low=2, high=4, description="of a maxout unit"),
    ParameterInfo(
        name="match_size",
        type="bool",
        default=True,
        description="fewer units where they are not plain, so that the weights stay about as many",
    ),
)
"""The parameters `unit`, `pieces` and `match_size`, which make a `Unit`."""


@dataclass(frozen=True)
class Unit:
    """How hidden units are made from pre-activations; the arguments are those of `UNIT`."""

    kind: str
    pieces: int
    match_size: bool

    @property
    def inputs(self) -> int:
        """Pre-activations that one unit takes."""
        return {"glu": 2, "maxout": self.pieces}.get(self.kind, 1)

    @property
    def outputs(self) -> int:
        """Signals that one unit gives."""
        return 2 if self.kind == "crelu" else 1

    def in_chain(self, width: int) -> int:
        """Units for `width` plain ones where layers of them follow each other: weights grow as inputs x outputs."""
        return self._matched(width, width / math.sqrt(self.inputs * self.outputs))

    def between(self, width: int) -> int:
        """Units for `width` plain ones between two fixed sizes: weights grow as inputs + outputs (Shazeer's 2/3)."""
        return self._matched(width, width * 2 / (self.inputs + self.outputs))

    def _matched(self, width: int, matched: float) -> int:
        return max(1, round(matched)) if self.match_size else width

    def at(
        self, sites: Sites, site: str, *, stage: str, width: int, axis: int = 1
    ) -> tuple[nn.Module, tuple[float, ...]]:
        """The module of `width` units at a site, and the gains (see `initialise`) of the layer before it.

        It takes (B, ..., inputs * width, ...) with the units along `axis`, and gives (B, ..., outputs * width, ...).
        """
        if self.kind == "glu":
            activation = sites(site, stage=stage, channels=width, axis=axis)
            return GLU(activation, axis), (gain_of(activation), 1.0)
        if self.kind == "maxout":
            activation = sites(site, stage=stage, channels=self.pieces * width, axis=axis)
            return Maxout(activation, axis, self.pieces), (maxout_gain(activation, self.pieces),)
        if self.kind == "crelu":
            activation = sites(site, stage=stage, channels=2 * width, axis=axis)
            return CReLU(activation, axis), (gain_of(activation),)
        activation = sites(site, stage=stage, channels=width, axis=axis)
        return activation, (gain_of(activation),)


class GLU(nn.Module):
    """f(u) v of the two halves of the channels: (B, ..., 2 C, ...) -> (B, ..., C, ...)."""

    def __init__(self, activation: nn.Module, axis: int) -> None:
        super().__init__()
        self.activation, self.axis = activation, axis

    def forward(self, x: Tensor) -> Tensor:
        """The gated signal."""
        gate, value = x.chunk(2, self.axis)
        gated: Tensor = self.activation(gate) * value
        return gated


class Maxout(nn.Module):
    """The largest f of `pieces` blocks of the channels: (B, ..., pieces C, ...) -> (B, ..., C, ...)."""

    def __init__(self, activation: nn.Module, axis: int, pieces: int) -> None:
        super().__init__()
        self.activation, self.axis, self.pieces = activation, axis, pieces

    def forward(self, x: Tensor) -> Tensor:
        """The largest piece of each unit."""
        blocks: tuple[Tensor, ...] = self.activation(x).chunk(self.pieces, self.axis)
        return reduce(torch.maximum, blocks)


class CReLU(nn.Module):
    """f of the channels and of their negatives: (B, ..., C, ...) -> (B, ..., 2 C, ...)."""

    def __init__(self, activation: nn.Module, axis: int) -> None:
        super().__init__()
        self.activation, self.axis = activation, axis

    def forward(self, x: Tensor) -> Tensor:
        """Both halves, f(x) first."""
        both: Tensor = self.activation(torch.cat([x, -x], self.axis))
        return both


def maxout_gain(activation: nn.Module, pieces: int) -> float:
    """The gain before a maxout of an activation: the activation's own, less what the maximum adds to the signal."""
    spec = getattr(activation, "spec", None)
    if spec is None:  # a site that only stands for one
        return gain_of(activation)
    alone, largest = second_moment(spec), largest_second_moment(spec, pieces)
    ratio = alone / largest if largest > 0 else 1.0
    return gain_of(activation) * (math.sqrt(ratio) if math.isfinite(ratio) and ratio > 0 else 1.0)
