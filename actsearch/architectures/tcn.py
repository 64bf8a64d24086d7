"""Temporal convolutional networks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from actsearch.architectures.declaration import InputSpec, Sites, architecture
from actsearch.architectures.dropout import Dropout
from actsearch.architectures.initialisation import gain_of, initialise
from actsearch.architectures.normalisation import NORM, needs_bias
from actsearch.architectures.sequences import Head, embedding
from actsearch.architectures.stages import stage_of
from actsearch.schemas import ParameterInfo

_SITES = 3
"""Activations of a block: after each of its two convolutions, and after the sum."""


@architecture(
    inputs=("sequence", "tokens"),
    parameters=(
        ParameterInfo(name="channels", type="int", default=32, low=1, high=1024, log=True, description="a layer"),
        ParameterInfo(name="blocks", type="int", default=4, low=1, high=12, description="each looks twice as far back"),
        ParameterInfo(name="kernel", type="int", default=3, low=2, high=9, description="steps that a convolution sees"),
        NORM,
        ParameterInfo(name="dropout", type="float", default=0.0, low=0.0, high=0.9, description="after convolutions"),
    ),
)
def tcn(
    spec: InputSpec, sites: Sites, *, channels: int, blocks: int, kernel: int, norm: str, dropout: float
) -> nn.Module:
    """Causal convolutional network: residual blocks of two dilated convolutions, the dilation doubles with each block.

    A step sees itself and 2 (kernel - 1) (2^blocks - 1) steps before it, never a later one. Sequences are answered by
    their last step, tokens by every step. Sites are `layer1` ... in forward order, three a block (after each
    convolution, after the sum), in up to three stages of equal depth.

    Reference: Bai et al. 2018, An empirical evaluation of generic convolutional and recurrent networks for sequence
    modeling; layer normalisation, where asked for, is over the channels of a step, so that it does not see ahead.
    """
    entry, size = embedding(spec, channels)
    layers: list[nn.Module] = [entry]  # -> (B, C, T)
    for block in range(blocks):
        activations = [
            sites(f"layer{n + 1}", stage=stage_of(n, _SITES * blocks), channels=channels)
            for n in range(_SITES * block, _SITES * (block + 1))
        ]
        layer = Layer(channels, kernel, 2**block, norm, dropout)
        layers.append(Block(size, layer, activations))
        size = channels
    return nn.Sequential(*layers, Head(spec, channels))


@dataclass(frozen=True)
class Layer:
    """How every layer of a block is made: channels, kernel width, dilation, normalisation, dropout."""

    channels: int
    kernel: int
    dilation: int
    norm: str
    dropout: float

    def __call__(self, inputs: int, activation: nn.Module) -> list[nn.Module]:
        """Convolution, normalisation, activation and dropout: (B, inputs, T) -> (B, channels, T)."""
        bias = needs_bias(self.norm)
        convolution = CausalConvolution(inputs, self.channels, self.kernel, dilation=self.dilation, bias=bias)
        norm = {"none": nn.Identity, "batch": nn.BatchNorm1d, "layer": StepNorm}[self.norm](self.channels)
        drop = [Dropout(self.dropout)] if self.dropout else []
        return [initialise(convolution, gain_of(activation)), norm, activation, *drop]


class Block(nn.Module):
    """f3((x + layer(layer(x))) / sqrt(2)): (B, inputs, T) -> (B, channels, T).

    The sum of two signals of second moment 1 is scaled back to 1, as everywhere weights are drawn to keep it.
    """

    def __init__(self, inputs: int, layer: Layer, activations: Sequence[nn.Module]) -> None:
        super().__init__()
        first, second, last = activations
        self.branch = nn.Sequential(*layer(inputs, first), *layer(layer.channels, second))
        same = inputs == layer.channels
        self.skip = nn.Identity() if same else initialise(nn.Conv1d(inputs, layer.channels, 1), 1.0)
        self.activation = last

    def forward(self, x: Tensor) -> Tensor:
        """The block's signal."""
        out: Tensor = self.activation((self.skip(x) + self.branch(x)) / math.sqrt(2.0))
        return out


class CausalConvolution(nn.Conv1d):
    """A dilated convolution whose step t sees steps up to t: (B, C, T) -> (B, channels, T)."""

    def forward(self, x: Tensor) -> Tensor:
        """The convolution, with zeros before the first step."""
        past = self.dilation[0] * (self.kernel_size[0] - 1)
        return super().forward(F.pad(x, (past, 0)))


class StepNorm(nn.LayerNorm):
    """Layer normalisation over the channels of each step, (B, C, T)."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalised signals, same shape."""
        return super().forward(x.transpose(1, 2)).transpose(1, 2)
