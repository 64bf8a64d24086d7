"""Gabor units: a wave along one projection of the input, seen through a window along another."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Gabor(nn.Module):
    """f(u) exp(-v^2) of the two halves of the channels: (B, ..., 2 C, ...) -> (B, ..., C, ...).

    With `sine` it is the real Gabor wavelet of WIRE, cos(w u) exp(-(s v)^2), whose phase is the bias of u and
    whose s is the size of the weights of v.

    Args:
        activation: f.
        axis: of the channels, counted with the batch axis.

    Reference:
        Saragadam et al. 2023, WIRE: wavelet implicit neural representations.
    """

    def __init__(self, activation: nn.Module, axis: int) -> None:
        super().__init__()
        self.activation, self.axis = activation, axis

    def forward(self, x: Tensor) -> Tensor:
        """The windowed signal."""
        wave, window = x.chunk(2, self.axis)
        seen: Tensor = self.activation(wave) * torch.exp(-window.square())
        return seen


WINDOW_MOMENT = 5**-0.5
"""E[exp(-v^2)^2] for v ~ N(0, 1): what the window leaves of the second moment of f(u)."""
