"""What a job's trials are, whatever its time slices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

Submit = Callable[..., UUID]
Work = Callable[..., list[Any]]


def test_a_network_over_its_limit_is_pruned_before_training(submit: Submit, work: Work) -> None:
    space = {
        "families": ["gelu"],
        "architecture": {"width": {"choices": [4, 32]}},
        "constraints": {"max_parameters": 1000},
    }
    found = work(submit(space=space, budget={"trials": 12}, sampler="random"))

    assert len(found) == 12
    large = [t for t in found if t.parameters["architecture.width"] == 32]
    assert large
    for trial in found:
        if trial in large:
            assert trial.state == "pruned"
            assert trial.failure is not None
            assert trial.failure.reason == "constraint"
            assert "max_parameters" in trial.failure.detail
            assert trial.value is None
            assert not trial.metrics
        else:
            assert trial.state == "complete"
