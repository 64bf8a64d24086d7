"""Metrics of how scores order the samples: each of T columns is a question of its own, "is it this class?".

Both take scores (N, T), larger for what is more likely, and `positive` (N, T), the truth, and give (T,) in float64.
Samples with equal scores share one threshold, as in scikit-learn. Where a column has no positive (or for ROC AUC no
negative) sample, its value means nothing: see `Task.undefined`.
"""

from __future__ import annotations

import torch
from torch import Tensor


def roc_auc(scores: Tensor, positive: Tensor) -> Tensor:
    """Area under the receiver operating characteristic, (T,) in [0, 1]; 0.5 is chance.

    The probability that a positive sample has a larger score than a negative one, ties counting half
    (Hanley & McNeil 1982), by the ranks of the positives.
    """
    first, last, truth = _sorted(scores, positive)
    ranks = (first + last).double() / 2 + 1  # samples with equal scores share the mean of their ranks
    positives = truth.sum(0)
    negatives = len(truth) - positives
    return ((ranks * truth).sum(0) - positives * (positives + 1) / 2) / (positives * negatives)


def average_precision(scores: Tensor, positive: Tensor) -> Tensor:
    """Average precision, (T,) in [0, 1]: AP = Σ (Rₙ - Rₙ₋₁) Pₙ over all thresholds, without interpolation."""
    first, _, truth = _sorted(scores, positive)
    positives = truth.sum(0)
    below = (truth.cumsum(0) - truth).gather(0, first)  # positives with a smaller score
    precision = (positives - below) / (len(truth) - first)
    return (precision * truth).sum(0) / positives


def _sorted(scores: Tensor, positive: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """By rising score: where the samples with the same score begin and end (N, T), and the truth as float64."""
    ordered, order = scores.sort(dim=0)
    place = torch.arange(len(scores), device=scores.device).unsqueeze(1).expand_as(order)
    other = ordered[1:] != ordered[:-1]
    edge = torch.ones_like(ordered[:1], dtype=torch.bool)
    first = torch.where(torch.cat([edge, other]), place, 0).cummax(0).values
    last = torch.where(torch.cat([other, edge]), place, len(scores) - 1).flip(0).cummin(0).values.flip(0)
    return first, last, positive.double().gather(0, order)
