"""Vision transformers."""

from __future__ import annotations

from torch import nn

from actsearch.architectures.declaration import InputSpec, Sites, architecture
from actsearch.architectures.initialisation import initialise
from actsearch.architectures.patches import PATCH, patch_embedding
from actsearch.architectures.transformer import (
    BASELINE,
    DEPTH,
    DROPOUT,
    EXPANSION,
    HEADS,
    WIDTH,
    MeanToken,
    Positions,
    transformer_blocks,
)
from actsearch.architectures.units import UNIT, Unit


@architecture(
    inputs=("image", "sequence"), parameters=(PATCH, WIDTH, DEPTH, HEADS, EXPANSION, DROPOUT, *UNIT), baseline=BASELINE
)
def vit(
    spec: InputSpec,
    sites: Sites,
    *,
    patch: int,
    width: int,
    depth: int,
    heads: int,
    expansion: float,
    dropout: float,
    unit: str,
    pieces: int,
    match_size: bool,
) -> nn.Module:
    """Vision transformer: patches of an image or a sequence as tokens, whose mean is classified.

    Sites are the feed-forward networks of `block1` to `block<depth>`, in up to three stages of equal depth.

    Reference:
        Dosovitskiy et al. 2021, An image is worth 16x16 words; Beyer et al. 2022, Better plain ViT baselines.
    """
    units = Unit(unit, pieces, match_size)
    places, embedding = patch_embedding(spec, patch, width)  # (B, C, *space) -> (B, places, width)
    blocks = transformer_blocks(
        sites, units, width=width, depth=depth, heads=heads, expansion=expansion, dropout=dropout, causal=False
    )
    head = initialise(nn.Linear(width, spec.outputs), 1.0)
    return nn.Sequential(*embedding, Positions(places, width), *blocks, MeanToken(), head)  # -> (B, outputs)
