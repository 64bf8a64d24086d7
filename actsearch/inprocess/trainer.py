"""Training suggestions in this process: together where that works, alone where it does not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from actsearch.architectures import Architecture
from actsearch.errors import TrainingError
from actsearch.measures import measure
from actsearch.schemas import JobRequest, Training
from actsearch.space import Suggestion
from actsearch.study import input_spec
from actsearch.tasks import Dataset, Task
from actsearch.tasks.parts import sample_count
from actsearch.training import Candidate, Cohort, OnRung, Outcome, Plan, Rung, cohort_size, train


@dataclass(frozen=True)
class Trained:
    """What became of a suggestion; `module` is its network, on the CPU, where it was trained to its end."""

    outcome: Outcome
    module: nn.Module | None


@dataclass
class Trainer:
    """What all networks of a search share.

    Args:
        at_once: how many are trained together; smaller after what failed together.
    """

    request: JobRequest
    architecture: Architecture
    task: Task
    dataset: Dataset
    device: str
    at_once: int

    def train(self, suggestions: Sequence[Suggestion], training: Training, on_rung: OnRung) -> list[Trained]:
        """What became of each suggestion. The places that `on_rung` sees are those in `suggestions`.

        What fails together is tried again in halves where memory ran out, and one by one where stacking is at fault.
        """
        trained: list[Trained] = []
        while (start := len(trained)) < len(suggestions):
            part = suggestions[start : start + self.at_once]
            try:
                trained += self._together(part, training, _shifted(on_rung, start))
            except TrainingError as error:
                self.at_once = max(1, len(part) // 2) if error.reason == "out_of_memory" else 1
        return trained

    def _together(self, part: Sequence[Suggestion], training: Training, on_rung: OnRung) -> list[Trained]:
        modules: dict[int, nn.Module] = {}

        def on_complete(place: int, module: nn.Module) -> Mapping[str, object]:
            modules[place] = deepcopy(module).cpu()
            return self._costs(module)

        cohort = Cohort(self.architecture, {}, [_candidate(self.request, suggestion) for suggestion in part])
        plan = Plan(training, device=self.device, judged_by=[o.metric for o in self.request.judged_by])
        outcomes = train(cohort, self.task, self.dataset, plan, on_rung, on_complete=on_complete)
        return [Trained(outcome, modules.get(place)) for place, outcome in enumerate(outcomes)]

    def _costs(self, module: nn.Module) -> dict[str, Any]:
        wanted, metric = self.request.measured, self.request.judged_by[0].metric
        if not wanted:
            return {}
        judged = metric if metric in self.task.directions else None
        try:
            return dict(measure(wanted, module, self.task, self.dataset, device=self.device, metric=judged))
        except Exception as error:  # a network that cannot be quantised, say
            return {"measure_error": f"{type(error).__name__}: {error}"}


def most_together(request: JobRequest, architecture: Architecture, dataset: Dataset, device: str, limit: int) -> int:
    """How many networks to train together: the request's word, else what suits device and network."""
    if request.cohort_size is not None:
        return request.cohort_size
    try:
        return cohort_size(
            architecture,
            {},
            input_spec(dataset),
            batch_size=min(request.training.batch_size, sample_count(dataset.train)),
            device=device,
            limit=limit,
            precision=request.training.precision,
        )
    except Exception:  # a network that cannot be built without memory: train it plainly
        return 1


def _shifted(on_rung: OnRung, start: int) -> OnRung:
    return lambda rung: on_rung(replace(rung, positions=[start + place for place in rung.positions]))


def everybody_goes_on(rung: Rung) -> list[bool]:
    """An `on_rung` that prunes nothing."""
    return [True] * len(rung.positions)


def _candidate(request: JobRequest, suggestion: Suggestion) -> Candidate:
    def chosen(name: str) -> float:
        return float(suggestion.training.get(name, getattr(request.training, name)))

    names = ("learning_rate", "weight_decay", "momentum", "initial_scale")
    return Candidate(suggestion.activations, *map(chosen, names))
