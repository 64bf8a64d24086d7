"""Search spaces: what is suggested lies in the space and means what it says."""

from __future__ import annotations

from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actsearch.activations import families, resolve
from actsearch.schemas import JobRequest, Sampler
from actsearch.search import make_sampler, prepare
from actsearch.space import Suggestion, suggest

optuna.logging.set_verbosity(optuna.logging.WARNING)


def _suggestions(n: int, sampler: str = "random", **request: Any) -> list[Suggestion]:
    prepared = prepare(JobRequest.model_validate({"task": "digits", **request}))
    study = optuna.create_study(direction="maximize", sampler=make_sampler(Sampler(name=sampler), 0, 0))
    found = []
    for value in range(n):
        trial = study.ask()
        found.append(suggest(trial, prepared.space))
        study.tell(trial, value)
    return found


@pytest.mark.parametrize("placement", ["network", "stage", "layer"])
def test_the_whole_catalogue_gives_valid_activations(placement: str) -> None:
    for suggestion in _suggestions(60, space={"placement": placement}):
        assert len(suggestion.activations) == {"network": 1, "stage": 3, "layer": 3}[placement]
        for spec in suggestion.activations.values():
            assert set(resolve(spec).parameters) == set(families()[spec.family].parameters)


@settings(max_examples=25, deadline=None)
@given(low=st.floats(0.001, 0.4), share=st.floats(0, 1), fixed=st.floats(0.1, 3))
def test_ranges_and_fixed_values_are_kept(low: float, share: float, fixed: float) -> None:
    high = low + share * (0.5 - low)
    space = {
        "families": [
            {"name": "leaky_relu", "parameters": {"slope": {"low": low, "high": high, "log": True}}},
            {"name": "elu", "parameters": {"alpha": fixed}},
        ],
        "training": {"learning_rate": {"choices": [0.1, 0.2]}},
    }
    for suggestion in _suggestions(8, space=space):
        spec = suggestion.activations["network"]
        if spec.family == "leaky_relu":
            assert low * (1 - 1e-9) <= spec.parameters["slope"] <= high * (1 + 1e-9)
        if spec.family == "elu":
            assert spec.parameters == {"alpha": fixed}
        assert suggestion.training["learning_rate"] in (0.1, 0.2)


@pytest.mark.parametrize("sampler", ["tpe", "random", "gp"])
def test_every_sampler_works_on_a_conditional_space(sampler: str) -> None:
    space = {
        "families": ["relu", "leaky_relu", "swish_relu_mix"],
        "architecture": {"width": {"low": 8, "high": 64, "log": True}, "norm": {"choices": ["none", "batch"]}},
    }
    found = _suggestions(16, sampler, space=space)
    assert {suggestion.family for suggestion in found} == {"relu", "leaky_relu", "swish_relu_mix"}
    assert all(isinstance(suggestion.architecture["width"], int) for suggestion in found)


def test_a_seed_and_a_trial_number_fix_the_proposal() -> None:
    def first(seed: int, number: int) -> Any:
        study = optuna.create_study(sampler=make_sampler(Sampler(name="random"), seed, number))
        return study.ask().suggest_float("x", 0, 1)

    assert first(3, 5) == first(3, 5)
    assert len({first(3, 5), first(3, 6), first(4, 5)}) == 3


def test_different_families_are_joined_in_order_of_depth() -> None:
    (suggestion,) = _suggestions(1, space={"placement": "layer", "families": ["tanh", "gelu", "elu"]})
    families_in_order = [spec.family for spec in suggestion.activations.values()]
    assert suggestion.family == "+".join(dict.fromkeys(families_in_order))
