"""Units that look at more than one number: the site's activation f as a soft maximum of two signals p and q.

max(p, q) = q + relu(p - q); with another f in relu's place the maximum is soft (Ma et al. 2021). What p and q are makes
the unit: lines whose sharpness (`MetaACON`) or coefficients (`DynamicReLU`) a small network finds from the mean over
space, or the signal and a convolution of it (`FunnelReLU`). All take and give (B, C, *space), channels on axis 1.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from actsearch.architectures.initialisation import initialise

SHARPNESS = 0.5
"""What `MetaACON`'s beta is at first."""
_BLUNTEST = 1e-4  # what is divided by must not vanish
_FEWEST = 4


def bottleneck(channels: int, reduction: int) -> int:
    """Hidden units of the small network: a share of the channels, but at least 4."""
    return max(_FEWEST, channels // reduction)


class MetaACON(nn.Module):
    """f(beta (p - q)) / beta + q with p = p1 x, q = p2 x: Meta-ACON where f is silu.

    beta = sigmoid(W2 W1 mean(x)), one a channel, between 0 (linear) and 1; p1 and p2 are trained for each channel. At
    first p1 is 1, p2 is 0 and beta is 1/2. Where f(c x) = c f(x) (relu), beta does nothing.

    Reference:
        Ma et al. 2021, Activate or not: learning customized activation; its formula, without the BatchNorm that its
        code has inside the small network.
    """

    REDUCTION = 16

    def __init__(self, activation: nn.Module, channels: int) -> None:
        super().__init__()
        self.activation = activation
        self.p1, self.p2 = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        hidden = bottleneck(channels, self.REDUCTION)
        self.enter = initialise(nn.Linear(channels, hidden), 1.0)
        self.leave = initialise(nn.Linear(hidden, channels), 0.0)

    def forward(self, x: Tensor) -> Tensor:
        """The unit, shape of x."""
        beta = torch.sigmoid(self.leave(self.enter(means(x)))).clamp(min=_BLUNTEST)  # (B, C)
        beta, p1, p2 = (over_space(value, x) for value in (beta, self.p1, self.p2))
        soft: Tensor = self.activation(beta * (p1 - p2) * x) / beta + p2 * x
        return soft


class DynamicReLU(nn.Module):
    """f(p - q) + q with p = a1 x + b1, q = a2 x + b2: dynamic ReLU (DY-ReLU-B, two lines) where f is relu.

    The coefficients are found for each sample and channel: [a1, a2, b1, b2] = [1, 0, 0, 0] + [1, 1, 1/2, 1/2] t with
    t = 2 sigmoid(W2 relu(W1 mean(x))) - 1; at first t is 0 and the unit is f.

    Reference:
        Chen et al. 2020, Dynamic ReLU.
    """

    REDUCTION = 8

    def __init__(self, activation: nn.Module, channels: int) -> None:
        super().__init__()
        self.activation = activation
        hidden = bottleneck(channels, self.REDUCTION)
        self.enter = initialise(nn.Linear(channels, hidden), 1.0)
        self.leave = initialise(nn.Linear(hidden, 4 * channels), 0.0)

    def forward(self, x: Tensor) -> Tensor:
        """The unit, shape of x."""
        shares = 2 * torch.sigmoid(self.leave(F.relu(self.enter(means(x))))) - 1  # (B, 4 C)
        a1, a2, b1, b2 = (over_space(share, x) for share in shares.chunk(4, 1))
        p, q = (1 + a1) * x + b1 / 2, a2 * x + b2 / 2
        soft: Tensor = self.activation(p - q) + q
        return soft


class FunnelReLU(nn.Module):
    """f(x - T(x)) + T(x), T a 3-wide convolution of each channel and BatchNorm: the funnel FReLU where f is relu.

    At first T is zero (the weight of its BatchNorm is) and the unit is f.

    Args:
        dimensions: number of space axes, 1 or 2; the paper's is 2.

    Reference:
        Ma et al. 2020, Funnel activation for visual recognition.
    """

    def __init__(self, activation: nn.Module, channels: int, dimensions: int) -> None:
        super().__init__()
        self.activation = activation
        one = dimensions == 1
        convolution = nn.Conv1d if one else nn.Conv2d
        self.convolution = initialise(
            convolution(channels, channels, kernel_size=3, padding=1, groups=channels, bias=False), 1.0
        )
        self.norm = nn.BatchNorm1d(channels) if one else nn.BatchNorm2d(channels)
        with torch.no_grad():
            self.norm.weight.zero_()

    def forward(self, x: Tensor) -> Tensor:
        """The unit, shape of x."""
        around = self.norm(self.convolution(x))
        soft: Tensor = self.activation(x - around) + around
        return soft


def means(x: Tensor) -> Tensor:
    """The mean of each channel over space: (B, C, *space) -> (B, C)."""
    return x.flatten(2).mean(-1) if x.dim() > 2 else x


def over_space(value: Tensor, x: Tensor) -> Tensor:
    """Values (B, C) or (C,) shaped to broadcast against x (B, C, *space); in its type, for autocast's sake."""
    return value.to(x.dtype).reshape(*value.shape, *(1,) * (x.dim() - 2))
