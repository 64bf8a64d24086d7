"""Metrics of what was decided, from counts of right and wrong decisions by class."""

from __future__ import annotations

import torch
from torch import Tensor


def balanced_accuracy(decided: Tensor, truth: Tensor, classes: int) -> Tensor:
    """The mean recall of the classes that occur, () in [0, 1].

    Args:
        decided, truth: classes (N,) from 0.
        classes: number of classes.
    """
    right, _, occurring = _counts(decided, truth, classes)
    recall = right / occurring.clamp_min(1)
    return recall.sum() / (occurring > 0).sum()


def f1_by_class(decided: Tensor, truth: Tensor, classes: int) -> Tensor:
    """The mean F1 of the classes that occur or are decided, () in [0, 1]; arguments as in `balanced_accuracy`."""
    right, chosen, occurring = _counts(decided, truth, classes)
    seen = (chosen + occurring) > 0
    return f1(right, chosen, occurring).sum() / seen.sum()


def f1(right: Tensor, chosen: Tensor, occurring: Tensor) -> Tensor:
    """F1 = 2 TP / (2 TP + FP + FN), the same shape as the counts; 0 where all are 0.

    Args:
        right: samples of a class that were decided to be of it.
        chosen: samples that were decided to be of it.
        occurring: samples of it.
    """
    return 2 * right / (chosen + occurring).clamp_min(1)


def _counts(decided: Tensor, truth: Tensor, classes: int) -> tuple[Tensor, Tensor, Tensor]:
    """For each class (classes,): samples decided rightly, decided, and there."""
    zeros = torch.zeros(classes, dtype=torch.float64, device=decided.device)
    ones = torch.ones_like(decided, dtype=torch.float64)
    right = zeros.scatter_add(0, truth, (decided == truth).double())
    return right, zeros.scatter_add(0, decided, ones), zeros.scatter_add(0, truth, ones)
