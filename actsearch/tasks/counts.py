"""What tasks on counts share: the network says the logarithm of the rate, trained by Poisson likelihood."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from actsearch.schemas import Direction
from actsearch.tasks import regression
from actsearch.tasks.declaration import Part, Predict
from actsearch.tasks.shapes import require_one_shape

DIRECTIONS = {"loss": Direction.minimize, "poisson_deviance": Direction.minimize}
FINAL_DIRECTIONS = regression.DIRECTIONS | regression.FINAL_DIRECTIONS


def poisson_loss(predict: Predict, batch: Part) -> Tensor:
    """Mean Poisson negative log likelihood without its constant, exp(ŷ) - y ŷ, (), of log rates ŷ; y of ŷ's shape."""
    outputs = predict(batch[0])
    require_one_shape(outputs, batch[1])
    return F.poisson_nll_loss(outputs, batch[1], log_input=True)


def stacked_poisson_loss(outputs: Tensor, batch: Part) -> Tensor:
    """`poisson_loss` (K,) of K networks with outputs (K, B, ...)."""
    require_one_shape(outputs[0], batch[1])
    losses: Tensor = outputs.exp() - batch[1] * outputs
    return losses.flatten(1).mean(1)


def count_metrics(outputs: Tensor, part: Part) -> dict[str, Tensor]:
    """`poisson_loss` and mean Poisson deviance 2 (y log(y/μ) - y + μ), each (), of log rates and counts (N, ...)."""
    y = part[1]
    rate = outputs.exp()
    deviance = 2 * (torch.xlogy(y, y) - y * outputs - y + rate)
    return {"loss": (rate - y * outputs).mean(), "poisson_deviance": deviance.mean()}


def _mse(outputs: Tensor, part: Part) -> Tensor:
    return regression.regression_metrics(outputs.exp(), part)["mse"]


def _r2(outputs: Tensor, part: Part) -> Tensor:
    return regression.regression_metrics(outputs.exp(), part)["r2"]


def _mae(outputs: Tensor, part: Part) -> Tensor:
    return regression.mean_absolute_error(outputs.exp(), part)


def _rmse(outputs: Tensor, part: Part) -> Tensor:
    return regression.root_mean_squared_error(outputs.exp(), part)


FINAL = {"mse": _mse, "r2": _r2, "mae": _mae, "rmse": _rmse}
