"""A small classification task with image inputs, and short ways to train on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from actsearch.schemas import ActivationSpec, Direction, Training
from actsearch.tasks.declaration import Dataset, Part, Predict, Task
from actsearch.training import Candidate, Cohort, Plan, Rung, TrainingOutcome, train

# Tests run in several processes: more threads each would fight over the cores.
torch.set_num_threads(1)


DEVICE = "cuda:0" if torch.cuda.is_available() else "cpu"


@pytest.fixture(scope="session")
def device() -> str:
    """What training runs on here: a GPU where there is one."""
    return DEVICE


def _loss(predict: Predict, batch: Part) -> Tensor:
    return F.cross_entropy(predict(batch[0]), batch[1])


def _metrics(outputs: Tensor, part: Part) -> dict[str, Tensor]:
    return {"loss": F.cross_entropy(outputs, part[1]), "accuracy": (outputs.argmax(-1) == part[1]).float().mean()}


def _dataset() -> Dataset:
    generator = torch.Generator().manual_seed(3)
    centres = torch.randn(4, 1, 6, 6, generator=generator)
    classes = torch.randint(0, 4, (330,), generator=generator)
    inputs = centres[classes] + torch.randn(330, 1, 6, 6, generator=generator)
    parts = [(inputs[a:b], classes[a:b]) for a, b in ((0, 170), (170, 250), (250, 330))]
    return Dataset(*parts, input_kind="image", input_shape=(1, 6, 6), outputs=4)


@pytest.fixture(scope="session")
def toy_dataset() -> Dataset:
    """Four noisy patterns of 6 x 6 pixels; 170 training samples, so that batches of 16 leave a rest."""
    return _dataset()


@pytest.fixture(scope="session")
def toy_task() -> Task:
    """Classification with cross entropy."""
    directions = {"loss": Direction.minimize, "accuracy": Direction.maximize}
    return Task("toy", "", "classification", _dataset, _loss, _metrics, "accuracy", directions, "random numbers")


@dataclass
class Trained:
    """What came of a cohort: outcomes, and for each place the metrics reported, by epoch."""

    outcomes: list[TrainingOutcome]
    curves: dict[int, dict[int, Mapping[str, float]]] = field(default_factory=dict)


@pytest.fixture(scope="session")
def train_toy(toy_task: Task, toy_dataset: Dataset) -> Callable[..., Trained]:
    """`train_toy(candidates, architecture=..., parameters=..., keep=lambda epoch, place: bool, **training)`."""

    def run(
        candidates: Sequence[Candidate],
        architecture: str = "mlp",
        parameters: Mapping[str, Any] | None = None,
        keep: Callable[[int, int], bool] = lambda epoch, place: True,
        report_every: int = 1,
        **training: Any,
    ) -> Trained:
        trained = Trained([])

        def on_rung(rung: Rung) -> list[bool]:
            for place, metrics in zip(rung.positions, rung.metrics, strict=True):
                trained.curves.setdefault(place, {})[rung.epoch] = metrics
            return [keep(rung.epoch, place) for place in rung.positions]

        plan = Plan(Training(**{"epochs": 3, "batch_size": 16, "seed": 5} | training), DEVICE, report_every)
        cohort = Cohort(architecture, parameters or {"depth": 2, "width": 12}, candidates)
        trained.outcomes = train(cohort, toy_task, toy_dataset, plan, on_rung)
        return trained

    return run


@pytest.fixture(scope="session")
def candidate() -> Callable[..., Candidate]:
    """`candidate("elu", rate=..., decay=..., momentum=..., **parameters)` with one activation everywhere."""

    def make(
        family: str,
        *,
        rate: float = 0.01,
        decay: float = 0.0,
        momentum: float = 0.9,
        learned: Any = None,
        scale: float = 1.0,
        **parameters: float,
    ) -> Candidate:
        spec = ActivationSpec(family=family, parameters=parameters, learned=learned)
        return Candidate({"network": spec}, rate, decay, momentum, scale)

    return make
