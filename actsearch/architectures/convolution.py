"""What convolutional networks for sequences (B, C, L) and for images (B, C, H, W) share."""

from __future__ import annotations

from torch import Tensor, nn


def convolution(dimensions: int, inputs: int, outputs: int, *, stride: int = 1, bias: bool = True) -> nn.Module:
    """A 3-wide convolution that keeps the size of space, or divides it by `stride` (rounded up)."""
    kind = nn.Conv1d if dimensions == 1 else nn.Conv2d
    return kind(inputs, outputs, kernel_size=3, stride=stride, padding=1, bias=bias)


class AveragePool(nn.Module):
    """Mean over space: (B, C, *space) -> (B, C)."""

    def forward(self, x: Tensor) -> Tensor:
        """The mean of each channel."""
        return x.flatten(2).mean(-1)
