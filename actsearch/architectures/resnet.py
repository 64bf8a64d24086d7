"""Residual networks of the CIFAR kind."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from actsearch.architectures.convolution import AveragePool, convolution
from actsearch.architectures.declaration import InputSpec, Sites, architecture
from actsearch.architectures.dropout import Dropout
from actsearch.architectures.initialisation import initialise
from actsearch.architectures.normalisation import NORM, needs_bias, normalisation
from actsearch.architectures.units import SPACE_UNIT, Unit
from actsearch.schemas import ParameterInfo

STAGES = 3


@architecture(
    inputs=("image", "sequence"),
    parameters=(
        ParameterInfo(
            name="blocks", type="int", default=1, low=1, high=18, description="a stage; 6 blocks + 2 layers in all"
        ),
        ParameterInfo(
            name="channels", type="int", default=16, low=1, high=512, log=True, description="of the first stage"
        ),
        ParameterInfo(
            name="order",
            type="choice",
            default="pre",
            choices=["pre", "post"],
            description="activations before the convolutions (He et al. 2016), or after them and after the sum (2015)",
        ),
        NORM.model_copy(update={"default": "batch"}),
        ParameterInfo(name="dropout", type="float", default=0.0, low=0.0, high=0.9, description="within blocks"),
        *SPACE_UNIT,
    ),
)
def resnet(
    spec: InputSpec,
    sites: Sites,
    *,
    blocks: int,
    channels: int,
    order: str,
    norm: str,
    dropout: float,
    unit: str,
    pieces: int,
    match_size: bool,
) -> nn.Module:
    """Residual network of 6n+2 layers: three stages of n blocks, channels double and resolution halves between them.

    `pre` leaves the shortcuts free of activations: choose it to search among families that do not let a signal pass,
    `post` to compare with the networks of 2015. Without a norm each block's branch has a trained factor, at first
    1 / sqrt(blocks in all), which keeps the signal's size (De & Smith 2020 begin at 0, where activations do not count).

    Units that change the number of channels stand between the two convolutions of each block, where it is free; others,
    like plain activations, at every site.

    Sites are `stem` (post only), `block1_1`, `block1_2`, `block2_1` ... and `last` (pre only); stages its stages.

    Reference:
        He et al. 2015, Deep residual learning; He et al. 2016, Identity mappings in deep residual networks; De & Smith
        2020, Batch normalization biases residual blocks towards the identity function; Zhang et al. 2019, Fixup.
    """
    inputs, *space = spec.shape
    build = _PreActivation if order == "pre" else _PostActivation
    units = Unit(unit, pieces, match_size)
    scale = 1 / math.sqrt(STAGES * blocks) if norm == "none" else None
    parts = build(sites, units, len(space), norm, dropout, scale=scale)
    if units.keeps_channels:  # so that weights of their own are made up for; others are fewer in each block
        channels = units.in_chain(channels, kernel=3 ** len(space))
    layers = parts.stem(inputs, channels)  # (B, inputs, *space) -> (B, channels, *space)
    size = channels
    for index in range(STAGES * blocks):
        stage = index // blocks
        wide = channels * 2**stage
        layers.append(parts.block(f"block{index + 1}", f"stage{stage + 1}", size, wide))
        size = wide
    return nn.Sequential(*layers, *parts.head(size, spec.outputs))  # -> (B, outputs)


class ResidualBlock(nn.Module):
    """after(shortcut(x) + scale branch(x)): (B, C, *space) -> (B, D, *space), or half the space where D > C.

    The shortcut has no weights: every second place, and zeros for the new channels (option A of He et al. 2015).

    Args:
        branch: from (B, C, *space) to the block's output.
        after: what is applied to the sum.
        added: D - C.
        scale: initial value of the branch's factor; None for a factor of 1 that is not trained.
    """

    def __init__(self, branch: nn.Module, after: nn.Module, *, added: int, scale: float | None) -> None:
        super().__init__()
        self.branch, self.after, self.added = branch, after, added
        self.scale = None if scale is None else nn.Parameter(torch.tensor(scale))

    def forward(self, x: Tensor) -> Tensor:
        """The block's output."""
        change = self.branch(x)
        if self.scale is not None:
            change = self.scale * change
        output: Tensor = self.after(self._shortcut(x) + change)
        return output

    def _shortcut(self, x: Tensor) -> Tensor:
        if not self.added:
            return x
        x = x[..., ::2] if x.dim() == 3 else x[..., ::2, ::2]  # (B, C, *space) -> (B, C, *space / 2)
        return F.pad(x, (0, 0) * (x.dim() - 2) + (0, self.added))  # -> (B, D, *space / 2)


