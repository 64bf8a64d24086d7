"""What every classification task shares: loss, metrics and the way from arrays to a dataset."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from actsearch.schemas import Direction
from actsearch.tasks.declaration import Dataset, InputKind, Part, Predict
from actsearch.tasks.splits import Array, Arrays, Scaler

DIRECTIONS = {"accuracy": Direction.maximize, "loss": Direction.minimize}


def cross_entropy(predict: Predict, batch: Part) -> Tensor:
    """Mean cross entropy in nats, shape (); `batch` is inputs (B, ...) and classes (B,)."""
    x, y = batch
    return F.cross_entropy(predict(x), y)


def stacked_cross_entropy(outputs: Tensor, batch: Part) -> Tensor:
    """`cross_entropy` (K,) of K networks with logits (K, B, classes)."""
    return _cross_entropy(outputs, batch[1])


def classification_metrics(outputs: Tensor, part: Part) -> dict[str, Tensor]:
    """Accuracy in [0, 1] and mean cross entropy in nats, each (), of logits (N, classes)."""
    y = part[1]
    accuracy = (outputs.argmax(-1) == y).to(outputs.dtype).mean()
    return {"accuracy": accuracy, "loss": _cross_entropy(outputs, y)}


def _cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    """Mean cross entropy in nats (...) for logits (..., B, classes) and classes (B,).

    Along a short last axis torch's softmax does not vectorise: with the batch innermost a cohort of 50 takes a fifth of
    the time, forward and backward.
    """
    columns = F.log_softmax(logits.transpose(-1, -2), -2)  # (..., classes, B)
    return -columns.gather(-2, y.expand(*columns.shape[:-2], 1, -1)).mean((-2, -1))


def classification_dataset(arrays: Arrays, kind: InputKind, *, classes: int | None = None) -> Dataset:
    """A dataset whose inputs are scaled by the training part's statistics; targets are classes from 0.

    Args:
        classes: number of classes; None for those of the training part.
    """
    scale = Scaler.fit(arrays.x_train)
    return Dataset(
        train=_part(scale(arrays.x_train), arrays.y_train),
        validation=_part(scale(arrays.x_validation), arrays.y_validation),
        test=_part(scale(arrays.x_test), arrays.y_test),
        input_kind=kind,
        input_shape=tuple(arrays.x_train.shape[1:]),
        outputs=classes or int(arrays.y_train.max()) + 1,
    )


def _part(x: Array, y: Array) -> Part:
    return torch.from_numpy(x.copy()), torch.from_numpy(y.astype("int64"))
