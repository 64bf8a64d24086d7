"""Which metrics a training measures when, and what stands where one means nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from actsearch.schemas import ActivationSpec, Direction, Training
from actsearch.tasks.declaration import Dataset, Part, Task
from actsearch.tasks.kinds import task_of_kind
from actsearch.training import Candidate, Cohort, Plan, Rung, TrainingOutcome, train


def _dataset() -> Dataset:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(96, 5, generator=generator)
    y = (x[:, 0] + x[:, 1] > 0).long()
    return Dataset((x[:64], y[:64]), (x[64:80], y[64:80]), (x[80:], y[80:]), "vector", (5,), 2)


def _numbers(part: Part, *, constant: bool = False) -> Part:
    return part[0], torch.full((len(part[0]), 1), 1.0) if constant else part[0][:, :1].clone()


def _load() -> Dataset:
    raise NotImplementedError


CLASSES = task_of_kind("classification", "toy", "", _load, source="random numbers")
NUMBERS = task_of_kind("regression", "toy", "", _load, source="random numbers")


def trained(task: Task, dataset: Dataset, *judged_by: str, size: int = 2) -> tuple[list[TrainingOutcome], list[Rung]]:
    """`size` networks after three epochs, and what was reported of them."""
    specs = [ActivationSpec(family=name) for name in ("relu", "tanh")][:size]
    cohort = Cohort("mlp", {"width": 8, "depth": 1}, [Candidate({"network": spec}, 0.01, 0.0, 0.9) for spec in specs])
    rungs: list[Rung] = []
    plan = Plan(Training(epochs=3, batch_size=16), judged_by=judged_by)
    outcomes = train(cohort, task, dataset, plan, lambda r: (rungs.append(r), [True] * len(r.positions))[1])
    return outcomes, rungs


@pytest.mark.parametrize("size", [1, 2])
def test_final_metrics_are_measured_at_the_end_and_where_they_judge(size: int) -> None:
    outcomes, rungs = trained(CLASSES, _dataset(), "roc_auc", size=size)
    assert "validation_roc_auc" in rungs[0].metrics[0]
    assert "validation_f1_macro" not in rungs[-1].metrics[0]
    assert set(CLASSES.directions) == {n.removeprefix("test_") for n in outcomes[0].metrics if n.startswith("test_")}
    assert {"train_accuracy", "validation_f1_macro"} <= set(outcomes[0].metrics)


def test_the_metric_of_the_trained_network_is_the_reference_s() -> None:
    data, networks = _dataset(), {}
    cohort = Cohort("mlp", {}, [Candidate({"network": ActivationSpec(family="relu")}, 0.01, 0.0, 0.9)] * 2)
    outcomes = train(
        cohort,
        CLASSES,
        data,
        Plan(Training(epochs=1)),
        lambda rung: [True] * 2,
        on_complete=lambda place, module: networks.update({place: module(data.validation[0]).detach()}) or {},
    )
    for place, outcome in enumerate(outcomes):
        expected = roc_auc_score(data.validation[1], networks[place].diff(dim=1)[:, 0])
        assert outcome.metrics["validation_roc_auc"] == pytest.approx(expected, abs=1e-6)


def test_the_r2_of_a_constant_target_is_null_with_the_reason() -> None:
    data = _dataset()
    parts = (_numbers(data.train), _numbers(data.validation, constant=True), _numbers(data.test or ()))
    outcomes, rungs = trained(NUMBERS, Dataset(*parts, "vector", (5,), 1))
    for outcome in outcomes:
        assert outcome.state == "complete"
        assert outcome.metrics["validation_r2"] is None
        assert outcome.metrics["undefined_metrics"] == {"validation_r2": "the targets are constant"}
        assert isinstance(outcome.metrics["test_r2"], float)
    assert "validation_r2" not in rungs[0].metrics[0]


def test_the_auc_of_one_class_is_null_with_the_reason() -> None:
    data = _dataset()
    lonely = data.validation[0], torch.zeros_like(data.validation[1])
    outcomes, _ = trained(CLASSES, replace(data, validation=lonely))
    reasons = outcomes[0].metrics["undefined_metrics"]
    assert outcomes[0].state == "complete"
    assert reasons == {f"validation_{n}": "class 1 does not occur" for n in ("roc_auc", "average_precision")}


def test_a_users_metric_that_is_nan_costs_no_trial_unless_it_judges() -> None:
    def metrics(outputs: Tensor, part: Part) -> dict[str, Tensor]:
        return {**CLASSES.metrics(outputs, part), "odd": outputs.sum() * torch.nan}

    directions = {**CLASSES.directions, "odd": Direction.minimize}
    task = replace(CLASSES, metrics=metrics, directions=directions, optional=("odd",))
    beside, _ = trained(task, _dataset(), "accuracy")
    judging, _ = trained(task, _dataset(), "odd")
    assert [outcome.state for outcome in beside] == ["complete"] * 2
    assert beside[0].metrics["validation_odd"] is None
    assert beside[0].metrics["undefined_metrics"] == {"validation_odd": "it came out as nan"}
    assert [outcome.reason for outcome in judging] == ["diverged"] * 2


def test_without_a_test_part_there_are_no_test_metrics() -> None:
    outcomes, _ = trained(CLASSES, replace(_dataset(), test=None))
    assert outcomes[0].state == "complete"
    assert not [name for name in outcomes[0].metrics if name.startswith("test_")]
