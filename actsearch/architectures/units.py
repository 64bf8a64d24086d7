"""Hidden units of more than one number: gates, maxout, concatenated rectifiers, units that look at their surroundings.

All are built around the activation f of a site, which is searched as everywhere; u, v, u_i are the linear
pre-activations that the layer before computes, as neighbouring blocks of its outputs:

    plain      f(u)                   one in, one out
    glu        f(u) v                 two in, one out: geglu, swiglu, reglu by the family; bilinear with `identity`
    maxout     max(f(u_1) ... f(u_k)) k in, one out: Goodfellow's with `identity`
    crelu      f(u), f(-u)            one in, two out: Shang's with `relu`
    gabor      f(u) exp(-v^2)         two in, one out: WIRE's with `sine`
    polynorm   see `polynorm`         one in, one out: Zhuo's with `identity`
    meta_acon  see `soft_maximum`     one in, one out, as the next two: Ma's with `silu`
    dy_relu                           Chen's with `relu`
    frelu                             Ma's funnel with `relu`; needs space axes

Reference:
    Dauphin et al. 2017, Language modeling with gated convolutional networks; Shazeer 2020, GLU variants improve
    Transformer; Goodfellow et al. 2013, Maxout networks; Shang et al. 2016, Understanding and improving convolutional
    neural networks via concatenated rectified linear units; for the rest see `soft_maximum`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor, nn

from actsearch.activations import largest_second_moment, second_moment
from actsearch.architectures.declaration import Sites
from actsearch.architectures.gabor import WINDOW_MOMENT, Gabor
from actsearch.architectures.initialisation import gain_of
from actsearch.architectures.polynorm import PolyNorm
from actsearch.architectures.soft_maximum import SHARPNESS, DynamicReLU, FunnelReLU, MetaACON, bottleneck
from actsearch.schemas import ActivationSpec, ParameterInfo

_WORDS = {
    "plain": "f(u)",
    "glu": "f(u) v",
    "maxout": "the largest of f(u_1) ...",
    "crelu": "f(u) beside f(-u)",
    "gabor": "f(u) through a window exp(-v^2)",
    "polynorm": "a polynomial of f(u), each power of one size",
    "meta_acon": "f between trained lines, its sharpness found from the input",
    "dy_relu": "f between lines found from the input",
    "frelu": "f between u and a convolution of it",
}


def _unit(*kinds: str) -> ParameterInfo:
    words = "; ".join(f"{kind} {_WORDS[kind]}" for kind in kinds)
    return ParameterInfo(name="unit", type="choice", default="plain", choices=list(kinds), description=words)


_SIZES = (
    ParameterInfo(name="pieces", type="int", default=2, low=2, high=4, description="of a maxout unit"),
    ParameterInfo(
        name="match_size",
        type="bool",
        default=True,
        description="narrows units that are not plain to keep the parameter count",
    ),
)
_ALONG_ANY_AXIS = ("plain", "glu", "maxout", "crelu", "gabor", "polynorm")
UNIT = (_unit(*_ALONG_ANY_AXIS), *_SIZES)
"""The parameters `unit`, `pieces` and `match_size`, which make a `Unit`; of units that work along any axis."""
CHANNEL_UNIT = (_unit(*_ALONG_ANY_AXIS, "meta_acon", "dy_relu"), *_SIZES)
"""As `UNIT`, of signals (B, C, *space)."""
SPACE_UNIT = (_unit(*_WORDS), *_SIZES)
"""As `UNIT`, of signals (B, C, *space) with one or two space axes."""


@dataclass(frozen=True)
class Unit:
    """How hidden units are made from pre-activations; the arguments are the parameters of `UNIT` and its kin."""

    kind: str
    pieces: int
    match_size: bool

    @property
    def inputs(self) -> int:
        """Pre-activations that one unit takes."""
        return {"glu": 2, "gabor": 2, "maxout": self.pieces}.get(self.kind, 1)

    @property
    def outputs(self) -> int:
        """Signals that one unit gives."""
        return 2 if self.kind == "crelu" else 1

    @property
    def keeps_channels(self) -> bool:
        """Whether it takes and gives as many channels, so that it may stand wherever an activation may."""
        return self.inputs == self.outputs == 1

    def in_chain(self, width: int, kernel: int = 1) -> int:
        """Units for `width` plain ones where layers of them follow each other: weights grow as inputs x outputs.

        Args:
            kernel: weights that a layer has for each pair of channels.
        """
        own = _OWN_WEIGHTS.get(self.kind)
        if own is None or not self.match_size:
            return self._matched(width, width / math.sqrt(self.inputs * self.outputs))
        plain = kernel * width**2
        return min(range(1, width + 1), key=lambda fewer: abs(kernel * fewer**2 + own(fewer) - plain))

    def between(self, width: int) -> int:
        """Units for `width` plain ones between two fixed sizes: weights grow as inputs + outputs (Shazeer's 2/3)."""
        return self._matched(width, width * 2 / (self.inputs + self.outputs))

    def _matched(self, width: int, matched: float) -> int:
        return max(1, round(matched)) if self.match_size else width

    def at(
        self, sites: Sites, site: str, *, stage: str, width: int, axis: int = 1, dimensions: int = 0
    ) -> tuple[nn.Module, tuple[float, ...]]:
        """The module of `width` units at a site, and the gains (see `initialise`) of the layer before it.

        It takes (B, ..., inputs * width, ...) with the units along `axis`, and gives (B, ..., outputs * width, ...).

        Args:
            dimensions: number of space axes of the signal, for units that look along them.
        """
        signals = {"maxout": self.pieces, "crelu": 2}.get(self.kind, 1)  # that f is applied to
        activation = sites(site, stage=stage, channels=signals * width, axis=axis)
        module, gain = activation, gain_of(activation)
        match self.kind:
            case "glu":
                return GLU(activation, axis), (gain, 1.0)
            case "maxout":
                module, gain = Maxout(activation, axis, self.pieces), maxout_gain(activation, self.pieces)
            case "crelu":
                module = CReLU(activation, axis)
            case "gabor":
                return Gabor(activation, axis), (gain / math.sqrt(WINDOW_MOMENT), 1.0)
            case "polynorm":
                module = PolyNorm(activation, axis)
            case "meta_acon":
                module, gain = MetaACON(activation, width), blunt_gain(activation)
            case "dy_relu":
                module = DynamicReLU(activation, width)
            case "frelu":
                module = FunnelReLU(activation, width, dimensions)
        return module, (gain,)


_OWN_WEIGHTS: Mapping[str, Callable[[int], int]] = {
    "meta_acon": lambda width: 2 * width * bottleneck(width, MetaACON.REDUCTION),
    "dy_relu": lambda width: 5 * width * bottleneck(width, DynamicReLU.REDUCTION),
}
"""Weights that the units of a layer have themselves; of the others none, or too few to count."""


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
    return _changed_gain(activation, lambda spec: largest_second_moment(spec, pieces))


def blunt_gain(activation: nn.Module) -> float:
    """The gain before `MetaACON`, whose activation is at first stretched to f(beta x) / beta."""
    return _changed_gain(activation, lambda spec: second_moment(spec, SHARPNESS))


def _changed_gain(activation: nn.Module, moment: Callable[[ActivationSpec], float]) -> float:
    """The gain of an activation of which a unit makes a function with another second moment."""
    spec = getattr(activation, "spec", None)
    if spec is None:  # a site that only stands for one
        return gain_of(activation)
    alone, changed = second_moment(spec), moment(spec)
    ratio = alone / changed if changed > 0 else 1.0
    return gain_of(activation) * (math.sqrt(ratio) if math.isfinite(ratio) and ratio > 0 else 1.0)
