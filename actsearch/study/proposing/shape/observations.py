"""What is known of a study's trials, as scores that a model can be fitted to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from scipy.stats import norm, rankdata

from actsearch.study.proposing.shape.features import Array


@dataclass(frozen=True)
class Observation:
    """A finished trial of another job, as a point of this job's space by Optuna's names; a larger score is better."""

    parameters: Mapping[str, Any]
    score: float


@dataclass(frozen=True)
class Source:
    """What one earlier job found; its scores are only compared among themselves."""

    name: str
    observations: Sequence[Observation]


def normal_scores(values: Array) -> Array:
    """Values (N,) by rank, as quantiles of N(0, 1): outliers and the metric's scale do not matter; worst for NaN."""
    ranks = rankdata(np.nan_to_num(values, nan=-np.inf), method="average")
    return np.asarray(norm.ppf((ranks - 0.5) / len(values)))


def scored(trials: Sequence[FrozenTrial], directions: Sequence[StudyDirection], weights: Array) -> Array:
    """Normal scores (N,) of finished trials; failed ones are the worst, pruned ones stand by their last value.

    Args:
        weights: of the objectives, where there are several.
    """
    columns = [_column(trials, place, direction) for place, direction in enumerate(directions)]
    if len(columns) == 1:
        return normal_scores(columns[0])
    return normal_scores(sum(w * normal_scores(c) for w, c in zip(weights, columns, strict=True)))


def _column(trials: Sequence[FrozenTrial], objective: int, direction: StudyDirection) -> Array:
    sign = 1.0 if direction == StudyDirection.MAXIMIZE else -1.0
    complete = [t for t in trials if t.state == TrialState.COMPLETE]
    gains: dict[int, float] = {}
    values = np.full(len(trials), -np.inf)
    for row, trial in enumerate(trials):
        if trial.state == TrialState.COMPLETE:
            values[row] = sign * trial.values[objective]
        elif trial.state == TrialState.PRUNED and trial.intermediate_values and objective == 0:
            step, value = max(trial.intermediate_values.items())
            if step not in gains:
                gains[step] = _gain_after(complete, step)
            values[row] = sign * (value + gains[step])
    return values


def _gain_after(complete: Sequence[FrozenTrial], step: int) -> float:
    """What complete trials gained, at the median, after a step: what a trial pruned there would have gained too."""
    gains = [t.values[0] - t.intermediate_values[step] for t in complete if step in t.intermediate_values]
    return float(np.nanmedian(gains)) if gains else 0.0
