"""A stack of trials, member by member, against the same trials alone: every answer, before and after some have left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch

from actsearch.architectures import InputSpec
from actsearch.schemas import Training
from actsearch.tasks.declaration import Dataset, Part, Predict, Task
from actsearch.training import Candidate, build_module, stack
from actsearch.training.plain import PlainTrial
from actsearch.training.stack import StackedTrials

CPU = torch.device("cpu")
# In layers of the engine's own, and under vmap: the first for chains it knows, the second for all others.
NETWORKS = [
    ("mlp", {"depth": 2, "width": 6}),
    ("convnet", {"channels": 3, "stages": 1, "layers": 1, "norm": "batch"}),
    ("resnet", {"channels": 2}),
]


def cohort(candidate: Any) -> list[Candidate]:
    """Two families beside each other with parameters of their own, and one without any."""
    return [
        candidate("relu", rate=0.05),
        candidate("prelu", rate=0.1, decay=0.2, slope=0.3),
        candidate("prelu", rate=0.02, slope=0.1, momentum=0.0),
        candidate("elu", rate=0.05, alpha=0.7, decay=0.1),
    ]


class Both:
    """The same candidates as a stack and alone."""

    def __init__(
        self, candidates: Sequence[Candidate], network: tuple[str, dict[str, Any]], task: Task, **training: Any
    ) -> None:
        wanted = Training(**{"epochs": 1, "optimizer": "sgd", "batch_size": 16, "seed": 5} | training)
        spec = InputSpec("image", (1, 6, 6), 4)
        built = [[build_module(*network, spec, c.activations, 5) for c in candidates] for _ in range(2)]
        self.stack = StackedTrials(built[0], candidates, task, wanted, device=CPU, piece=30)
        pairs = zip(built[1], candidates, strict=True)
        self.alone = [PlainTrial(module, c, task, wanted, piece=30) for module, c in pairs]

    def step(self, batch: Part, factor: float = 1.0) -> None:
        """One step of all; their losses are the same."""
        losses = self.stack.step(batch, factor)
        close(losses, torch.cat([one.step(batch, factor) for one in self.alone]))

    def keep(self, rows: list[int]) -> None:
        """Go on with some."""
        self.stack.keep(rows)
        self.alone = [self.alone[row] for row in rows]

    def check(self, part: Part) -> None:
        """Every answer of the stack is that of its members."""
        for ask in (
            lambda trials: trials.evaluate(part),
            lambda trials: trials.largest_slopes(part),
            lambda trials: trials.near_zero(part, 0.2),
            lambda trials: dict(zip("fl", trials.gradient_norms(part), strict=True)),
        ):
            found, wanted = ask(self.stack), [ask(one) for one in self.alone]
            assert found.keys() == wanted[0].keys()
            for name, value in found.items():
                close(value, torch.cat([one[name] for one in wanted]), name)
        assert self.stack.parameter_counts() == [one.parameter_counts()[0] for one in self.alone]
        for row, one in enumerate(self.alone):
            mine, theirs = self.stack.module(row), one.module(0)
            assert not mine.training
            close(mine(part[0]), theirs(part[0]))
            for (name, value), other in zip(mine.named_parameters(), theirs.parameters(), strict=True):
                close(value, other, name)
            for (name, value), other in zip(mine.named_buffers(), theirs.buffers(), strict=True):
                close(value.float(), other.float(), name)


def close(found: torch.Tensor, wanted: torch.Tensor, name: str = "") -> None:
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5, msg=lambda text: f"{name}: {text}")


@pytest.mark.parametrize("network", NETWORKS, ids=lambda n: n[0])
@pytest.mark.parametrize("training", [{}, {"optimizer": "adamw", "gradient_clip": 0.5}], ids=["sgd", "clipped adamw"])
def test_a_stack_answers_as_its_members_do(
    network: Any, training: dict[str, Any], candidate: Any, toy_task: Task, toy_dataset: Dataset
) -> None:
    both = Both(cohort(candidate), network, toy_task, **training)
    part = tuple(value[:70] for value in toy_dataset.validation)  # in three pieces, of which the last is shorter
    both.check(part)
    x, y = toy_dataset.train
    for number in range(3):
        both.step((x[16 * number : 16 * (number + 1)], y[16 * number : 16 * (number + 1)]), factor=1 / (1 + number))
        both.check(part)
    both.keep([3, 1])
    both.check(part)
    for number in range(3, 5):
        both.step((x[16 * number : 16 * (number + 1)], y[16 * number : 16 * (number + 1)]))
    both.check(part)
    both.keep([1])
    both.step((x[:16], y[:16]))
    both.check(part)


@pytest.mark.parametrize("at_once", [1, 3 * 70 * 4, 2**23], ids=["one", "three", "all"])
def test_final_metrics_are_the_same_however_many_are_computed_at_once(
    at_once: int, candidate: Any, toy_task: Task, toy_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack, "_METRIC_NUMBERS", at_once)
    task = replace(toy_task, final_metrics={"median": lambda outputs, part: outputs.median()})
    both = Both(cohort(candidate), NETWORKS[0], task)
    part = tuple(value[:70] for value in toy_dataset.validation)
    found = both.stack.evaluate(part, ["median"])
    assert "median" in found
    for name, value in found.items():
        close(value, torch.cat([one.evaluate(part, ["median"])[name] for one in both.alone]), name)


@pytest.mark.parametrize("network", NETWORKS, ids=lambda n: n[0])
def test_a_loss_may_ask_for_outputs_on_other_inputs(
    network: Any, candidate: Any, toy_task: Task, toy_dataset: Dataset
) -> None:
    def smooth(predict: Predict, batch: Part) -> torch.Tensor:
        x = batch[0]
        return toy_task.loss(predict, batch) + (predict(x) - predict(x + 0.1)).square().mean()

    both = Both(cohort(candidate), network, replace(toy_task, loss=smooth))
    for _ in range(2):
        both.step(tuple(value[:16] for value in toy_dataset.train))
    both.check(tuple(value[:70] for value in toy_dataset.validation))


@pytest.mark.parametrize("network", NETWORKS, ids=lambda n: n[0])
def test_a_tasks_own_stacked_loss_gets_the_outputs_on_the_batch(
    network: Any, candidate: Any, toy_task: Task, toy_dataset: Dataset
) -> None:
    def stacked(outputs: torch.Tensor, batch: Part) -> torch.Tensor:
        return torch.stack([toy_task.loss(lambda _, y=y: y, batch) for y in outputs])

    task = replace(toy_task, stacked_loss=stacked)
    both = Both(cohort(candidate), network, task)
    both.step(tuple(value[:16] for value in toy_dataset.train))
    both.check(tuple(value[:70] for value in toy_dataset.validation))


def test_a_stack_may_be_of_one(candidate: Any, toy_task: Task, toy_dataset: Dataset) -> None:
    both = Both([candidate("elu", alpha=0.7)], NETWORKS[0], toy_task)
    both.step(tuple(value[:16] for value in toy_dataset.train))
    both.check(tuple(value[:70] for value in toy_dataset.validation))


def test_under_vmap_signals_are_as_coarse_as_alone(candidate: Any, toy_task: Task, toy_dataset: Dataset) -> None:
    both = Both(cohort(candidate), NETWORKS[2], toy_task, precision="bfloat16")
    part = tuple(value[:70] for value in toy_dataset.validation)
    exact = Both(cohort(candidate), NETWORKS[2], toy_task)
    found, wanted, fine = (
        both.stack.evaluate(part),
        [one.evaluate(part) for one in both.alone],
        exact.stack.evaluate(part),
    )
    alone = torch.cat([one["loss"] for one in wanted])
    assert (found["loss"] - alone).abs().max() < 0.3 * (fine["loss"] - alone).abs().max()


def test_a_clip_bounds_a_step(candidate: Any, toy_task: Task, toy_dataset: Dataset) -> None:
    candidates = [candidate("relu", rate=0.1), candidate("tanh", rate=0.1)]
    batch = tuple(value[:16] for value in toy_dataset.train)
    for clip, longest in ((None, None), (1e-3, 1e-4)):
        both = Both(candidates, NETWORKS[0], toy_task, gradient_clip=clip)
        before = [flat(both.stack.module(row)) for row in range(2)]
        both.step(batch)
        moved = [(flat(both.stack.module(row)) - before[row]).norm().item() for row in range(2)]
        assert moved == pytest.approx([longest] * 2, rel=1e-2) if longest else min(moved) > 1e-3


def flat(module: torch.nn.Module) -> torch.Tensor:
    """All trained numbers in a row."""
    return torch.cat([value.detach().flatten() for value in module.parameters()])
