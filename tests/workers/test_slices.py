"""What a job's trials are, whatever its time slices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

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


NUMBERS = {"learning_rate": {"low": 1e-4, "high": 1e-1, "log": True}, "weight_decay": {"low": 0, "high": 0.1}}
FAMILIES = ["leaky_relu", {"name": "elu", "parameters": {"alpha": {"low": 0.5, "high": 2, "step": 0.5}}}]


@pytest.mark.parametrize(
    "sampler",
    [
        "random",
        {"name": "tpe", "n_startup_trials": 4},
        {"name": "gp", "n_startup_trials": 4},
        "qmc",
        "cmaes",
        {"name": "nsga2", "population_size": 4},
        {"name": "grid", "points": 2},
    ],
)
def test_one_seed_gives_one_search_however_time_slices_fall(submit: Submit, work: Work, sampler: Any) -> None:
    request = {
        "sampler": sampler,
        "space": {"families": FAMILIES, "training": NUMBERS},
        "budget": {"trials": 13},
        "cohort_size": 4,
        "seed": 3,
    }
    whole, sliced = work(submit(**request)), work(submit(**request), seconds=0.001)  # in one slice; one a cohort
    other = work(submit(**request | {"seed": 4}))

    assert len(whole) == 13
    assert [(t.parameters, t.value) for t in whole] == [(t.parameters, t.value) for t in sliced]
    assert [t.parameters for t in whole[1:]] != [t.parameters for t in other[1:]]


@pytest.mark.parametrize("sampler", ["brute_force", {"name": "grid", "points": 3}])
def test_an_exhaustive_search_ends_with_its_space(submit: Submit, work: Work, sampler: Any) -> None:
    families = [*FAMILIES[1:], "gelu"]  # elu in 4 steps, gelu, and the baseline
    found = work(submit(sampler=sampler, space={"families": families}, budget={"trials": 6}, cohort_size=4))
    assert len({str(t.activations) for t in found}) == 6
    assert {t.state for t in found} == {"complete"}