@dataclass(frozen=True)
class _Hidden:
    """Units between two convolutions: the module, the gains of the layer before it, the channels it takes and gives."""

    module: nn.Module
    gains: tuple[float, ...]
    inputs: int
    outputs: int


class _Parts:
    """What both orders of a block's operations share.

    Args:
        sites, units, norm, dropout: of the network.
        dimensions: number of space axes.
        scale: see `ResidualBlock`.
    """

    def __init__(
        self, sites: Sites, units: Unit, dimensions: int, norm: str, dropout: float, *, scale: float | None
    ) -> None:
        self._sites, self._dimensions, self._norm, self._scale = sites, dimensions, norm, scale
        self._inside = units
        self._outside = units if units.keeps_channels else replace(units, kind="plain")
        self._dropout = [Dropout(dropout)] if dropout else []

    def _on_stream(self, site: str, stage: str, channels: int) -> tuple[nn.Module, float]:
        """What stands where the number of channels is given, and the gain of the layer beside it."""
        module, (gain,) = self._outside.at(self._sites, site, stage=stage, width=channels, dimensions=self._dimensions)
        return module, gain

    def _in_block(self, site: str, stage: str, channels: int) -> _Hidden:
        """What stands between the two convolutions of a block, instead of `channels` plain units."""
        width = self._inside.between(channels)
        module, gains = self._inside.at(self._sites, site, stage=stage, width=width, dimensions=self._dimensions)
        return _Hidden(module, gains, self._inside.inputs * width, self._inside.outputs * width)

    def _convolution(self, inputs: int, outputs: int, *gains: float, stride: int = 1) -> nn.Module:
        bias = needs_bias(self._norm)
        return initialise(convolution(self._dimensions, inputs, outputs, stride=stride, bias=bias), *gains)

    def _normalisation(self, channels: int) -> nn.Module:
        return normalisation(self._norm, channels, self._dimensions)


class _PreActivation(_Parts):
    """norm, f, convolution, norm, f, convolution: a convolution's gain is that of the activation before it."""

    def stem(self, inputs: int, channels: int) -> list[nn.Module]:
        return [self._convolution(inputs, channels, 1.0)]

    def block(self, name: str, stage: str, inputs: int, outputs: int) -> nn.Module:
        first, gain = self._on_stream(f"{name}_1", stage, inputs)
        second = self._in_block(f"{name}_2", stage, outputs)
        branch = nn.Sequential(
            self._normalisation(inputs),
            first,
            self._convolution(inputs, second.inputs, gain, stride=outputs // inputs),
            self._normalisation(second.inputs),
            second.module,
            *self._dropout,
            self._convolution(second.outputs, outputs, math.prod(second.gains)),
        )
        return ResidualBlock(branch, nn.Identity(), added=outputs - inputs, scale=self._scale)

    def head(self, channels: int, outputs: int) -> list[nn.Module]:
        last, gain = self._on_stream("last", f"stage{STAGES}", channels)
        linear = initialise(nn.Linear(channels, outputs), gain)
        return [self._normalisation(channels), last, AveragePool(), linear]


class _PostActivation(_Parts):
    """convolution, norm, f, convolution, norm, sum, f: a convolution's gain is that of the activation after it."""

    def stem(self, inputs: int, channels: int) -> list[nn.Module]:
        activation, gain = self._on_stream("stem", "stage1", channels)
        return [self._convolution(inputs, channels, gain), self._normalisation(channels), activation]

    def block(self, name: str, stage: str, inputs: int, outputs: int) -> nn.Module:
        first = self._in_block(f"{name}_1", stage, outputs)
        second, _ = self._on_stream(f"{name}_2", stage, outputs)
        branch = nn.Sequential(
            self._convolution(inputs, first.inputs, *first.gains, stride=outputs // inputs),
            self._normalisation(first.inputs),
            first.module,
            *self._dropout,
            self._convolution(first.outputs, outputs, 1.0),
            self._normalisation(outputs),
        )
        return ResidualBlock(branch, second, added=outputs - inputs, scale=self._scale)

    def head(self, channels: int, outputs: int) -> list[nn.Module]:
        return [AveragePool(), initialise(nn.Linear(channels, outputs), 1.0)]
