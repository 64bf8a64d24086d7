"""The parts of networks on tokens (B, T, D): T places of D numbers each, normalised before every residual branch."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from actsearch.architectures.declaration import Sites
from actsearch.architectures.dropout import Dropout
from actsearch.architectures.initialisation import initialise
from actsearch.architectures.stages import stage_of
from actsearch.architectures.units import Unit
from actsearch.schemas import ActivationSpec, ParameterInfo

WIDTH = ParameterInfo(name="width", type="int", default=32, low=1, high=4096, log=True, description="numbers a token")
DEPTH = ParameterInfo(name="depth", type="int", default=2, low=1, high=48, description="blocks")
HEADS = ParameterInfo(name="heads", type="int", default=2, low=1, high=64, description="of width / heads numbers each")
EXPANSION = ParameterInfo(
    name="expansion", type="float", default=2.0, low=0.1, high=8.0, description="hidden units / width"
)
DROPOUT = ParameterInfo(
    name="dropout", type="float", default=0.0, low=0.0, high=0.9, description="after each block's branches"
)

BASELINE = ActivationSpec(family="gelu")  # of GPT, BERT, ViT and MLP-Mixer


def transformer_blocks(
    sites: Sites, units: Unit, *, width: int, depth: int, heads: int, expansion: float, dropout: float, causal: bool
) -> list[nn.Module]:
    """Blocks of attention and a feed-forward network, (B, T, D) -> (B, T, D), and the norm after the last.

    Sites are `block1` ... `block<depth>`, in up to three stages of equal depth. The last weights of each branch are
    drawn smaller, so that all branches together add as much to the signal as it had.
    """
    scale = 1 / math.sqrt(2 * depth)
    blocks: list[nn.Module] = []
    for index in range(depth):
        blocks.append(Residual(width, Attention(width, heads, causal=causal, scale=scale), dropout))
        site, stage, hidden = f"block{index + 1}", stage_of(index, depth), round(expansion * width)
        branch = feed_forward(sites, units, site, stage=stage, size=width, hidden=hidden, scale=scale)
        blocks.append(Residual(width, branch, dropout))
    return [*blocks, nn.LayerNorm(width)]


def feed_forward(
    sites: Sites, units: Unit, site: str, *, stage: str, size: int, hidden: int, scale: float
) -> nn.Module:
    """Two linear layers around units at a site, on the last axis: (..., size) -> (..., size).

    Args:
        hidden: plain units; others are matched to it (see `Unit.between`).
        scale: gain of the second layer.
    """
    width = units.between(max(1, hidden))
    unit, gains = units.at(sites, site, stage=stage, width=width, axis=-1)
    return nn.Sequential(
        initialise(TokenLinear(size, units.inputs * width), *gains),  # (..., size) -> (..., inputs * width)
        unit,  # -> (..., outputs * width)
        initialise(TokenLinear(units.outputs * width, size), scale),
    )


class TokenLinear(nn.Linear):
    """A linear layer on the last axis: (..., in) -> (..., out).

    It flattens the other axes first: under `vmap` a linear layer on more than two copies its weights for each sample.
    """

    def forward(self, x: Tensor) -> Tensor:
        """The layer on each token."""
        flat: Tensor = super().forward(x.flatten(0, -2))  # (N, out)
        return flat.view(*x.shape[:-1], -1)


class Residual(nn.Module):
    """x + branch(norm(x)): (B, T, D) -> (B, T, D)."""

    def __init__(self, size: int, branch: nn.Module, dropout: float) -> None:
        super().__init__()
        self.norm, self.branch = nn.LayerNorm(size), branch
        self.dropout = Dropout(dropout) if dropout else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """The signal with what the branch adds."""
        changed: Tensor = x + self.dropout(self.branch(self.norm(x)))
        return changed


class Attention(nn.Module):
    """Multi-head attention of tokens among each other: (B, T, D) -> (B, T, D).

    Written out: torch's fused attention has no batching rule, so `vmap` would run it trial by trial.

    Args:
        heads: H; each has size S = D / H rounded down, at least 1.
        causal: a token sees itself and those before it only.
        scale: gain of the last layer.
    """

    def __init__(self, width: int, heads: int, *, causal: bool, scale: float) -> None:
        super().__init__()
        self.heads, self.size, self.causal = heads, max(1, width // heads), causal
        self.enter = initialise(TokenLinear(width, 3 * heads * self.size), 1.0)
        self.leave = initialise(TokenLinear(heads * self.size, width), scale)

    def forward(self, x: Tensor) -> Tensor:
        """What each token gathers from the others."""
        parts = self.enter(x).unflatten(-1, (3, self.heads, self.size))  # (B, T, 3, H, S)
        query, key, value = parts.permute(2, 0, 3, 1, 4).unbind()  # each (B, H, T, S)
        scores = (query / math.sqrt(self.size)) @ key.mT  # (B, H, T, T)
        if self.causal:  # added: masked_fill would cost another pass, and one more on the way back
            scores = scores + scores.new_full(scores.shape[-2:], -math.inf).triu(1)
        gathered = scores.softmax(-1) @ value  # (B, H, T, S)
        mixed: Tensor = self.leave(gathered.transpose(1, 2).flatten(2))  # (B, T, H * S) -> (B, T, D)
        return mixed


class Positions(nn.Module):
    """A learned vector added at each place: (B, t, D) -> (B, t, D) for t up to `places`."""

    def __init__(self, places: int, width: int) -> None:
        super().__init__()
        self.vectors = nn.Parameter(0.5 * torch.randn(places, width))  # (T, D)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens that know where they are."""
        return x + self.vectors[: x.shape[1]]


class MeanToken(nn.Module):
    """The mean of all tokens: (B, T, D) -> (B, D)."""

    def forward(self, x: Tensor) -> Tensor:
        """The mean over places."""
        return x.mean(1)
