"""What tasks on yes-or-no labels share, one (`binary`) or several a sample (`multilabel`): one logit a label."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from actsearch.schemas import Direction
from actsearch.tasks.declaration import Part, Predict
from actsearch.tasks.metrics import absent, decisions, scores
from actsearch.tasks.shapes import require_one_shape

DIRECTIONS = {"accuracy": Direction.maximize, "loss": Direction.minimize}
_SHARED = {
    "f1_macro": Direction.maximize,
    "roc_auc": Direction.maximize,
    "average_precision": Direction.maximize,
    "log_loss": Direction.minimize,
}
BINARY_DIRECTIONS = {"balanced_accuracy": Direction.maximize, "f1": Direction.maximize} | _SHARED
MULTILABEL_DIRECTIONS = {"exact_match": Direction.maximize} | _SHARED


def label_loss(predict: Predict, batch: Part) -> Tensor:
    """Mean binary cross entropy in nats, (), of logits; targets of 0.0 and 1.0 have the logits' shape."""
    outputs = predict(batch[0])
    require_one_shape(outputs, batch[1])
    return F.binary_cross_entropy_with_logits(outputs, batch[1])


def stacked_label_loss(outputs: Tensor, batch: Part) -> Tensor:
    """`label_loss` (K,) of K networks with logits (K, B, ...)."""
    require_one_shape(outputs[0], batch[1])
    truth = batch[1].expand_as(outputs)
    return F.binary_cross_entropy_with_logits(outputs, truth, reduction="none").flatten(1).mean(1)


def label_metrics(outputs: Tensor, part: Part) -> dict[str, Tensor]:
    """Share of labels that are right and mean binary cross entropy in nats, each (), of logits (N, ...)."""
    right = (outputs > 0) == (part[1] > 0.5)
    return {"accuracy": right.to(outputs.dtype).mean(), "loss": _log_loss(outputs, part)}


def undefined(part: Part) -> dict[str, str]:
    """Metrics that mean nothing on these labels, with the reason."""
    truth = part[1].reshape(len(part[1]), -1)
    return absent.of_labels(truth) if truth.shape[1] > 1 else absent.of_classes(truth.flatten().long(), 2)


def _log_loss(outputs: Tensor, part: Part) -> Tensor:
    return F.binary_cross_entropy_with_logits(outputs, part[1])


def _columns(outputs: Tensor, part: Part) -> tuple[Tensor, Tensor]:
    """Logits and truth as (N, T)."""
    return outputs.reshape(len(outputs), -1), part[1].reshape(len(outputs), -1) > 0.5


def _roc_auc(outputs: Tensor, part: Part) -> Tensor:
    return scores.roc_auc(*_columns(outputs, part)).mean()


def _average_precision(outputs: Tensor, part: Part) -> Tensor:
    return scores.average_precision(*_columns(outputs, part)).mean()


def _f1_of_labels(outputs: Tensor, part: Part) -> Tensor:
    logits, truth = _columns(outputs, part)
    chosen = logits > 0
    return decisions.f1((chosen & truth).double().sum(0), chosen.double().sum(0), truth.double().sum(0)).mean()


def _classes(outputs: Tensor, part: Part) -> tuple[Tensor, Tensor, int]:
    logits, truth = _columns(outputs, part)
    return (logits > 0).long().flatten(), truth.long().flatten(), 2


def _f1_of_both_classes(outputs: Tensor, part: Part) -> Tensor:
    return decisions.f1_by_class(*_classes(outputs, part))


def _balanced_accuracy(outputs: Tensor, part: Part) -> Tensor:
    return decisions.balanced_accuracy(*_classes(outputs, part))


def _exact_match(outputs: Tensor, part: Part) -> Tensor:
    logits, truth = _columns(outputs, part)
    return torch.all((logits > 0) == truth, dim=1).to(outputs.dtype).mean()


_BOTH = {"roc_auc": _roc_auc, "average_precision": _average_precision, "log_loss": _log_loss}
BINARY = {
    "balanced_accuracy": _balanced_accuracy,
    "f1": _f1_of_labels,
    "f1_macro": _f1_of_both_classes,
    **_BOTH,
}
MULTILABEL = {"exact_match": _exact_match, "f1_macro": _f1_of_labels, **_BOTH}
