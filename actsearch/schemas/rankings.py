"""Rankings as clients see them."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from actsearch.schemas.base import Schema
from actsearch.schemas.trials import ObjectiveInfo, Trial


class RankedTrial(Schema):
    """A trial with its rank; equal values share a rank (standard competition ranking)."""

    rank: int
    trial: Trial


class RankedFamily(Schema):
    """A family over its complete trials.

    Args:
        trials: complete trials of the family.
        best, mean, sd: of the objective; `sd` is None for a single trial.
        best_trial: the trial with the best value.
    """

    rank: int
    family: str
    trials: int
    best: float
    mean: float
    sd: float | None
    best_trial: Trial
    is_baseline: bool


class TrialRanking(Schema):
    """`GET /v1/jobs/{id}/ranking?by=trial`: complete trials, best first."""

    by: Literal["trial"] = "trial"
    job_id: UUID
    objective: ObjectiveInfo
    baseline: RankedTrial | None
    entries: list[RankedTrial]


class FamilyRanking(Schema):
    """`GET /v1/jobs/{id}/ranking?by=family`: families by their best complete trial."""

    by: Literal["family"] = "family"
    job_id: UUID
    objective: ObjectiveInfo
    baseline: RankedFamily | None
    entries: list[RankedFamily]
