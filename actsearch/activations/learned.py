"""Learned shapes: families whose many coefficients training moves, so that the sampler leaves them alone."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from actsearch.activations.declaration import Parameter, family


def coefficient(default: float, description: str, *, needs: tuple[str, int] | None = None) -> Parameter:
    """A learned coefficient, at first in [-10, 10]."""
    return Parameter(default, -10.0, 10.0, learnable=True, description=description, searched=False, needs=needs)


@family(
    formula="t_l + a_l (x - t_l) if x < t_l, x between, t_r + a_r (x - t_r) if x > t_r",
    reference="Jin et al. 2016, Deep learning with S-shaped rectified linear activation units",
    parameters={
        # The thresholds' ranges do not cross, so that t_l < t_r at the start.
        "t_l": Parameter(0.0, -3.0, 0.0, learnable=True, description="left threshold"),
        "a_l": Parameter(0.2, 0.0, 1.0, learnable=True, description="slope left of t_l"),
        "t_r": Parameter(1.0, 0.5, 3.0, learnable=True, description="right threshold"),
        "a_r": Parameter(1.0, 0.0, 2.0, learnable=True, description="slope right of t_r"),
    },
    monotone=True,
    quantisation_friendly=True,
    learned="channel",
)
def srelu(x: Tensor, t_l: float | Tensor, a_l: float | Tensor, t_r: float | Tensor, a_r: float | Tensor) -> Tensor:
    """S-shaped rectifier: three lines that meet at two thresholds."""
    return x + (1 - a_l) * F.relu(t_l - x) + (a_r - 1) * F.relu(x - t_r)


@family(
    formula="max(0, x) + a1 max(0, b1 - x) + a2 max(0, b2 - x)",
    reference="Agostinelli et al. 2014, Learning activation functions to improve deep neural networks",
    parameters={
        "a1": coefficient(-0.1, "slope of the first hinge"),
        "b1": coefficient(0.0, "place of the first hinge"),
        "a2": coefficient(0.1, "slope of the second hinge"),
        "b2": coefficient(-1.0, "place of the second hinge"),
    },
    monotone=True,
    quantisation_friendly=True,
    learned="channel",
)
def apl(x: Tensor, a1: float | Tensor, b1: float | Tensor, a2: float | Tensor, b2: float | Tensor) -> Tensor:
    """Adaptive piecewise linear unit with two hinges; starts as a leaky rectifier that is flat below -1."""
    return F.relu(x) + a1 * F.relu(b1 - x) + a2 * F.relu(b2 - x)
