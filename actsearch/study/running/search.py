"""What the loop works with."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import optuna
from optuna.samplers import BaseSampler, RandomSampler

from actsearch.schemas import JobRequest, ObjectiveInfo
from actsearch.study.checking.prepare import PreparedJob
from actsearch.study.ledger import Claim, Ledger
from actsearch.study.proposing.pruners import make_pruner
from actsearch.study.proposing.samplers import make_sampler
from actsearch.study.proposing.shape import Source
from actsearch.study.proposing.warm_start import sources_of
from actsearch.study.running.trainer import Trainer
from actsearch.tasks import Task

_DOUBLED = 20  # times, at most


class Control(Protocol):
    """What is asked of the loop from outside."""

    @property
    def draining(self) -> bool:
        """Begin no further cohort."""

    @property
    def given_up(self) -> bool:
        """Stop the present cohort at its next rung."""

    def stepped(self, another: bool) -> None:
        """A training step is done; `another` follows at once."""

    def moved(self) -> None:
        """Something else is done: trials proposed, a rung reported, a network measured."""


class NoControl:
    """Nobody asks for anything."""

    draining = False
    given_up = False

    def stepped(self, another: bool) -> None:
        """See `Control`."""

    def moved(self) -> None:
        """See `Control`."""


def compared_by(prepared: PreparedJob, task: Task) -> ObjectiveInfo:
    """What finalists and baseline are compared by: the first objective, or the task's own metric if that is a cost.

    A cost is the same on every seed and part of the data; it stands beside the verdict.
    """
    if prepared.objective.metric in task.directions:
        return prepared.objective
    return ObjectiveInfo(metric=task.metric, direction=task.directions[task.metric])


@dataclass
class Slice:
    """The time that a runner may have a device before others get it.

    Args:
        seconds: its length.
    """

    seconds: float = math.inf

    def __post_init__(self) -> None:
        self._began = self._cohort_began = time.monotonic()

    def begin_cohort(self) -> None:
        """A cohort begins to train."""
        self._cohort_began = time.monotonic()

    @property
    def is_over(self) -> bool:
        """Whether it is over."""
        return time.monotonic() >= self._began + self.seconds

    def has_lasted(self, released: int) -> bool:
        """Whether the cohort has trained so long that it is to lose that, where others wait.

        Each time it does, it gets twice as long the next time, so that it will end.

        Args:
            released: how often the cohort was given back before.
        """
        return time.monotonic() >= self._cohort_began + self.seconds * 2.0 ** min(released, _DOUBLED)


@dataclass
class Search:
    """A search under way, as one runner sees it."""

    ledger: Ledger
    prepared: PreparedJob
    trainer: Trainer
    control: Control
    slice: Slice = field(default_factory=Slice)

    @property
    def request(self) -> JobRequest:
        """The job's request."""
        return self.prepared.request

    @cached_property
    def sources(self) -> list[Source]:
        """What the jobs that this one learns from found, in this job's space."""
        return sources_of(self.prepared, self.ledger.memories())

    @cached_property
    def is_reported(self) -> bool:
        """Whether Optuna is told of rungs: not with several objectives, nor with one that is known at the end only."""
        first, *others = self.prepared.objectives
        return not others and first.metric in self.trainer.task.directions

    @cached_property
    def compared_by(self) -> ObjectiveInfo:
        """What finalists and baseline are compared by: see `compared_by`."""
        return compared_by(self.prepared, self.trainer.task)

    def proposing_study(self, cohort: int) -> optuna.Study:
        """The study with the sampler that proposes the cohort whose first trial has this number."""
        request, space = self.request, self.prepared.space
        return self._study(make_sampler(request.sampler, request.sampler_seed, cohort, space, self.sources))

    @cached_property
    def proposed_study(self) -> optuna.Study:
        """The study for trials that have been proposed already: nothing is asked of its sampler."""
        return self._study(RandomSampler())

    def _study(self, sampler: BaseSampler) -> optuna.Study:
        pruner = make_pruner(self.request.pruner, self.request.training.epochs, self.request.sampler_seed)
        ledger = self.ledger
        return optuna.load_study(study_name=ledger.study_name, storage=ledger.storage, sampler=sampler, pruner=pruner)

    def trial_of(self, claim: Claim, study: optuna.Study) -> optuna.Trial:
        """A claimed trial, ready to be suggested values to: what `study.ask` returns for one that it creates itself."""
        # As `ask` does. Else samplers would see the study as it was at its first trial, not what was proposed since.
        study._thread_local.cached_all_trials = None
        return optuna.Trial(study, claim.id)
