"""What confirmation finds: replicates on fresh seeds, and the verdict they give."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, Literal
from uuid import UUID

from pydantic import Field

from actsearch.schemas.base import Scalar, Schema
from actsearch.schemas.requests import ActivationSpec
from actsearch.schemas.states import TrialState
from actsearch.schemas.trials import Failure


class Outcome(StrEnum):
    """What a comparison with the baseline shows at the stated level."""

    better = "better"
    worse = "worse"
    no_difference = "no_difference"


class Ending(StrEnum):
    """Why confirmation ended when it did."""

    planned = "planned"
    early = "early"
    extended = "extended"
    nothing_to_compare = "nothing_to_compare"


class Evaluation(Schema):
    """One network trained in confirmation: an arm (the baseline or a finalist) on one fresh seed.

    Args:
        arm: 0 for the baseline, from 1 on the finalists in order of the search's ranking, then their twins.
        trial: number of the trial whose activation and hyperparameters are trained again.
        twin: whether the baseline's activation is trained with them instead.
        replicate: position of the seed, from 0; arms with the same one are compared with each other.
        metrics: as a trial's.
    """

    id: UUID
    job_id: UUID
    arm: int
    trial: int
    twin: bool
    replicate: int
    seed: int
    state: TrialState
    metrics: dict[str, Any]
    failure: Failure | None
    attempt: int
    worker: str | None
    started_at: datetime | None
    finished_at: datetime | None


class Interval(Schema):
    """A confidence interval."""

    low: float
    high: float


class SeedSpread(Schema):
    """An arm's results on one part of the data, over the seeds on which it finished.

    Args:
        worst: of the seeds, the worst value.
        collapsed: the share of seeds far below the median (docs/verdict.md), in [0, 1].
        seeds: how many finished.
    """

    mean: float
    median: float
    worst: float
    collapsed: float
    seeds: int


class ToldDifference(Schema):
    """What a difference is worth, given that only large ones are told: half of such estimates are too large.

    Args:
        difference: turned so that what the outcome says is positive: how much better, or how much worse.
        interval: at the verdict's level; covers as often as stated among the differences that are told.
    """

    difference: float
    interval: Interval


class Difference(Schema):
    """A finalist compared with the baseline, seed by seed, on one part of the data; positive is better.

    The baseline is trained with its own best settings and, where these differ, with the finalist's: a finalist is
    better only if it beats both, and worse only if it loses to both. Told is then the smaller of the differences, else
    the comparison that shows less.

    Args:
        metric: what is compared, `validation_accuracy` or `test_accuracy`, say.
        against: the baseline with its `own` best settings, or as a `twin` with the finalist's.
        pairs: seeds on which both finished.
        failed, baseline_failed: seeds on which the finalist, or the baseline's arm, failed by itself. Each counts as
            a loss larger than any difference.
        baseline, candidate: means over `pairs`; null where there are none.
        difference, median, sd: mean, median and standard deviation of the differences over `pairs`, turned so that
            positive is better; null where fewer than two.
        interval: of the mean difference at the verdict's level, by Student's t; null likewise.
        bootstrap: the same by the BCa bootstrap.
        told: the same by the selective t test, where the outcome is `better` or `worse` by the differences' sizes: what
            was seen overstates what is there, as it had to be large to be told (docs/verdict.md); else null.
        p_t, p_wilcoxon, p_sign_flip: two-sided, of that one comparison.
        p_corrected: what decides: the largest `p_t` and `p_sign_flip` of the comparisons with the baseline (where seeds
            failed `p_sign_flip` alone, of signed ranks; 1 where the comparisons disagree in sign), corrected for the
            number of finalists (Holm).
        wins, losses, ties: seeds on which the finalist was better, worse, equal.
    """

    metric: str
    against: Literal["own", "twin"]
    pairs: int
    failed: int = 0
    baseline_failed: int = 0
    baseline: float | None
    candidate: float | None
    difference: float | None
    median: float | None = None
    sd: float | None
    interval: Interval | None
    bootstrap: Interval | None
    told: ToldDifference | None = None
    p_t: float | None
    p_wilcoxon: float
    p_sign_flip: float
    p_corrected: float
    wins: int
    losses: int
    ties: int
    outcome: Outcome
    words: str


class Arm(Schema):
    """An activation with its settings (learning rate and whatever else was searched) as confirmation trained it.

    Args:
        trial_id, trial: the trial of the search that it stands for.
        parameters: what else was searched, by Optuna name.
        completed, failed: replicates; a finalist that failed by itself on more seeds than the baseline is not called
            better.
        results: by part of the data, `validation` and `test`; empty where no seed finished.
        costs: means over its replicates: `parameters`, `seconds` of training, and latency, activation cost or INT8 drop
            where the job measures them.
    """

    trial_id: UUID
    trial: int
    family: str
    activations: dict[str, ActivationSpec]
    parameters: dict[str, Scalar | None]
    completed: int
    failed: int
    results: dict[Literal["validation", "test"], SeedSpread] = Field(default_factory=dict)
    costs: dict[str, float] = Field(default_factory=dict)


class Finalist(Arm):
    """An arm compared with the baseline; None where fewer than two seeds can be compared."""

    validation: Difference | None
    test: Difference | None


class Verdict(Schema):
    """What confirmation found.

    Args:
        outcome: of the chosen finalist on the test part, which neither the search nor the choice has seen.
        words: the verdict in a sentence.
        chosen: number of the finalist's trial with the best mean on the validation part; None without finalists.
        winner: number of the trial to use: `chosen` where it is better, or where nothing is shown but the baseline
            failed on more seeds; else the baseline's.
        level: confidence level of the intervals; 1 - level bounds the chance that any finalist on a part is called
            different while none is.
        seeds: the fresh seeds, in order of replicates.
        alpha: the part of 1 - level that the deciding look could spend (docs/verdict.md).
        ending: why it ended with so many seeds.
        finalists: in order of the search's ranking.
    """

    outcome: Outcome
    words: str
    chosen: int | None
    winner: int
    metric: str
    level: float
    alpha: float
    seeds: list[int]
    ending: Ending
    baseline: Arm
    finalists: list[Finalist]


class ConfirmationProgress(Schema):
    """How far confirmation is, in networks to train; more may come where the answer is still open."""

    planned: int
    finished: int
    running: int
