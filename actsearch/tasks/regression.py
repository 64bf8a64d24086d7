"""What every regression task shares: loss, metrics and the way from arrays to a dataset."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from actsearch.schemas import Direction
from actsearch.tasks.declaration import Dataset, InputKind, Part, Predict
from actsearch.tasks.shapes import require_one_shape
from actsearch.tasks.splits import Array, Arrays, Scaler

DIRECTIONS = {"mse": Direction.minimize, "r2": Direction.maximize}
FINAL_DIRECTIONS = {"mae": Direction.minimize, "rmse": Direction.minimize}


def mean_squared_error(predict: Predict, batch: Part) -> Tensor:
    """Mean squared error, shape (); `batch` is inputs (B, ...) and targets of the outputs' shape."""
    x, y = batch
    outputs = predict(x)
    require_one_shape(outputs, y)
    return F.mse_loss(outputs, y)


def stacked_squared_error(outputs: Tensor, batch: Part) -> Tensor:
    """`mean_squared_error` (K,) of K networks with outputs (K, B, ...)."""
    require_one_shape(outputs[0], batch[1])
    errors: Tensor = outputs - batch[1]
    return errors.square().flatten(1).mean(1)


def regression_metrics(outputs: Tensor, part: Part) -> dict[str, Tensor]:
    """Mean squared error and coefficient of determination, each (), of outputs (N, ...) and targets of that shape.

    R² = 1 - Σ(y - ŷ)² / Σ(y - ȳ)² for each target, averaged over targets; 1 is perfect, 0 is the part's own mean.
    """
    y = part[1]
    squared = (outputs - y).square()  # (N, ...)
    spread = (y - y.mean(0)).square().sum(0).clamp_min(torch.finfo(y.dtype).tiny)
    return {"mse": squared.mean(), "r2": (1 - squared.sum(0) / spread).mean()}


def mean_absolute_error(outputs: Tensor, part: Part) -> Tensor:
    """Mean |y - ŷ| over samples and targets, ()."""
    errors: Tensor = outputs - part[1]
    return errors.abs().mean()


def root_mean_squared_error(outputs: Tensor, part: Part) -> Tensor:
    """√(mean (y - ŷ)²) of each target, averaged over targets, ()."""
    errors: Tensor = outputs - part[1]
    return errors.square().mean(0).sqrt().mean()


FINAL = {"mae": mean_absolute_error, "rmse": root_mean_squared_error}


def regression_dataset(arrays: Arrays, kind: InputKind) -> Dataset:
    """A dataset whose inputs (N, ...) and targets (N, T) are scaled by the training part's statistics."""
    x, y = Scaler.fit(arrays.x_train), Scaler.fit(arrays.y_train)
    return Dataset(
        train=_part(x, y, arrays.x_train, arrays.y_train),
        validation=_part(x, y, arrays.x_validation, arrays.y_validation),
        test=_part(x, y, arrays.x_test, arrays.y_test),
        input_kind=kind,
        input_shape=tuple(arrays.x_train.shape[1:]),
        outputs=arrays.y_train.shape[1],
    )


def _part(x_scale: Scaler, y_scale: Scaler, x: Array, y: Array) -> Part:
    return torch.from_numpy(x_scale(x)), torch.from_numpy(y_scale(y))
