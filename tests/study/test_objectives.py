"""What a request may be judged by."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError

from actsearch.architectures import get_architecture
from actsearch.errors import InvalidRequest
from actsearch.schemas import JobRequest, Measure
from actsearch.study import prepare, prepare_on
from actsearch.tasks import Dataset, get_task

SPACE = {"families": ["relu", "gelu"]}


def test_several_objectives_keep_their_order_and_directions() -> None:
    request = JobRequest.model_validate(
        {
            "task": "wine",
            "space": SPACE,
            "objectives": [{}, {"metric": "latency_ms"}, {"metric": "activation_sparsity"}],
        }
    )
    prepared = prepare(request)
    assert [(o.metric, o.direction) for o in prepared.objectives] == [
        ("accuracy", "maximize"),
        ("latency_ms", "minimize"),
        ("activation_sparsity", "maximize"),
    ]
    assert prepared.objective == prepared.objectives[0]
    assert request.measured == {Measure.latency_ms, Measure.activation_sparsity}


def test_a_direction_may_be_turned() -> None:
    request = JobRequest.model_validate(
        {"task": "wine", "space": SPACE, "objective": {"metric": "dead_fraction", "direction": "maximize"}}
    )
    assert prepare(request).objective.direction == "maximize"


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"objectives": [{}, {"metric": "speed"}]}, "objectives.1.metric"),
        ({"objectives": [{}, {"metric": "accuracy"}]}, "objectives.1.metric"),
        ({"objectives": [{}, {"metric": "latency_ms"}], "pruner": "median"}, "pruner"),
        ({"objective": {"metric": "latency_ms"}, "pruner": "hyperband"}, "pruner"),
        ({"objective": {"metric": "speed"}}, "objective.metric"),
    ],
)
def test_what_cannot_be_judged_is_named(wanted: dict[str, Any], field: str) -> None:
    request = JobRequest.model_validate({"task": "wine", "space": SPACE} | wanted)
    with pytest.raises(InvalidRequest) as caught:
        prepare(request)
    assert [problem.field for problem in caught.value.problems] == [field]


def test_one_or_several_but_not_both() -> None:
    with pytest.raises(ValidationError, match="not both"):
        JobRequest.model_validate(
            {"task": "wine", "objective": {"metric": "loss"}, "objectives": [{"metric": "accuracy"}]}
        )


@pytest.mark.parametrize(
    ("task", "metric", "direction"),
    [
        ("wine", "balanced_accuracy", "maximize"),
        ("wine", "f1_macro", "maximize"),
        ("wine", "roc_auc", "maximize"),
        ("wine", "average_precision", "maximize"),
        ("wine", "log_loss", "minimize"),
        ("diabetes", "mae", "minimize"),
        ("diabetes", "rmse", "minimize"),
        ("diabetes", "r2", "maximize"),
        ("sunspots", "mae", "minimize"),
    ],
)
def test_any_metric_may_be_the_objective(task: str, metric: str, direction: str) -> None:
    request = JobRequest.model_validate({"task": task, "space": SPACE, "objective": {"metric": metric}})
    assert prepare(request).objective.direction == direction


def _on_one_class(metric: str, trials: int) -> None:
    x, y = torch.randn(24, 3), torch.arange(24) % 2
    some, lonely = (x, y), (x, torch.zeros_like(y))
    request = JobRequest.model_validate(
        {"task": "wine", "space": SPACE, "objective": {"metric": metric}, "budget": {"trials": trials}}
    )
    data = Dataset(some, some, lonely, "vector", (3,), 2)
    prepare_on(request, get_task("wine"), get_architecture("mlp"), data)


def test_a_metric_that_means_nothing_on_a_part_that_decides_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="roc_auc is undefined on the test part: class 1 does not occur"):
        _on_one_class("roc_auc", 40)
    _on_one_class("roc_auc", 4)  # without a confirmation the test part decides nothing
    _on_one_class("f1_macro", 40)
