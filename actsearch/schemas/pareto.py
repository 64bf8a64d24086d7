"""The Pareto front of a job with several objectives."""

from __future__ import annotations

from uuid import UUID

from actsearch.schemas.base import Schema
from actsearch.schemas.trials import ObjectiveInfo, Trial


class ParetoEntry(Schema):
    """A trial with its values, in the order of the objectives."""

    trial: Trial
    values: list[float]


class HypervolumePoint(Schema):
    """The hypervolume once `trials` trials were complete."""

    trials: int
    value: float


class ParetoFront(Schema):
    """`GET /v1/jobs/{id}/pareto`: complete trials that no other one beats in every objective.

    Args:
        complete: complete trials that have a finite value of every objective.
        entries: the front, the best in the first objective first; of trials with equal values the earliest.
        baseline: trial 0, on the front or not.
        reference: the worst value of each objective among the complete trials; hypervolumes are up to it.
        hypervolume: after each trial that changed the front, in order of completion, and at the end.
    """

    job_id: UUID
    objectives: list[ObjectiveInfo]
    complete: int
    entries: list[ParetoEntry]
    baseline: ParetoEntry | None
    reference: list[float]
    hypervolume: list[HypervolumePoint]
