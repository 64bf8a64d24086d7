"""Samplers and pruners by name: their options arrive, their limits are told, their proposals are as they should be."""

from __future__ import annotations

from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.samplers import CmaEsSampler, NSGAIISampler, TPESampler
from pydantic import TypeAdapter, ValidationError

from actsearch.errors import InvalidRequest
from actsearch.schemas import JobRequest, Pruner, Sampler
from actsearch.schemas.samplers import SAMPLERS, AnySampler, samplers_that
from actsearch.space import suggest
from actsearch.study import make_pruner, make_sampler, prepare
from actsearch.study.checking.sampler_problems import count_points

NUMBERS = {
    "training": {"learning_rate": {"low": 1e-4, "high": 1e-1, "log": True}, "weight_decay": {"low": 0, "high": 1}}
}
STEPPED = {
    "families": ["tanh", {"name": "elu", "parameters": {"alpha": {"low": 0.5, "high": 1.5, "step": 0.5}}}],
    "training": {"learning_rate": {"choices": [0.1, 0.2]}},
}


def _request(**request: Any) -> JobRequest:
    return JobRequest.model_validate({"task": "digits", **request})


def _proposals(request: JobRequest, n: int, cohort: int = 4, sign: int = 1) -> list[dict[str, Any]]:
    """Parameters of trials proposed in cohorts, each by a sampler made anew; the baseline is trial 0.

    A trial's value is the sum of its parameters, or the opposite of it.
    """
    prepared = prepare(request)
    study = optuna.create_study(direction="maximize")
    study.enqueue_trial(dict(prepared.baseline_parameters))
    while len(study.trials) < n:
        begun = len(study.trials) - (1 if len(study.trials) == 1 else 0)
        study.sampler = make_sampler(request.sampler, request.sampler_seed, begun)
        trials = [study.ask() for _ in range(min(cohort, n - begun))]
        for trial in trials:
            suggest(trial, prepared.space)
        for trial in trials:
            study.tell(trial, sign * sum(v for v in trial.params.values() if isinstance(v, float)))
    return [trial.params for trial in study.trials]


EAGER = {"tpe": {"n_startup_trials": 3}, "gp": {"n_startup_trials": 3}, "cmaes": {"popsize": 4}}
EAGER |= {"nsga2": {"population_size": 4}}
NAMES = samplers_that(lambda _: True)


def _eager(name: str) -> dict[str, Any]:
    """The sampler with the options that let it learn soon."""
    return {"name": name, **EAGER.get(name, {})}


def test_every_sampler_of_a_request_has_traits() -> None:
    assert all(issubclass(kind, AnySampler) for kind in SAMPLERS)
    assert [TypeAdapter(Sampler).validate_python(name).name for name in NAMES] == list(NAMES)
    assert len(NAMES) == len(SAMPLERS) == 10


@pytest.mark.parametrize("name", NAMES)
def test_a_sampler_that_learns_proposes_other_points_where_results_are_the_opposite(name: str) -> None:
    space = NUMBERS | {"families": ["relu"]}
    exhaustive = {"training": {n: {"choices": [i / 10 for i in range(1, 8)]} for n in NUMBERS["training"]}}
    sampler = TypeAdapter(Sampler).validate_python(_eager(name))
    space |= exhaustive if sampler.exhaustive else {}
    request = _request(sampler=_eager(name), space=space, budget={"trials": 20})
    one, other = (_proposals(request, 20, sign=sign) for sign in (1, -1))
    assert (one != other) == sampler.learns


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_what_takes_several_objectives_proposes_for_two_and_is_accepted(name: str) -> None:
    sampler = TypeAdapter(Sampler).validate_python(_eager(name))
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=make_sampler(sampler, 0, 0))

    def objective(trial: optuna.Trial) -> tuple[float, float]:
        found = [trial.suggest_int(letter, 0, 9) for letter in "xy"]
        return found[0], found[1]

    two = {"objectives": [{}, {"metric": "parameters"}], "space": STEPPED, "budget": {"trials": 5}}
    request = _request(sampler=name, **two)
    if sampler.several_objectives:
        study.optimize(objective, n_trials=12)
        assert len(study.trials) == 12
        assert prepare(request).request == request
    else:
        with pytest.raises(ValueError, match="multi-objective"):
            study.optimize(objective, n_trials=12)
        with pytest.raises(InvalidRequest, match="single objective") as caught:
            prepare(request)
        [problem] = caught.value.problems
        assert (problem.field, problem.allowed) == ("sampler", tuple(n for n in NAMES if n != name))


