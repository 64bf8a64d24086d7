"""What every classification task shares: loss, metrics and the way from arrays to a dataset."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from actsearch.schemas import Direction
from actsearch.tasks.declaration import Dataset, InputKind, Part, Predict
from actsearch.tasks.metrics import absent, decisions, scores
from actsearch.tasks.splits import Array, Arrays, Scaler

DIRECTIONS = {"accuracy": Direction.maximize, "loss": Direction.minimize}
FINAL_DIRECTIONS = {
    "balanced_accuracy": Direction.maximize,
    "f1_macro": Direction.maximize,
    "roc_auc": Direction.maximize,
    "average_precision": Direction.maximize,
    "log_loss": Direction.minimize,
}


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


def undefined(part: Part, classes: int) -> dict[str, str]:
    """Metrics that mean nothing on these classes (N,), with the reason."""
    return absent.of_classes(part[1], classes)


def _log_loss(outputs: Tensor, part: Part) -> Tensor:
    return _cross_entropy(outputs, part[1])


def _balanced_accuracy(outputs: Tensor, part: Part) -> Tensor:
    return decisions.balanced_accuracy(outputs.argmax(-1), part[1], outputs.shape[-1])


def _f1_macro(outputs: Tensor, part: Part) -> Tensor:
    return decisions.f1_by_class(outputs.argmax(-1), part[1], outputs.shape[-1])


def _roc_auc(outputs: Tensor, part: Part) -> Tensor:
    return scores.roc_auc(*_one_against_rest(outputs, part[1])).mean()


def _average_precision(outputs: Tensor, part: Part) -> Tensor:
    return scores.average_precision(*_one_against_rest(outputs, part[1])).mean()


def _one_against_rest(logits: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Scores and truth (N, T) of each class against all others; of two classes, of class 1 alone.

    Scores are log probabilities, which order samples as probabilities do, without rounding to 1.
    """
    classes = logits.shape[-1]
    if classes == 2:
        return logits[:, 1:] - logits[:, :1], y.unsqueeze(1) == 1
    return F.log_softmax(logits, -1), y.unsqueeze(1) == torch.arange(classes, device=y.device)


FINAL = {
    "balanced_accuracy": _balanced_accuracy,
    "f1_macro": _f1_macro,
    "roc_auc": _roc_auc,
    "average_precision": _average_precision,
    "log_loss": _log_loss,
}


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
