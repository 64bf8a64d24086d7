"""Search spaces: what is suggested lies in the space and means what it says."""

from __future__ import annotations

from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actsearch.activations import distinct_families, families, resolve
from actsearch.schemas import JobRequest
from actsearch.schemas.samplers import RandomSampler
from actsearch.space import Suggestion, suggest
from actsearch.study import make_sampler, prepare, violations
from actsearch.study.checking.constraints import parameter_count

optuna.logging.set_verbosity(optuna.logging.WARNING)


def _suggestions(n: int, sampler: str = "random", **request: Any) -> list[Suggestion]:
    prepared = prepare(JobRequest.model_validate({"task": "digits", "sampler": sampler, **request}))
    study = optuna.create_study(direction="maximize", sampler=make_sampler(prepared.request.sampler, 0, 0))
    found = []
    for value in range(n):
        trial = study.ask()
        found.append(suggest(trial, prepared.space))
        study.tell(trial, value)
    return found


@pytest.mark.parametrize("sampler", ["tpe", "random", "shape", "grid"])
@pytest.mark.parametrize("knots", [{"low": 5, "high": 32}, {"choices": [5, 16, 32]}])
def test_a_whole_number_decides_which_others_are_in_use(sampler: str, knots: dict[str, Any]) -> None:
    choice = {"name": "spline", "parameters": {"knots": knots, "c20": 0.5, "c2": {"low": -1, "high": 1}}}
    baseline = {"family": "spline", "parameters": {"knots": 16}}
    counts = set()
    request = {"space": {"families": [choice]}, "baseline": baseline, "budget": {"trials": 12}}
    for suggestion in _suggestions(12, sampler, **request):
        spec = resolve(suggestion.activations["network"])
        counts.add(int(spec.parameters["knots"]))
        assert len(spec.parameters) == 2 + spec.parameters["knots"]
        assert spec.parameters.get("c20", 0.5) == 0.5
    assert len(counts) > 1
    assert counts <= set(range(5, 33))


@pytest.mark.parametrize("placement", ["network", "stage", "layer"])
def test_the_whole_catalogue_gives_valid_activations(placement: str) -> None:
    for suggestion in _suggestions(60, space={"placement": placement}):
        assert len(suggestion.activations) == {"network": 1, "stage": 3, "layer": 3}[placement]
        for spec in suggestion.activations.values():
            assert set(resolve(spec).parameters) == set(families()[spec.family].used(spec.parameters))


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


@pytest.mark.parametrize("sampler", ["tpe", "random"])
@pytest.mark.parametrize("placement", ["network", "layer"])
def test_expressions_are_searched_like_families(sampler: str, placement: str) -> None:
    space = {
        "placement": placement,
        "families": [
            "relu",
            {"name": "expression", "expression": "x*sigmoid( b*x )", "parameters": {"b": {"low": 0.5, "high": 2}}},
            {"name": "expression", "expression": "sin(w * x)", "parameters": {"w": 3}, "learned": "scalar"},
            {"name": "grammar", "depth": 2, "learned": "channel"},
        ],
    }
    found = [spec for suggestion in _suggestions(40, sampler, space=space) for spec in suggestion.activations.values()]
    assert all(resolve(spec).expression == spec.expression for spec in found)
    by_text = {spec.label: spec for spec in found}
    assert 0.5 <= by_text["x * sigmoid(b * x)"].parameters["b"] <= 2
    assert by_text["sin(w * x)"].parameters == {"w": 3}
    assert by_text["sin(w * x)"].learned == "scalar"
    made_up = by_text.keys() - {"relu", "x * sigmoid(b * x)", "sin(w * x)"}
    assert len(made_up) >= 4
    assert all(by_text[text].family == "expression" for text in made_up)


def test_a_seed_and_a_trial_number_fix_the_proposal() -> None:
    def first(seed: int, number: int) -> Any:
        study = optuna.create_study(sampler=make_sampler(RandomSampler(), seed, number))
        return study.ask().suggest_float("x", 0, 1)

    assert first(3, 5) == first(3, 5)
    assert len({first(3, 5), first(3, 6), first(4, 5)}) == 3


def test_different_families_are_joined_in_order_of_depth() -> None:
    (suggestion,) = _suggestions(1, space={"placement": "layer", "families": ["tanh", "gelu", "elu"]})
    families_in_order = [spec.family for spec in suggestion.activations.values()]
    assert suggestion.family == "+".join(dict.fromkeys(families_in_order))


def names(*families_: Any) -> set[str]:
    space = {"families": list(families_)}
    return set(prepare(JobRequest.model_validate({"task": "digits", "space": space})).space.families)


def test_families_by_tag_are_those_that_have_all_of_them() -> None:
    with_both = {n for n, f in distinct_families().items() if f.smooth and f.bounded}
    assert names({"tags": ["smooth", "bounded"]}) == with_both | {"relu"}
    assert names({"tag": "cheap"}) == {n for n, f in distinct_families().items() if f.cost == "cheap"} | {"relu"}
    assert names({"tags": []}) == set(distinct_families())


def test_families_by_year() -> None:
    recent = names({"since": 2025}) - {"relu"}  # the baseline is always there
    assert {"golu", "staf", "react"} <= recent
    assert all((distinct_families()[name].year or 0) >= 2025 for name in recent)
    assert names({"since": 2025, "tags": ["bounded"]}) - {"relu"} == {
        n for n in recent if distinct_families()[n].bounded
    }
    assert "tanh" not in names({"since": 1900})  # classical: its reference names no year


@pytest.mark.parametrize("first", [True, False])
def test_a_named_family_keeps_its_ranges_beside_its_tag(first: bool) -> None:
    named = {"name": "leaky_relu", "parameters": {"slope": 0.3}}
    space = {"families": [named, {"tag": "cheap"}] if first else [{"tag": "cheap"}, named]}
    compiled = prepare(JobRequest.model_validate({"task": "digits", "space": space})).space
    assert compiled.families["leaky_relu"].fixed == {"slope": 0.3}


def test_hyperparameters_can_be_chosen_from_a_set() -> None:
    space = {"families": [{"name": "elu", "parameters": {"alpha": {"choices": [0.5, 2]}}}]}
    found = [s.activations["network"] for s in _suggestions(12, space=space)]
    assert {spec.parameters["alpha"] for spec in found if spec.family == "elu"} == {0.5, 2}


@pytest.mark.parametrize("placement", ["stage", "layer"])
def test_a_shallow_network_has_choices_only_for_the_sites_it_has(placement: str) -> None:
    space = {"placement": placement, "architecture": {"depth": {"low": 1, "high": 5}}, "families": ["elu", "tanh"]}
    prepared = prepare(JobRequest.model_validate({"task": "digits", "space": space}))
    for suggestion in _suggestions(20, space=space):
        depth = int(suggestion.architecture["depth"])
        assert len(suggestion.activations) == (depth if placement == "layer" else min(depth, 3))
        assert parameter_count(prepared.request, prepared.input_spec, suggestion) > 0  # it can be built


def test_parameters_are_counted_before_training() -> None:
    space = {"constraints": {"max_parameters": 5000}, "architecture": {"width": {"low": 8, "high": 64}}}
    request = {"space": space | {"families": ["gelu"]}, "architecture": {"name": "mlp", "parameters": {"depth": 1}}}
    prepared = prepare(JobRequest.model_validate({"task": "digits", **request}))
    for suggestion in _suggestions(20, **request):
        width = int(suggestion.architecture["width"])
        over = violations(prepared.request, prepared.input_spec, suggestion)
        assert over == {"max_parameters": 64 * width + width + width * 10 + 10 - 5000}