@pytest.mark.parametrize("name", NAMES)
def test_what_needs_numbers_is_refused_where_there_are_too_few(name: str) -> None:
    needed = TypeAdapter(Sampler).validate_python(name).needs_numbers
    numbers = {name: {"low": 1, "high": 8} for name in ("depth", "width")}
    for count in range(3):
        space = {"families": ["relu"], "architecture": dict(list(numbers.items())[:count])}
        request = _request(sampler=name, space=space, budget={"trials": 1})
        if count >= needed:
            prepare(request)
            continue
        with pytest.raises(InvalidRequest, match=f"at least {needed} numbers") as caught:
            prepare(request)
        assert "tpe" in caught.value.problems[0].allowed


def test_options_arrive_in_optuna() -> None:
    samplers = TypeAdapter(Sampler)
    tpe = make_sampler(samplers.validate_python({"name": "tpe", "n_startup_trials": 3, "multivariate": False}), 0, 0)
    assert isinstance(tpe, TPESampler)
    assert (tpe._n_startup_trials, tpe._multivariate, tpe._group) == (3, False, False)
    genetic = make_sampler(samplers.validate_python({"name": "nsga2", "population_size": 7}), 0, 0)
    assert isinstance(genetic, NSGAIISampler)
    assert genetic.population_size == 7
    evolution = make_sampler(samplers.validate_python({"name": "cmaes", "popsize": 9}), 0, 0)
    assert isinstance(evolution, CmaEsSampler)
    assert evolution._popsize == 9


