"""What a request says. Ranges are inclusive on both ends."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, model_validator

from actsearch.schemas.base import PRINTABLE, Integer, Number, Scalar, Schema, TaskValue, named, of_family
from actsearch.schemas.measures import Measure
from actsearch.schemas.pruners import AutoPruner, Pruner
from actsearch.schemas.samplers import AutoSampler, Sampler
from actsearch.schemas.states import Direction
from actsearch.schemas.values import values_text


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


MOST_PARAMETERS = 100
"""Entries of a list or mapping of names, of which there are fewer."""


class Choices(Schema):
    """A searched set of values."""

    choices: Annotated[list[Scalar], Field(min_length=1, max_length=100)]


# Which alternative of a union a value is meant to be: errors then speak of that one only.


def _searched_kind(value: object) -> str:
    is_set = isinstance(value, Choices) or (isinstance(value, dict) and "choices" in value)
    return "choices" if is_set else "range"


def _hyperparameter_kind(value: object) -> str:
    return _searched_kind(value) if isinstance(value, Range | Choices | dict) else "value"


def _list_kind(value: object) -> str:
    return "list" if isinstance(value, list | tuple) else "word"


def _settings_kind(value: object) -> str:
    return "word" if isinstance(value, str) else "settings"


_RangeOrChoices = Annotated[Range, Tag("range")] | Annotated[Choices, Tag("choices")]
Searched = Annotated[_RangeOrChoices, Discriminator(_searched_kind)]
"""A range or a set of choices."""
Hyperparameter = Annotated[_RangeOrChoices | Annotated[Number, Tag("value")], Discriminator(_hyperparameter_kind)]
"""A range, a set of choices or a fixed number."""


Formula = Annotated[str, Field(min_length=1, max_length=400, pattern=PRINTABLE)]


class ActivationSpec(Schema):
    """An activation: a family with values for its hyperparameters.

    Args:
        family: name in the catalogue (`GET /v1/activations`).
        parameters: values by hyperparameter name; the family's defaults fill in the rest.
        learned: whether the hyperparameters that the family allows to be learned are trained with the weights:
            `fixed` (no), `scalar` (one value a site), `channel` (one a channel); None for the family's own habit.
        expression: for the family `expression`, the function: `max(x, 0) * sigmoid(beta * x)`, with `beta` in
            `parameters`.
    """

    family: Annotated[str, Field(min_length=1, max_length=100)]
    parameters: dict[str, Number] = Field(default_factory=dict, max_length=MOST_PARAMETERS)
    learned: Literal["fixed", "scalar", "channel"] | None = None
    expression: Formula | None = None

    @property
    def label(self) -> str:
        """What people and rankings call the family: its name, or the expression."""
        return self.expression or self.family

    @property
    def text(self) -> str:
        """The activation as one would write it: `leaky_relu(slope=0.12)`."""
        values = values_text(self.parameters)
        if self.expression:
            return f"{self.expression}, {values}" if values else self.expression
        return f"{self.family}({values})" if values else self.family


class FamilyChoice(Schema):
    """A family to search, with its hyperparameters fixed, ranged, chosen or (left out) at the catalogue's ranges.

    Args:
        expression: for the name `expression`, the function, all of whose parameters are given a value or a range.
        depth: for the name `grammar` (expressions that the sampler makes up), the largest number of core units.
        operators: for the name `grammar`, what to make them of; None for every operator.
    """

    name: Annotated[str, Field(min_length=1, max_length=100)]
    parameters: dict[str, Hyperparameter] = Field(default_factory=dict, max_length=MOST_PARAMETERS)
    learned: Literal["fixed", "scalar", "channel"] | None = None
    expression: Formula | None = None
    depth: int | None = None
    operators: Annotated[list[str], Field(max_length=MOST_PARAMETERS)] | None = None


class FamilyTags(Schema):
    """All families that have every one of these tags (`FamilyInfo.tags`), at the catalogue's ranges.

    `{"tag": "smooth"}` is short for `{"tags": ["smooth"]}`; no tags at all mean every family.

    Args:
        tags: all of which a family has.
        since: only families published in this year or later (`FamilyInfo.year`); the classical ones are left out.
    """

    tags: list[str] = Field(default_factory=list, max_length=MOST_PARAMETERS)
    since: Annotated[Integer, Field(ge=1900, le=2100)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _one(cls, value: Any) -> Any:
        if isinstance(value, dict) and "tag" in value and "tags" not in value:
            return {**{k: v for k, v in value.items() if k != "tag"}, "tags": [value["tag"]]}
        return value


def _family_kind(value: object) -> str:
    is_tags = isinstance(value, FamilyTags) or (
        isinstance(value, dict) and bool(value.keys() & {"tag", "tags", "since"})
    )
    return "by_tags" if is_tags else "by_name"


Families = Annotated[
    Annotated[FamilyChoice, Tag("by_name")] | Annotated[FamilyTags, Tag("by_tags")],
    Discriminator(_family_kind),
    BeforeValidator(named),
]
"""Families to search: one by name, or all with some tags."""


class Placement(StrEnum):
    """Whether sites share one choice, one a stage or one a layer."""

    network = "network"
    stage = "stage"
    layer = "layer"


class Constraints(Schema):
    """What a trial must keep to; one that does not is pruned before training and still counts in the budget.

    Args:
        max_parameters: most trainable numbers of the whole network, learned activation parameters included.
    """

    max_parameters: Annotated[Integer, Field(ge=1)] | None = None


SearchedTraining = Literal["learning_rate", "weight_decay", "momentum", "initial_scale"]


class SearchSpace(Schema):
    """What is searched.

    Args:
        families: the families to choose from: by name, by name with their ranges, by tags, or `"all"`. One that is
            both named and tagged is as the name says.
        placement: whether sites share one choice (`network`), one a `stage`, or one a `layer`.
        architecture: architecture parameters to search, by name.
        training: training hyperparameters to search, by name (`learning_rate`, `weight_decay`, `momentum`,
            `initial_scale`).
        constraints: what every trial must keep to.
    """

    families: Annotated[
        Annotated[Literal["all"], Tag("word")]
        | Annotated[list[Families], Field(min_length=1, max_length=1000), Tag("list")],
        Discriminator(_list_kind),
    ] = "all"
    placement: Placement = Placement.network
    architecture: dict[str, Searched] = Field(default_factory=dict, max_length=MOST_PARAMETERS)
    training: dict[SearchedTraining, Searched] = Field(default_factory=dict)
    constraints: Constraints = Constraints()


class Named(Schema):
    """Something chosen by name, with parameters."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    parameters: dict[str, Scalar] = Field(default_factory=dict, max_length=MOST_PARAMETERS)


