"""Trials as clients see them."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import Field

from actsearch.schemas.base import Scalar, Schema
from actsearch.schemas.requests import ActivationSpec
from actsearch.schemas.states import Direction, FailureReason, TrialState


class Failure(Schema):
    """Why a trial failed, in a word and in a sentence."""

    reason: FailureReason
    detail: str


class CurvePoint(Schema):
    """One point of a learning curve: `metrics` by name after `epoch` epochs (NaN and infinities are null)."""

    epoch: int
    metrics: dict[str, float | None]


class Trial(Schema):
    """One trial: `GET /v1/trials/{id}`.

    Args:
        number: position in the job, from 0; trial 0 is the baseline.
        value: the objective on the validation part; None until known.
        activations: what each site group computes: key `network`, a stage's or a site's name, by placement.
        family: the family, or families joined by `+` where placement mixes several.
        parameters: what the sampler chose, by Optuna parameter name.
        metrics: final metrics, `train_*`, `validation_*`, `test_*`, and diagnostics.
        curve: metrics by epoch; only filled where one trial is asked for.
        warm_start: the earlier job whose result this trial tries again here; None for the sampler's own proposals.
        attempt: 1, or more where a crash cost earlier ones.
    """

    id: UUID
    job_id: UUID
    number: int
    state: TrialState
    value: float | None
    is_baseline: bool
    family: str | None
    activations: dict[str, ActivationSpec]
    parameters: dict[str, Scalar | None]
    metrics: dict[str, Any]
    curve: list[CurvePoint] = Field(default_factory=list)
    failure: Failure | None = None
    warm_start: UUID | None = None
    attempt: int
    worker: str | None
    started_at: datetime | None
    finished_at: datetime | None


class ObjectiveInfo(Schema):
    """What the job's trials are ranked by."""

    metric: str
    direction: Direction
