"""Splines."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from actsearch.activations.declaration import Parameter, family
from actsearch.activations.learned import coefficient

REACH = 4.0
"""The knots lie evenly on [-REACH, REACH]."""
FEWEST, MOST = 5, 32


def height(k: int) -> Parameter:
    """The height around knot k, the leftmost being 0."""
    needs = None if k < FEWEST else ("knots", k + 1)
    return coefficient(0.0, "height of the spline around its knots, the leftmost first", needs=needs)


def between_knots(heights: Tensor) -> Tensor:
    """The spline in each cell between two knots as a polynomial of the share t of the way through the cell.

    Args:
        heights: (..., n) of the B-splines around each of n knots.

    Returns:
        (..., n + 4, 4), coefficients of 1, t, t^2, t^3; first the cell whose right end is one step left of the first
        knot, last the one after the first, all zero, that lies right of everything.
    """
    padded, cells = F.pad(heights, (3, 4)), heights.shape[-1] + 4
    a, b, c, d = (padded[..., i : i + cells] for i in range(4))  # of the four B-splines that reach into each cell
    powers = [a + 4 * b + c, 3 * (c - a), 3 * (a - 2 * b + c), d - a + 3 * (b - c)]
    return torch.stack(powers, -1) / 6


def stacked(heights: list[float | Tensor], knots: float | Tensor, x: Tensor) -> Tensor:
    """Heights as one tensor (..., n), those from `knots` on as zeros."""
    tensors = torch.broadcast_tensors(*(torch.as_tensor(h, dtype=x.dtype, device=x.device) for h in heights))
    if not isinstance(knots, Tensor):
        return torch.stack(tensors[: int(knots)], -1)
    table = torch.stack(torch.broadcast_tensors(knots, *tensors)[1:], -1)
    return table * (torch.arange(len(heights), device=x.device) < knots.unsqueeze(-1))


@family(
    formula="base silu(x) + sum over k < knots of c_k B((x + 4) (knots - 1) / 8 - k), B the cubic B-spline",
    reference="Liu et al. 2024, KAN: Kolmogorov-Arnold networks; Bohra et al. 2020",
    parameters={
        "knots": Parameter(9.0, FEWEST, MOST, whole=True, searched=False, description="number of knots on [-4, 4]"),
        "base": coefficient(1.0, "weight of silu"),
        **{f"c{k}": height(k) for k in range(MOST)},
    },
    smooth=True,
    cost="composite",
    learned="scalar",
)
def spline(x: Tensor, knots: float | Tensor, base: float | Tensor, **heights: float | Tensor) -> Tensor:
    """Cubic spline with evenly spaced knots on [-4, 4] added to SiLU; starts as SiLU."""
    table = between_knots(stacked([heights[f"c{k}"] for k in range(len(heights))], knots, x))
    cells = table.shape[-2]
    places = ((x + REACH) * ((knots - 1) / (2 * REACH))).clamp(-2, cells - 3)  # in steps from the first knot
    left = places.detach().floor()
    share = places - left
    rows = left.nan_to_num(0.0).int() + 2
    if table.dim() > 2:  # heights of their own for parts of x: their tables follow one another
        parts = table.shape[:-2]
        rows = rows + cells * torch.arange(parts.numel(), dtype=rows.dtype, device=x.device).view(parts)
    level, slope, bend, jerk = (
        column.index_select(0, rows.flatten()).view(rows.shape) for column in table.flatten(0, -2).unbind(-1)
    )
    return base * F.silu(x) + (level + share * (slope + share * (bend + share * jerk)))
