"""Language models of the decoder kind."""

from __future__ import annotations

from torch import nn

from actsearch.architectures.declaration import InputSpec, Sites, architecture
from actsearch.architectures.initialisation import initialise
from actsearch.architectures.transformer import (
    BASELINE,
    DEPTH,
    DROPOUT,
    EXPANSION,
    HEADS,
    WIDTH,
    Positions,
    TokenLinear,
    transformer_blocks,
)
from actsearch.architectures.units import UNIT, Unit


@architecture(inputs=("tokens",), parameters=(WIDTH, DEPTH, HEADS, EXPANSION, DROPOUT, *UNIT), baseline=BASELINE)
def transformer_lm(
    spec: InputSpec,
    sites: Sites,
    *,
    width: int,
    depth: int,
    heads: int,
    expansion: float,
    dropout: float,
    unit: str,
    pieces: int,
    match_size: bool,
) -> nn.Module:
    """Transformer decoder that predicts the next token at every place: tokens (B, T) -> logits (B, T, vocabulary).

    Sites are the feed-forward networks of `block1` to `block<depth>`, in up to three stages of equal depth.

    Reference:
        Radford et al. 2019, Language models are unsupervised multitask learners (pre-norm, learned positions).
    """
    blocks = transformer_blocks(
        sites,
        Unit(unit, pieces, match_size),
        width=width,
        depth=depth,
        heads=heads,
        expansion=expansion,
        dropout=dropout,
        causal=True,
    )
    return nn.Sequential(
        nn.Embedding(spec.outputs, width),  # (B, T) -> (B, T, width)
        Positions(spec.shape[0], width),
        *blocks,
        initialise(TokenLinear(width, spec.outputs), 1.0),  # -> (B, T, vocabulary)
    )
