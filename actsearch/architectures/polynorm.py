"""Polynomials of an activation whose powers are brought to one size before they are added."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_DEGREE = 3
_SMALLEST = 1e-6


class PolyNorm(nn.Module):
    """Sum over i = 1..3 of w_i h^i / rms(h^i) + b with h = f(x): shape of x; PolyNorm where f is the identity.

    The root mean square is taken over the channels. At first all w_i are 1/3 and b is 0.

    Args:
        activation: f.
        axis: of the channels, counted with the batch axis.

    Reference:
        Zhuo et al. 2024, Polynomial composition activations, arXiv 2411.03884.
    """

    def __init__(self, activation: nn.Module, axis: int) -> None:
        super().__init__()
        self.activation, self.axis = activation, axis
        self.weight = nn.Parameter(torch.full((_DEGREE,), 1 / _DEGREE))
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """The unit, shape of x."""
        h: Tensor = self.activation(x)
        total: Tensor = self.bias
        for degree in range(1, _DEGREE + 1):
            power = h**degree
            size = (power.square().mean(self.axis, keepdim=True) + _SMALLEST).sqrt()
            total = total + self.weight[degree - 1] * power / size
        return total