class TaskChoice(Schema):
    """A task chosen by name, with parameters; those of own data may be lists of columns or words (docs/own-data.md)."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    parameters: dict[str, TaskValue] = Field(default_factory=dict, max_length=MOST_PARAMETERS)


def _task_choice(value: object) -> object:
    """Let a name, or a `Named`, stand for a `TaskChoice`."""
    return value.model_dump() if isinstance(value, Named) else named(value)


Precision = Literal["float32", "bfloat16"]


class Training(Schema):
    """How every trial is trained, unless the search space says otherwise.

    Args:
        epochs: passes over the training part; a pruner may stop a trial earlier.
        batch_size: samples a step.
        optimizer: `adamw`, `adam` or `sgd`.
        learning_rate: step size, > 0.
        weight_decay: decoupled for AdamW, L2 for Adam and SGD; >= 0.
        momentum: SGD only, in [0, 1).
        schedule: `constant`, `cosine` (to zero over `epochs`) or `one_cycle` (up over the first 30 %, then to zero).
        initial_scale: what the initial weights are multiplied with, > 0; 1 keeps the signal from layer to layer.
        gradient_clip: largest gradient norm of a trial; None for no clipping.
        precision: of the networks' inside: `bfloat16` computes matrix products, convolutions and the signals between
            them in bfloat16 (autocast); trained numbers, optimiser, losses and metrics are float32 in either case.
        seed: seed of initial weights and batches, the same for every trial of the job.
    """

    epochs: Annotated[Integer, Field(ge=1, le=100_000)] = 10
    batch_size: Annotated[Integer, Field(ge=1, le=1_000_000)] = 64
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    learning_rate: Annotated[Number, Field(gt=0, le=1000)] = 1e-3
    weight_decay: Annotated[Number, Field(ge=0, le=1000)] = 0.0
    momentum: Annotated[Number, Field(ge=0, lt=1)] = 0.9
    schedule: Literal["constant", "cosine", "one_cycle"] = "constant"
    initial_scale: Annotated[Number, Field(gt=0, le=100)] = 1.0
    gradient_clip: Annotated[Number, Field(gt=0)] | None = None
    precision: Precision = "float32"
    seed: Annotated[Integer, Field(ge=0, lt=2**31)] = 0


class Budget(Schema):
    """What a search may spend; whichever limit is reached first ends it, and trials in training finish.

    Args:
        trials: at most so many are begun; without any other limit exactly so many are finished, whatever the number of
            workers.
        seconds: wall time since the job began to run.
        device_seconds: training time, added up over devices.
        target: value of the objective on the validation part that is good enough.
        patience: trials finished since the last improvement.
        regret_bound: no further trial is expected to improve the objective by more than this (Optuna's regret bound
            terminator; from 20 complete trials on).
    """

    trials: Annotated[Integer, Field(ge=1, le=10_000_000)] = 100
    seconds: Annotated[Number, Field(gt=0)] | None = None
    device_seconds: Annotated[Number, Field(gt=0)] | None = None
    target: Number | None = None
    patience: Annotated[Integer, Field(ge=1)] | None = None
    regret_bound: Annotated[Number, Field(gt=0)] | None = None


class Objective(Schema):
    """What a trial is judged by.

    Args:
        metric: a validation metric of the task (None: its own), or a `Measure` (`latency_ms`, `int8_drop` ...).
        direction: None for the metric's own.
    """

    metric: str | None = None
    direction: Direction | None = None


class Confirmation(Schema):
    """How the search's best are compared with the baseline once the budget is spent (docs/verdict.md).

    Args:
        finalists: how many activations, of different families while there are enough.
        seeds: fresh seeds on which finalists and baseline are trained; fewer than seven can show little.
        most_seeds: how far that is extended where the answer is still open; None for half as many again, `seeds` for
            no extension.
        epochs: of each training; None for as many as a trial of the search.
        level: confidence of intervals and verdict, in [0.5, 1).
        early_stop: whether to look halfway, and to end there if the answer is clear.
    """

    finalists: Annotated[Integer, Field(ge=1, le=20)] = 3
    seeds: Annotated[Integer, Field(ge=2, le=1000)] = 10
    most_seeds: Annotated[Integer, Field(ge=2, le=2000)] | None = None
    epochs: Annotated[Integer, Field(ge=1, le=100_000)] | None = None
    level: Annotated[Number, Field(ge=0.5, lt=1)] = 0.95
    early_stop: bool = True

    @model_validator(mode="after")
    def _extends(self) -> Confirmation:
        if self.most_seeds is not None and self.most_seeds < self.seeds:
            raise ValueError(f"most_seeds ({self.most_seeds}) is below seeds ({self.seeds}); raise it or leave it out")
        return self


_RUNNERS = 4

Label = Annotated[str, Field(min_length=1, max_length=50, pattern=PRINTABLE)]
Labels = Annotated[list[Label], Field(max_length=20), AfterValidator(lambda labels: list(dict.fromkeys(labels)))]
"""Words that jobs are found by; each counts once."""

WORTH_CONFIRMING = 20
"""Trials from which on a search is confirmed unless the request says otherwise."""


class JobRequest(Schema):
    """A search to run: `POST /v1/jobs`.

    Args:
        task: dataset by name, or name with parameters.
        architecture: network by name, or name with parameters.
        space: what is searched.
        baseline: the activation every other is compared with, or its family's name; it is always trial 0. None for the
            one that people use in this architecture (`ArchitectureInfo.baseline`). Stages with a role
            (`ArchitectureInfo.role_baselines`) keep their own: the gates of a recurrent cell stay sigmoids.
        training, budget, objective, sampler, pruner: see their types.
        objectives: instead of `objective`, several: the first is what rankings use, all make the Pareto front; no
            trial is pruned.
        measures: costs of the finished network to record of every complete trial; those among the objectives are.
        confirmation: how the best are compared with the baseline in the end; `off`, or `auto`: with the default values
            where the budget is at least 20 trials (a smaller search would cost less than its confirmation).
        parallelism: how many runners (devices) may work on the job at once; None for 1 where there is a `seed`, so that
            it gives the same search every time, and for 4 where there is none.
        cohort_size: trials trained together on one device; None lets the worker choose.
        priority: higher runs first.
        seed: seed of the sampler. With it, and one runner, the same request gives the same trials; None if that does
            not matter.
        name: for people to find it by.
        labels: words to find it by, with others (`"ablation" in labels`).
        warm_start: jobs to begin from: `off`, `auto` (the last completed ones of the same architecture, task and
            objective), or their ids. They cost no budget and enter no statistics of this job.
    """

    task: Annotated[TaskChoice, BeforeValidator(_task_choice)]
    architecture: Annotated[Named, BeforeValidator(named)] = Named(name="mlp")
    space: SearchSpace = SearchSpace()
    baseline: Annotated[ActivationSpec | None, BeforeValidator(of_family)] = None
    training: Training = Training()
    budget: Budget = Budget()
    objective: Objective = Objective()
    objectives: Annotated[list[Objective], Field(max_length=5)] = Field(default_factory=list)
    measures: Annotated[list[Measure], Field(max_length=len(Measure))] = Field(default_factory=list)
    sampler: Sampler = AutoSampler()
    pruner: Pruner = AutoPruner()
    confirmation: Annotated[
        Annotated[Confirmation, Tag("settings")] | Annotated[Literal["auto", "off"], Tag("word")],
        Discriminator(_settings_kind),
    ] = "auto"
    parallelism: Annotated[Integer, Field(ge=1, le=1000)] | None = None
    cohort_size: Annotated[Integer, Field(ge=1, le=4096)] | None = None
    priority: Annotated[Integer, Field(ge=-1000, le=1000)] = 0
    seed: Annotated[Integer, Field(ge=0, lt=2**31)] | None = None
    name: Annotated[str, Field(max_length=200, pattern=PRINTABLE)] | None = None
    labels: Labels = Field(default_factory=list)
    warm_start: Annotated[
        Annotated[Literal["auto", "off"], Tag("word")]
        | Annotated[list[UUID], Field(min_length=1, max_length=20), Tag("list")],
        Discriminator(_list_kind),
    ] = "off"

    @model_validator(mode="after")
    def _judged_one_way(self) -> JobRequest:
        if self.objectives and self.objective != Objective():
            raise ValueError("give `objective` or `objectives`, not both")
        return self

    @property
    def runners(self) -> int:
        """How many runners may work on the job at once."""
        return self.parallelism or (_RUNNERS if self.seed is None else 1)

    @property
    def sampler_seed(self) -> int:
        """The seed of sampler and pruner."""
        return self.seed or 0

    @property
    def judged_by(self) -> list[Objective]:
        """The objectives, one or several."""
        return self.objectives or [self.objective]

    @property
    def measured(self) -> set[Measure]:
        """The costs to measure of every complete trial."""
        names = {objective.metric for objective in self.judged_by}
        return {*self.measures, *(measure for measure in Measure if measure in names)}

    @property
    def confirmation_wanted(self) -> Confirmation | None:
        """The confirmation that the job gets, if any."""
        if isinstance(self.confirmation, Confirmation):
            return self.confirmation
        worth = self.confirmation == "auto" and self.budget.trials >= WORTH_CONFIRMING
        return Confirmation() if worth else None
