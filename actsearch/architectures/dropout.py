"""Dropout whose noise does not depend on how its input lies in memory."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Dropout(nn.Module):
    """Zeroes a share of the numbers in training and scales the rest up: any shape.

    `nn.Dropout` fills its mask in the order of the input's memory, which vectorising over trials and transposing
    change; so a trial would see other noise alone than among others. This one draws in the order of the axes.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        """X with its noise; x itself in evaluation."""
        if not self.training or not self.share:
            return x
        kept = torch.rand(x.shape, device=x.device) >= self.share
        return x * kept.to(x.dtype) / (1 - self.share)

    def extra_repr(self) -> str:
        """The share."""
        return f"{self.share:g}"
