"""MLP-Mixer: patches mixed by fully connected layers alone."""

from __future__ import annotations

import math

from torch import Tensor, nn

from actsearch.architectures.declaration import InputSpec, Sites, architecture
from actsearch.architectures.initialisation import initialise
from actsearch.architectures.patches import PATCH, patch_embedding
from actsearch.architectures.stages import stage_of
from actsearch.architectures.transformer import (
    BASELINE,
    DEPTH,
    DROPOUT,
    EXPANSION,
    WIDTH,
    MeanToken,
    Residual,
    feed_forward,
)
from actsearch.architectures.units import UNIT, Unit


@architecture(
    inputs=("image", "sequence"), parameters=(PATCH, WIDTH, DEPTH, EXPANSION, DROPOUT, *UNIT), baseline=BASELINE
)
def mlp_mixer(
    spec: InputSpec,
    sites: Sites,
    *,
    patch: int,
    width: int,
    depth: int,
    expansion: float,
    dropout: float,
    unit: str,
    pieces: int,
    match_size: bool,
) -> nn.Module:
    """MLP-Mixer: one network mixes the patches of each channel, another the channels of each patch, in turn.

    Sites are `block1_patches`, `block1_channels`, `block2_patches` ..., in up to three stages of equal depth. Both
    networks have `expansion` times as many hidden units as what they mix.

    Reference:
        Tolstikhin et al. 2021, MLP-Mixer: an all-MLP architecture for vision.
    """
    units, scale = Unit(unit, pieces, match_size), 1 / math.sqrt(2 * depth)
    places, layers = patch_embedding(spec, patch, width)  # (B, C, *space) -> (B, places, width)
    for index in range(depth):
        for what, size in (("patches", places), ("channels", width)):
            site, stage, hidden = f"block{index + 1}_{what}", stage_of(index, depth), round(expansion * size)
            network = feed_forward(sites, units, site, stage=stage, size=size, hidden=hidden, scale=scale)
            layers.append(Residual(width, Transposed(network) if what == "patches" else network, dropout))
    head = initialise(nn.Linear(width, spec.outputs), 1.0)
    return nn.Sequential(*layers, nn.LayerNorm(width), MeanToken(), head)  # -> (B, outputs)


class Transposed(nn.Module):
    """A network on the places of each channel: (B, T, D) -> (B, T, D), the network sees (B, D, T)."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """What the network makes of each channel."""
        mixed: Tensor = self.network(x.mT)
        return mixed.mT
