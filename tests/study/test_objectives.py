"""What a request may be judged by."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from actsearch.errors import InvalidRequest
from actsearch.schemas import JobRequest, Measure
from actsearch.study import prepare

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
