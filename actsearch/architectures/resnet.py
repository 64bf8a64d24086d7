"""Residual networks of the CIFAR kind."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from actsearch.architectures.convolution import AveragePool, convolution
from actsearch.architectures.declaration import InputSpec, Sites, architecture
from actsearch.architectures.dropout import Dropout
from actsearch.architectures.initialisation import gain_of, initialise
from actsearch.architectures.normalisation import NORM, needs_bias, normalisation
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
    ),
)
def resnet(
    spec: InputSpec, sites: Sites, *, blocks: int, channels: int, order: str, norm: str, dropout: float
) -> nn.Module:
    """Residual network of 6n+2 layers: three stages of n blocks, channels double and resolution halves between them.

    `pre` leaves the shortcuts free of activations: choose it to search among families that do not let a signal pass,
    `post` to compare with the networks of 2015. Without a norm each block's branch has a trained factor, at first
    1 / sqrt(blocks in all), which keeps the signal's size (De & Smith 2020 begin at 0, where activations do not count).

    Sites are `stem` (post only), `block1_1`, `block1_2`, `block2_1` ... and `last` (pre only); stages its stages.

    Reference:
        He et al. 2015, Deep residual learning; He et al. 2016, Identity mappings in deep residual networks; De & Smith
        2020, Batch normalization biases residual blocks towards the identity function; Zhang et al. 2019, Fixup.
    """
    inputs, *space = spec.shape
    build = _PreActivation if order == "pre" else _PostActivation
    parts = build(sites, len(space), norm, dropout, scale=1 / math.sqrt(STAGES * blocks) if norm == "none" else None)
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


class _Parts:
    """What both orders of a block's operations share.

    Args:
        sites, norm, dropout: of the network.
        dimensions: number of space axes.
        scale: see `ResidualBlock`.
    """

    def __init__(self, sites: Sites, dimensions: int, norm: str, dropout: float, *, scale: float | None) -> None:
        self._sites, self._dimensions, self._norm, self._scale = sites, dimensions, norm, scale
        self._dropout = [Dropout(dropout)] if dropout else []

    def _convolution(self, inputs: int, outputs: int, gain: float, *, stride: int = 1) -> nn.Module:
        bias = needs_bias(self._norm)
        return initialise(convolution(self._dimensions, inputs, outputs, stride=stride, bias=bias), gain)

    def _normalisation(self, channels: int) -> nn.Module:
        return normalisation(self._norm, channels, self._dimensions)


class _PreActivation(_Parts):
    """norm, f, convolution, norm, f, convolution: a convolution's gain is that of the activation before it."""

    def stem(self, inputs: int, channels: int) -> list[nn.Module]:
        return [self._convolution(inputs, channels, 1.0)]

    def block(self, name: str, stage: str, inputs: int, outputs: int) -> nn.Module:
        first = self._sites(f"{name}_1", stage=stage, channels=inputs)
        second = self._sites(f"{name}_2", stage=stage, channels=outputs)
        branch = nn.Sequential(
            self._normalisation(inputs),
            first,
            self._convolution(inputs, outputs, gain_of(first), stride=outputs // inputs),
            self._normalisation(outputs),
            second,
            *self._dropout,
            self._convolution(outputs, outputs, gain_of(second)),
        )
        return ResidualBlock(branch, nn.Identity(), added=outputs - inputs, scale=self._scale)

    def head(self, channels: int, outputs: int) -> list[nn.Module]:
        last = self._sites("last", stage=f"stage{STAGES}", channels=channels)
        linear = initialise(nn.Linear(channels, outputs), gain_of(last))
        return [self._normalisation(channels), last, AveragePool(), linear]


class _PostActivation(_Parts):
    """convolution, norm, f, convolution, norm, sum, f: a convolution's gain is that of the activation after it."""

    def stem(self, inputs: int, channels: int) -> list[nn.Module]:
        activation = self._sites("stem", stage="stage1", channels=channels)
        return [self._convolution(inputs, channels, gain_of(activation)), self._normalisation(channels), activation]

    def block(self, name: str, stage: str, inputs: int, outputs: int) -> nn.Module:
        first = self._sites(f"{name}_1", stage=stage, channels=outputs)
        second = self._sites(f"{name}_2", stage=stage, channels=outputs)
        branch = nn.Sequential(
            self._convolution(inputs, outputs, gain_of(first), stride=outputs // inputs),
            self._normalisation(outputs),
            first,
            *self._dropout,
            self._convolution(outputs, outputs, 1.0),
            self._normalisation(outputs),
        )
        return ResidualBlock(branch, second, added=outputs - inputs, scale=self._scale)

    def head(self, channels: int, outputs: int) -> list[nn.Module]:
        return [AveragePool(), initialise(nn.Linear(channels, outputs), 1.0)]
