"""Rankings as clients see them."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from pydantic import Field

from actsearch.schemas.base import Schema
from actsearch.schemas.requests import ActivationSpec
from actsearch.schemas.trials import ObjectiveInfo, Trial
from actsearch.schemas.verdicts import Interval, Outcome, SeedSpread, Verdict


class RankedTrial(Schema):
    """A trial with its rank; equal values share a rank (standard competition ranking).

    Args:
        tied_with_first: whether seed noise explains the distance to the first; None where the noise is not known.
    """

    rank: int
    tied_with_first: bool | None = None
    trial: Trial


class RankedFamily(Schema):
    """A family over its complete trials.

    Args:
        trials: complete trials of the family.
        best, mean, sd: of the objective; `sd` is None for a single trial.
        interval: 95% of the mean, by Student's t, within the metric's range; None for a single trial.
        wins: trials better than the baseline's best.
        best_trial: the trial with the best value.
        tied_with_first: see `RankedTrial`.
    """

    rank: int
    tied_with_first: bool | None = None
    family: str
    trials: int
    best: float
    mean: float
    sd: float | None
    interval: Interval | None = None
    wins: int | None = None
    best_trial: Trial
    is_baseline: bool


class FamilyWithout(Schema):
    """A family that was tried and has no complete trial with a finite value.

    Args:
        trials: how many it has; of more than 20 the first 20 count.
        outcomes: how many of them are `running`, `waiting`, `pruned`, failed (by reason: `diverged`, `invalid` ...), or
            complete with a value that is `not_finite`.
        detail: what the first that failed said.
        words: the same as a sentence.
    """

    family: str
    trials: int
    outcomes: dict[str, int]
    detail: str | None = None
    words: str


class TrialRanking(Schema):
    """`GET /v1/jobs/{id}/ranking?by=trial`: complete trials, best first.

    Args:
        noise: two single runs of one network on two seeds differ by no more than this in 95 of 100 cases, as the
            replicates of confirmation show; None without confirmation.
    """

    by: Literal["trial"] = "trial"
    job_id: UUID
    objective: ObjectiveInfo
    noise: float | None = None
    baseline: RankedTrial | None
    entries: list[RankedTrial]


class FamilyRanking(Schema):
    """`GET /v1/jobs/{id}/ranking?by=family`: families by their best complete trial; `noise` as in `TrialRanking`.

    Args:
        without: families that were tried and have no place, with why, by name; at most 1000.
    """

    by: Literal["family"] = "family"
    job_id: UUID
    objective: ObjectiveInfo
    noise: float | None = None
    baseline: RankedFamily | None
    entries: list[RankedFamily]
    without: list[FamilyWithout] = Field(default_factory=list)


class RankedActivation(Schema):
    """An activation over all that was trained with it, whatever the learning rate.

    Args:
        trials: complete trials of the search.
        best, mean, sd: of their objective; `sd` is None for a single trial.
        replicates, confirmed: replicates of confirmation on fresh seeds, and their mean on the validation part; None
            where it was no finalist.
        spread: what that mean hides: median, worst seed and share of collapsed seeds; None likewise,
            and until there is a verdict.
        best_trial: the trial with the best value.
        tied_with_first: see `RankedTrial`.
    """

    rank: int
    tied_with_first: bool | None = None
    family: str
    activations: dict[str, ActivationSpec]
    trials: int
    best: float
    mean: float
    sd: float | None
    replicates: int
    confirmed: float | None
    spread: SeedSpread | None = None
    best_trial: Trial
    is_baseline: bool


class ActivationRanking(Schema):
    """`GET /v1/jobs/{id}/ranking?by=activation`: activations by their best trial; `noise` as in `TrialRanking`."""

    by: Literal["activation"] = "activation"
    job_id: UUID
    objective: ObjectiveInfo
    noise: float | None = None
    baseline: RankedActivation | None
    entries: list[RankedActivation]


class Importances(Schema):
    """`GET /v1/jobs/{id}/importances`: how much of the objective's variation each searched parameter explains.

    Args:
        evaluator: Optuna's method.
        trials: complete trials it is computed from.
        shared: shares of the parameters that every trial has; they add up to 1.
        within: by family, shares of the family's own hyperparameters and the shared ones among its trials; only
            families with at least four trials.
    """

    job_id: UUID
    evaluator: Literal["ped_anova", "fanova"]
    trials: int
    shared: dict[str, float]
    within: dict[str, dict[str, float]]


class SearchGain(Schema):
    """What a family gained over the baseline in one job, or in several on average.

    Args:
        job_id, trial, activations: of the job in which it gained most.
        gain: turned so that positive is better, in the metric's unit.
        jobs: how many it is the mean of.
        error: standard error of the gain where it is a mean over fresh seeds; 0 for best against best of a search.
        seeds: fresh seeds behind it; 0 for a search.
    """

    job_id: UUID
    metric: str
    family: str
    activations: dict[str, ActivationSpec]
    trial: int
    gain: float
    jobs: int = 1
    error: float = 0.0
    seeds: int = 0


class VerdictOfJob(Schema):
    """A job's verdict."""

    job_id: UUID
    verdict: Verdict


class Leader(Schema):
    """A family across the jobs of an (architecture, task).

    Args:
        evidence: `verdict` (confirmed on fresh seeds and test data), or `search` (single runs on validation data).
        gain: over the same job's baseline, positive is better, in the metric's unit: of verdicts the mean over jobs,
            shrunk towards all families' mean; of searches the mean of best against best.
        mean: of verdicts the random-effects mean over jobs; of searches the gain.
        interval: of `mean`, corrected for the number of families; null for searches.
        outcome: what the interval shows.
        activations, job_id, trial: of the job in which it gained most.
        jobs, seeds: how many jobs and fresh seeds speak.
    """

    rank: int
    family: str
    activations: dict[str, ActivationSpec]
    evidence: Literal["verdict", "search"]
    gain: float
    mean: float
    interval: Interval | None
    outcome: Outcome | None
    metric: str
    job_id: UUID
    trial: int
    jobs: int
    seeds: int


class Leaderboard(Schema):
    """`GET /v1/leaderboard`: families by what they gained over the baseline, verdicts first.

    Families with verdicts stand in order of their pooled and shrunk gain; then those only seen in searches, in order of
    their mean gain. Equal ones share a rank and stand by name.
    """

    architecture: str
    task: str
    jobs: int
    entries: list[Leader]