@pytest.mark.parametrize(
    ("kind", "value", "where"),
    [
        (Sampler, "tpee", ()),
        (Sampler, {"name": "tpe", "n_startup_trials": -1}, ("tpe", "n_startup_trials")),
        (Sampler, {"name": "random", "n_startup_trials": 1}, ("random", "n_startup_trials")),
        (Sampler, {"name": "grid", "points": 1}, ("grid", "points")),
        (Pruner, {"name": "percentile", "percentile": 101}, ("percentile", "percentile")),
        (Pruner, {"name": "threshold"}, ("threshold",)),
        (Pruner, {"name": "patient", "wrapped_pruner": "patient"}, ("patient", "wrapped_pruner")),
    ],
)
def test_a_wrong_option_is_named(kind: Any, value: Any, where: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(kind).validate_python(value)
    assert [error["loc"] for error in caught.value.errors()] == [where]


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        ({"sampler": "brute_force", "space": NUMBERS | {"families": ["relu"]}}, "sampler.name"),
        ({"sampler": "brute_force", "space": STEPPED, "budget": {"trials": 11}}, "budget.trials"),
        ({"sampler": "grid", "space": {"families": ["tanh", "elu"]}, "budget": {"trials": 9}}, "budget.trials"),
        ({"sampler": "cmaes", "space": {"families": ["leaky_relu", "elu"]}}, "sampler.name"),
        ({"sampler": "grid", "space": {"families": ["grammar"]}}, "sampler.name"),
    ],
)
def test_a_sampler_that_does_not_fit_the_space_says_so(request_: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        prepare(_request(**request_))
    assert [problem.field for problem in caught.value.problems] == [field]


@pytest.mark.parametrize(
    ("sampler", "space", "points"),
    [
        ("brute_force", STEPPED, (1 + 3 + 1) * 2),  # tanh, elu, relu; each with two learning rates
        ({"name": "grid", "points": 3}, {"families": ["tanh", "leaky_relu", "aptx"]}, 1 + 3 + 27 + 1),
        (
            "brute_force",
            {"families": ["tanh", "relu"], "placement": "layer", "architecture": {"depth": {"low": 1, "high": 3}}},
            2 + 4 + 8,
        ),
    ],
)
def test_a_grid_is_tried_out_in_full_and_nothing_twice(sampler: Any, space: dict[str, Any], points: int) -> None:
    request = _request(sampler=sampler, space=space, budget={"trials": points})
    assert count_points(prepare(request).space) == points
    assert len({str(sorted(params.items())) for params in _proposals(request, points)}) == points


def test_the_baseline_is_a_point_of_the_grid() -> None:
    request = _request(
        sampler={"name": "grid", "points": 2},
        space={"families": ["elu"]},
        baseline={"family": "elu", "parameters": {"alpha": 0.7}},
        budget={"trials": 3},
    )
    assert sorted(params["elu.alpha"] for params in _proposals(request, 3)) == [0.1, 0.7, 3.0]


@settings(max_examples=20, deadline=None)
@given(low=st.floats(0.001, 0.2), share=st.floats(0.01, 1), points=st.integers(2, 6), log=st.booleans())
def test_a_grid_stays_in_its_range_and_reaches_both_ends(low: float, share: float, points: int, log: bool) -> None:
    high = low + share * (0.5 - low)
    slope = {"low": low, "high": high, "log": log}
    request = _request(
        sampler={"name": "grid", "points": points},
        space={"families": [{"name": "leaky_relu", "parameters": {"slope": slope}}]},
        budget={"trials": 1},
    )
    choices = prepare(request).space.families["leaky_relu"].searched["slope"].choices
    assert (min(choices), max(choices), len(choices)) == (low, high, points)


@pytest.mark.parametrize("sampler", ["qmc", {"name": "qmc", "qmc_type": "halton"}])
def test_a_quasi_random_sequence_goes_on_through_remade_samplers(sampler: Any) -> None:
    request = _request(sampler=sampler, space=NUMBERS | {"families": ["relu", "tanh", "gelu", "elu"]})
    rates = [params["training.learning_rate"] for params in _proposals(request, 65)][1:]
    # Of 64 points of one sequence, each eighth of the logarithmic range has about 8; at random it would be 8 +- 2.6.
    counts = [
        sum(1e-4 * 10 ** (3 * i / 8) <= rate < 1e-4 * 10 ** (3 * (i + 1) / 8) for rate in rates) for i in range(8)
    ]
    assert min(counts) >= 6


def test_cmaes_moves_towards_better_values_through_remade_samplers() -> None:
    request = _request(sampler="cmaes", space=NUMBERS | {"families": ["relu"]})
    found = [params["training.weight_decay"] for params in _proposals(request, 100, cohort=6)]  # the score is the sum
    assert sum(found[80:]) / 20 > 0.8


def test_a_cohort_sees_what_was_proposed_before_it_in_the_same_cohort() -> None:
    request = _request(sampler="brute_force", space=STEPPED, budget={"trials": 10})
    assert len({str(sorted(params.items())) for params in _proposals(request, 10, cohort=10)}) == 10


@pytest.mark.parametrize(
    ("pruner", "kept"),
    [
        ("none", 1.0),
        ("auto", None),
        ("hyperband", None),
        ("asha", None),
        ("median", None),
        ({"name": "percentile", "percentile": 10}, None),
        ({"name": "patient", "patience": 2, "wrapped_pruner": "none"}, None),
        ("patient", None),
        ("wilcoxon", None),
        ({"name": "threshold", "lower": 0.5}, None),
    ],
)
def test_every_pruner_stops_hopeless_trials_and_no_other(pruner: Any, kept: float | None) -> None:
    """Curves that sink from quality / 20: the best must survive, and every pruner but `none` must stop some."""
    made = make_pruner(TypeAdapter(Pruner).validate_python(pruner), 12, 0)
    study = optuna.create_study(direction="maximize", pruner=made)
    survivors = []
    for quality in [19, 10, 20, 5, 18, 17, 3, 2, 16, 1, 4, 6, 15, 7, 0, 8, 2, 9, 1, 11]:
        trial = study.ask()
        for epoch in range(1, 13):
            trial.report(quality / 20 - 0.001 * epoch, epoch)
            if epoch < 12 and trial.should_prune():
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                break
        else:
            study.tell(trial, quality / 20)
            survivors.append(quality)
    if kept is not None:
        assert len(survivors) == 20
    elif isinstance(pruner, dict) and pruner["name"] == "patient":
        assert survivors == []  # nothing improves
    else:
        assert 20 in survivors
        assert len(survivors) < 20


def test_auto_prunes_only_where_there_is_something_to_save() -> None:
    names = [type(make_pruner(TypeAdapter(Pruner).validate_python("auto"), epochs, 0)).__name__ for epochs in (8, 9)]
    assert names == ["NopPruner", "SeededHyperbandPruner"]
