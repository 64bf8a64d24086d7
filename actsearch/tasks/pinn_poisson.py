"""A physics-informed network for the Poisson equation with a known solution.

-Δu = f on [-1, 1]^D, u = 0 on the boundary, solution u(x) = Π sin(π m x_i), so f = D (π m)² u.

References: Raissi et al., "Physics-informed neural networks", https://doi.org/10.1016/j.jcp.2018.10.045; the boundary
condition is built into the solution as in Lagaris et al., https://doi.org/10.1109/72.712178.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.func import grad

from actsearch.schemas import Direction, ParameterInfo
from actsearch.tasks.declaration import Dataset, Part, Predict, Task, register

_DIMENSIONS = ParameterInfo(name="dimensions", type="int", default=1, low=1, high=3, description="D of the domain.")
_WAVES = ParameterInfo(name="waves", type="int", default=2, low=1, high=8, description="m: periods along each axis.")
_SAMPLES = ParameterInfo(name="samples", type="int", default=1024, low=64, high=65_536, description="Points in all.")
_SEED = ParameterInfo(name="seed", type="int", default=0, low=0, high=2**31 - 1, description="Seed of the points.")


def solution(x: Tensor, waves: int) -> Tensor:
    """The known u (N, 1) at places x (N, D)."""
    return torch.sin(math.pi * waves * x).prod(-1, keepdim=True)


def bounded(x: Tensor, outputs: Tensor) -> Tensor:
    """Network outputs (B, 1) made zero on the boundary: times Π (1 - x_i²)."""
    return outputs * (1 - x.square()).prod(-1, keepdim=True)


def laplacian(predict: Predict, x: Tensor) -> Tensor:
    """Δu (B, 1) at places x (B, D), u = `bounded(x, predict(x))`; needs a network that treats samples one by one."""

    def slope(at: Tensor) -> Tensor:  # (B, D) -> (B, D)
        slopes: Tensor = grad(lambda places: bounded(places, predict(places)).sum())(at)
        return slopes

    def curvature(axis: int) -> Tensor:  # (B,)
        slopes: Tensor = grad(lambda places: slope(places)[:, axis].sum())(x)
        return slopes[:, axis]

    return torch.stack([curvature(axis) for axis in range(x.shape[-1])]).sum(0)[:, None]


def poisson_loss(predict: Predict, batch: Part) -> Tensor:
    """Mean squared residual of the equation, shape (), relative to f's peak; the solution is not used.

    `batch` is places (B, D), f (B, 1), the largest |f| (B, 1) and the solution (B, 1).
    """
    x, f, peak, _ = batch
    residual: Tensor = (laplacian(predict, x) + f) / peak
    return residual.square().mean()


def poisson_metrics(outputs: Tensor, part: Part) -> dict[str, Tensor]:
    """Relative L2 error ‖û - u‖ / ‖u‖ against the known solution, from network outputs (N, 1)."""
    x, u = part[0], part[-1]
    return {"relative_l2": (bounded(x, outputs) - u).norm() / u.norm()}


def _load(dimensions: int = 1, waves: int = 2, samples: int = 1024, seed: int = 0) -> Dataset:
    generator = torch.Generator().manual_seed(seed)
    x = 2 * torch.rand(samples, dimensions, generator=generator, dtype=torch.float64) - 1
    u, peak = solution(x, waves), dimensions * (math.pi * waves) ** 2
    whole = tuple(column.float() for column in (x, peak * u, torch.full_like(u, peak), u))
    first, second = round(0.6 * samples), round(0.8 * samples)
    return Dataset(
        train=tuple(column[:first] for column in whole),
        validation=tuple(column[first:second] for column in whole),
        test=tuple(column[second:] for column in whole),
        input_kind="coordinates",
        input_shape=(dimensions,),
        outputs=1,
    )


register(
    Task(
        name="pinn_poisson",
        description="Solve the Poisson equation -Δu = f with a physics-informed network; the solution is known.",
        kind="pde",
        load=_load,
        loss=poisson_loss,
        metrics=poisson_metrics,
        metric="relative_l2",
        directions={"relative_l2": Direction.minimize},
        source="A formula, computed here",
        parameters=(_DIMENSIONS, _WAVES, _SAMPLES, _SEED),
    )
)
