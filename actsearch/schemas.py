"""Requests and responses: the one contract that API, SDK, CLI and workers share (no torch, no database).

Names are those of the design's vocabulary. Ranges are inclusive on both ends.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Generic, Literal, TypeVar
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

Number = Annotated[float, Field(allow_inf_nan=False)]
Scalar = bool | int | Number | str
PRINTABLE = r"^[^\x00-\x1f]*$"
"""Labels are shown in terminals and stored in PostgreSQL: neither takes control characters."""


class Schema(BaseModel):
    """Base of every type here: unknown fields are errors, values are immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _named(value: object) -> object:
    """Let a plain string stand for `{"name": string}`."""
    return {"name": value} if isinstance(value, str) else value


# --- what a request says --------------------------------------------------------------------------


class Range(Schema):
    """A searched interval.

    Args:
        low: smallest value, included.
        high: largest value, included; not below `low`.
        log: sample on a logarithmic scale (needs `low` > 0).
        step: grid step for a linear scale; None for a continuous one.
    """

    low: Number
    high: Number
    log: bool = False
    step: Annotated[Number, Field(gt=0)] | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Range:
        if self.high < self.low:
            raise ValueError(f"high ({self.high:g}) is below low ({self.low:g}); swap them")
        if self.log and self.low <= 0:
            raise ValueError(f"a log range needs low > 0, got {self.low:g}")
        if self.log and self.step is not None:
            raise ValueError("a log range takes no step; leave one of the two out")
        return self


class Choices(Schema):
    """A searched set of values."""

    choices: Annotated[list[Scalar], Field(min_length=1, max_length=100)]


Searchable = Range | Choices | Scalar
"""A fixed value, a range or a set of choices."""


class ActivationSpec(Schema):
    """An activation: a family with values for its hyperparameters.

    Args:
        family: name in the catalogue (`GET /v1/activations`).
        parameters: values by hyperparameter name; the family's defaults fill in the rest.
        learned: whether the hyperparameters that the family allows to be learned are trained with the weights:
            `fixed` (no), `scalar` (one value a site), `channel` (one a channel); None for the family's own habit.
    """

    family: Annotated[str, Field(min_length=1, max_length=100)]
    parameters: dict[str, Number] = Field(default_factory=dict)
    learned: Literal["fixed", "scalar", "channel"] | None = None


class FamilyChoice(Schema):
    """A family to search, with its hyperparameters fixed, ranged or (left out) at the catalogue's ranges."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    parameters: dict[str, Number | Range] = Field(default_factory=dict)
    learned: Literal["fixed", "scalar", "channel"] | None = None


class Placement(StrEnum):
    """Whether sites share one choice, one a stage or one a layer."""

    network = "network"
    stage = "stage"
    layer = "layer"


class SearchSpace(Schema):
    """What is searched.

    Args:
        families: the families to choose from, by name or with their ranges, or `"all"`.
        placement: whether sites share one choice (`network`), one a `stage`, or one a `layer`.
        architecture: architecture parameters to search, by name.
        training: training hyperparameters to search, by name (`learning_rate`, `weight_decay`, `momentum`).
    """

    families: (
        Literal["all"] | Annotated[list[Annotated[FamilyChoice, BeforeValidator(_named)]], Field(min_length=1)]
    ) = "all"
    placement: Placement = Placement.network
    architecture: dict[str, Range | Choices] = Field(default_factory=dict)
    training: dict[Literal["learning_rate", "weight_decay", "momentum"], Range | Choices] = Field(default_factory=dict)


class Named(Schema):
    """Something chosen by name, with parameters."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    parameters: dict[str, Scalar] = Field(default_factory=dict)


