"""Images and sequences as tokens: cut into patches that do not overlap."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from actsearch.architectures.declaration import InputSpec
from actsearch.architectures.initialisation import initialise
from actsearch.architectures.transformer import TokenLinear
from actsearch.schemas import ParameterInfo

PATCH = ParameterInfo(
    name="patch",
    type="int",
    default=0,
    low=0,
    high=64,
    description="side of a patch; 0 for one that makes about 16 patches",
)
_PATCHES = 16


def patch_embedding(spec: InputSpec, patch: int, width: int) -> tuple[int, list[nn.Module]]:
    """The number T of patches of an input, and the layers that make tokens of them: (B, C, *space) -> (B, T, width)."""
    channels, *space = spec.shape
    cut = Patches(space, patch)
    size = channels * cut.patch ** len(space)
    return math.prod(cut.counts), [cut, initialise(TokenLinear(size, width), 1.0)]


class Patches(nn.Module):
    """Cuts signals (B, C, *space) into patches (B, T, C * patch^dimensions), row by row.

    Args:
        space: size of each space axis; filled up with zeros at its end to a multiple of the patch.
        patch: side of a patch, at most the longest axis; 0 for about 16 patches.
    """

    def __init__(self, space: Sequence[int], patch: int) -> None:
        super().__init__()
        longest = max(space)
        self.patch = min(patch, longest) or math.ceil(longest / _PATCHES ** (1 / len(space)))
        self.counts = [math.ceil(length / self.patch) for length in space]
        missing = [count * self.patch - length for count, length in zip(self.counts, space, strict=True)]
        self.fill = [amount for length in reversed(missing) for amount in (0, length)]

    def forward(self, x: Tensor) -> Tensor:
        """The patches."""
        x = F.pad(x, self.fill)
        axes = len(self.counts)
        for axis, count in enumerate(self.counts):
            x = x.unflatten(2 * axis + 2, (count, self.patch))  # (B, C, H, W) -> (B, C, h, p, w, p)
        places, inside = range(2, 2 * axes + 2, 2), range(3, 2 * axes + 3, 2)
        return x.permute(0, *places, 1, *inside).flatten(1 + axes).flatten(1, axes)  # (B, h, w, C, p, p) -> (B, T, Cpp)
