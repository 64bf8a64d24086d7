"""What every regression task shares: loss, metrics and the way from arrays to a dataset."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from actsearch.schemas import Direction
from actsearch.tasks.declaration import Dataset, InputKind, Part, Predict
from actsearch.tasks.splits import Array, Arrays, Scaler

DIRECTIONS = {"mse": Direction.minimize, "r2": Direction.maximize}


def mean_squared_error(predict: Predict, batch: Part) -> Tensor:
    """Mean squared error, shape (); `batch` is inputs (B, ...) and targets (B, T)."""
    x, y = batch
    return F.mse_loss(predict(x), y)


def stacked_squared_error(outputs: Tensor, batch: Part) -> Tensor:
    """`mean_squared_error` (K,) of K networks with outputs (K, B, T)."""
    return (outputs - batch[1]).square().mean((-2, -1))


def regression_metrics(outputs: Tensor, part: Part) -> dict[str, Tensor]:
    """Mean squared error and coefficient of determination, each (), of outputs (N, T).

    R² = 1 - Σ(y - ŷ)² / Σ(y - ȳ)² for each target, averaged over targets; 1 is perfect, 0 is the part's own mean.
    """
    y = part[1]
    squared = (outputs - y).square()  # (N, T)
    spread = (y - y.mean(0)).square().sum(0).clamp_min(torch.finfo(y.dtype).tiny)
    return {"mse": squared.mean(), "r2": (1 - squared.sum(0) / spread).mean()}


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