class Training(Schema):
    """How every trial is trained, unless the search space says otherwise.

    Args:
        epochs: passes over the training part; a pruner may stop a trial earlier.
        batch_size: samples a step.
        optimizer: `adamw` or `sgd`.
        learning_rate: step size, > 0.
        weight_decay: decoupled for AdamW, L2 for SGD; >= 0.
        momentum: SGD only, in [0, 1).
        schedule: `constant` or `cosine` (to zero over `epochs`).
        gradient_clip: largest gradient norm of a trial; None for no clipping.
        seed: seed of initial weights and batches, the same for every trial of the job.
    """

    epochs: Annotated[int, Field(ge=1, le=100_000)] = 10
    batch_size: Annotated[int, Field(ge=1, le=1_000_000)] = 64
    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: Annotated[Number, Field(gt=0, le=1000)] = 1e-3
    weight_decay: Annotated[Number, Field(ge=0, le=1000)] = 0.0
    momentum: Annotated[Number, Field(ge=0, lt=1)] = 0.9
    schedule: Literal["constant", "cosine"] = "constant"
    gradient_clip: Annotated[Number, Field(gt=0)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0


class Budget(Schema):
    """What a search may spend: exactly `trials` trials are finished, whatever the number of workers."""

    trials: Annotated[int, Field(ge=1, le=10_000_000)] = 100


class Objective(Schema):
    """What a trial is judged by: a validation metric of the task (None: the task's own)."""

    metric: str | None = None


class Sampler(Schema):
    """The Optuna sampler that proposes activations."""

    name: Literal["tpe", "random", "gp"] = "tpe"


class Pruner(Schema):
    """The Optuna pruner that stops hopeless trials; `hyperband` is asynchronous (ASHA within brackets)."""

    name: Literal["none", "median", "hyperband"] = "none"


class JobRequest(Schema):
    """A search to run: `POST /v1/jobs`.

    Args:
        task: dataset by name, or name with parameters.
        architecture: network by name, or name with parameters.
        space: what is searched.
        baseline: the activation every other is compared with; it is always trial 0.
        training, budget, objective, sampler, pruner: see their types.
        parallelism: how many runners (devices) may work on the job at once.
        cohort_size: trials trained together on one device; None lets the worker choose.
        priority: higher runs first.
        seed: seed of the sampler.
        name: a label for people.
    """

    task: Annotated[Named, BeforeValidator(_named)]
    architecture: Annotated[Named, BeforeValidator(_named)] = Named(name="mlp")
    space: SearchSpace = SearchSpace()
    baseline: ActivationSpec = ActivationSpec(family="relu")
    training: Training = Training()
    budget: Budget = Budget()
    objective: Objective = Objective()
    sampler: Annotated[Sampler, BeforeValidator(_named)] = Sampler()
    pruner: Annotated[Pruner, BeforeValidator(_named)] = Pruner()
    parallelism: Annotated[int, Field(ge=1, le=1000)] = 4
    cohort_size: Annotated[int, Field(ge=1, le=4096)] | None = None
    priority: Annotated[int, Field(ge=-1000, le=1000)] = 0
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    name: Annotated[str, Field(max_length=200, pattern=PRINTABLE)] | None = None


# --- states ---------------------------------------------------------------------------------------


class JobState(StrEnum):
    """States of a job; `JOB_TRANSITIONS` says which may follow which."""

    queued = "queued"
    running = "running"
    paused = "paused"
    confirming = "confirming"
    completed = "completed"
    failed = "failed"
    cancelled = "cancelled"


JOB_TRANSITIONS: Mapping[JobState, frozenset[JobState]] = {
    JobState.queued: frozenset({JobState.running, JobState.paused, JobState.failed, JobState.cancelled}),
    JobState.running: frozenset(
        {JobState.paused, JobState.confirming, JobState.completed, JobState.failed, JobState.cancelled}
    ),
    JobState.paused: frozenset({JobState.queued, JobState.cancelled}),
    JobState.confirming: frozenset({JobState.paused, JobState.completed, JobState.failed, JobState.cancelled}),
    JobState.completed: frozenset(),
    JobState.failed: frozenset(),
    JobState.cancelled: frozenset(),
}
ACTIVE_STATES = (JobState.queued, JobState.running, JobState.confirming)
FINAL_STATES = tuple(state for state, following in JOB_TRANSITIONS.items() if not following)


class TrialState(StrEnum):
    """States of a trial, as Optuna names them, in lower case."""

    running = "running"
    complete = "complete"
    pruned = "pruned"
    failed = "failed"
    waiting = "waiting"


class FailureReason(StrEnum):
    """Why a trial failed."""

    diverged = "diverged"
    out_of_memory = "out_of_memory"
    timeout = "timeout"
    invalid = "invalid"
    lost = "lost"
    cancelled = "cancelled"


class Direction(StrEnum):
    """Whether larger or smaller values of a metric are better."""

    maximize = "maximize"
    minimize = "minimize"


# --- what comes back ------------------------------------------------------------------------------


class Progress(Schema):
    """How far a job is, in trials: `finished` = complete + pruned + failed, and ends equal to `budget`."""

    budget: int
    finished: int
    complete: int
    pruned: int
    failed: int
    running: int
    waiting: int


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
    attempt: int
    worker: str | None
    started_at: datetime | None
    finished_at: datetime | None


class ObjectiveInfo(Schema):
    """What the job's trials are ranked by."""

    metric: str
    direction: Direction


class Job(Schema):
    """A job and how far it is: `GET /v1/jobs/{id}`.

    Args:
        reason: why the job failed or was cancelled.
        workers_online: workers that could run it now.
        best: the best complete trial so far.
        dashboard: path of the study in the Optuna dashboard on the same server.
    """

    id: UUID
    name: str | None
    state: JobState
    reason: str | None
    request: JobRequest
    objective: ObjectiveInfo
    progress: Progress
    best: Trial | None
    workers_online: int
    dashboard: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


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


Item = TypeVar("Item")


class Page(Schema, Generic[Item]):
    """One page of a list; `next_cursor` is None on the last."""

    items: list[Item]
    next_cursor: str | None = None


class ParameterInfo(Schema):
    """A hyperparameter of a family, an architecture or a task.

    Args:
        type: `float`, `int`, `bool` or `choice`.
        low, high: inclusive range for numbers.
        log: searched on a log scale.
        choices: for `choice`.
        learnable: may be trained with the weights (activations only).
    """

    name: str
    type: Literal["float", "int", "bool", "choice"]
    default: Scalar
    low: float | None = None
    high: float | None = None
    log: bool = False
    choices: list[Scalar] | None = None
    learnable: bool = False
    description: str = ""


class FamilyInfo(Schema):
    """A family of the catalogue."""

    name: str
    formula: str
    reference: str
    parameters: list[ParameterInfo]
    gain: float
    smooth: bool
    monotone: bool
    bounded: bool
    cost: str
    tags: list[str]


class ArchitectureInfo(Schema):
    """An architecture: `inputs` are the kinds of task input it takes."""

    name: str
    description: str
    inputs: list[str]
    parameters: list[ParameterInfo]


class TaskInfo(Schema):
    """A task: what it is, its input shape without the batch axis, its metrics and the one it is judged by."""

    name: str
    description: str
    kind: str
    input_shape: list[int]
    outputs: int
    samples: dict[str, int]
    metric: str
    metrics: dict[str, Direction]
    source: str
    architectures: list[str]
    parameters: list[ParameterInfo] = Field(default_factory=list)


class WorkerInfo(Schema):
    """A worker whose heartbeat is fresh."""

    id: UUID
    name: str
    devices: list[str]
    started_at: datetime
    last_seen_at: datetime


class ProblemField(Schema):
    """One offending field of a request."""

    field: str
    message: str
    allowed: list[str] = Field(default_factory=list)


class Problem(Schema):
    """An error answer (RFC 9457 problem details, `application/problem+json`)."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    errors: list[ProblemField] = Field(default_factory=list)
