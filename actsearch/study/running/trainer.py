"""Training suggestions together: what all networks of a search share."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from torch import nn

from actsearch.architectures import Architecture
from actsearch.errors import TrainingError
from actsearch.schemas import FailureReason, JobRequest, Scalar, Training
from actsearch.space import Suggestion
from actsearch.study.checking.prepare import input_spec
from actsearch.study.ledger import Claim
from actsearch.tasks import Dataset, Task
from actsearch.tasks.parts import sample_count
from actsearch.training import (
    Candidate,
    Cohort,
    OnComplete,
    OnRung,
    OnStep,
    Plan,
    TrainingOutcome,
    cohort_size,
    train,
    why_too_large,
)

KeepNetwork = Callable[[Claim, nn.Module], None]
"""Called with each network that was trained to its end, before its run is finished; on the device, not to be kept."""


def keep_none(claim: Claim, module: nn.Module) -> None:
    """Keep no network."""


@dataclass
class Trainer:
    """What all networks of a search share.

    Args:
        architecture: by name, or one that is not in the catalogue.
        keep_network: for who wants the networks themselves.
        fits: the most networks that have not run out of memory together; halved when they do.
    """

    request: JobRequest
    architecture: str | Architecture
    task: Task
    dataset: Dataset
    device: str
    keep_network: KeepNetwork = keep_none
    fits: float = math.inf
    _too_large: dict[str, str | None] = field(default_factory=dict, init=False)

    def size_for(self, searched: Mapping[str, Scalar], limit: int) -> int:
        """How many networks to train together, at most `limit`: the request's word, else what suits the device.

        Args:
            searched: values of the architecture parameters that are searched.
        """
        limit = int(min(limit, self.fits))
        if self._why_too_large(searched):
            return 1
        if self.request.cohort_size is not None:
            return min(limit, self.request.cohort_size)
        try:
            return cohort_size(
                self.architecture,
                {**self._parameters, **searched},
                input_spec(self.dataset),
                batch_size=self._batch_size,
                device=self.device,
                limit=limit,
                precision=self.request.training.precision,
                differentiates_inputs=self.task.kind == "pde",
            )
        except Exception:  # a network that cannot be built without memory, or not at all: training says so
            return 1

    def _why_too_large(self, searched: Mapping[str, Scalar]) -> str | None:
        key = repr(sorted(searched.items()))
        if key not in self._too_large:
            self._too_large[key] = self._compare_memory(searched)
        return self._too_large[key]

    def _compare_memory(self, searched: Mapping[str, Scalar]) -> str | None:
        try:
            return why_too_large(
                self.architecture,
                {**self._parameters, **searched},
                input_spec(self.dataset),
                batch_size=self._batch_size,
                device=self.device,
                precision=self.request.training.precision,
            )
        except Exception:  # as above
            return None

    @property
    def _batch_size(self) -> int:
        return min(self.request.training.batch_size, sample_count(self.dataset.train))

    def train(
        self,
        suggestions: Sequence[Suggestion],
        training: Training,
        on_rung: OnRung,
        *,
        on_complete: OnComplete,
        on_step: OnStep,
    ) -> list[TrainingOutcome]:
        """Train suggestions of one shape as a cohort; see `actsearch.training.train`.

        Raises:
            TrainingError: all of them fail; a network that the device has not the memory for is not tried.
        """
        if too_large := self._why_too_large(suggestions[0].architecture):
            raise TrainingError(FailureReason.out_of_memory, too_large)
        cohort = Cohort(
            self.architecture,
            {**self._parameters, **suggestions[0].architecture},
            [self._candidate(suggestion) for suggestion in suggestions],
        )
        judged_by = [objective.metric for objective in self.request.judged_by]
        plan = Plan(training, device=self.device, judged_by=judged_by)
        return train(cohort, self.task, self.dataset, plan, on_rung, on_complete=on_complete, on_step=on_step)

    @property
    def _parameters(self) -> Mapping[str, Scalar]:
        return self.request.architecture.parameters

    def _candidate(self, suggestion: Suggestion) -> Candidate:
        """What the engine is to train; what is not searched is the request's."""

        def chosen(name: str) -> float:
            return float(suggestion.training.get(name, getattr(self.request.training, name)))

        names = ("learning_rate", "weight_decay", "momentum", "initial_scale")
        return Candidate(suggestion.activations, *map(chosen, names))
