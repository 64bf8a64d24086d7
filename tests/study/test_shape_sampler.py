"""The shape-aware sampler on real spaces: what counts as near, what a cohort is, that evidence crosses families."""

from __future__ import annotations

from typing import Any

import numpy as np
import optuna
import pytest

from actsearch.activations import get_family, resolve
from actsearch.schemas import ActivationSpec, JobRequest
from actsearch.space import Suggestion, suggest
from actsearch.study import make_sampler, prepare
from actsearch.study.proposing.samplers import resolved
from actsearch.study.proposing.shape import Observation, ShapeSampler, Source
from actsearch.study.proposing.shape.features import features

optuna.logging.set_verbosity(optuna.logging.ERROR)


def _prepared(**space: Any) -> Any:
    return prepare(JobRequest.model_validate({"task": "digits", "sampler": "shape", "space": space}))


def _distance(a: tuple[str, dict[str, float]], b: tuple[str, dict[str, float]]) -> float:
    specs = [resolve(ActivationSpec(family=family, parameters=values)) for family, values in (a, b)]
    rows = features([(spec.family, None, spec.parameters) for spec in specs])
    return float(np.linalg.norm(rows[0] - rows[1]))


def test_functions_that_compute_alike_are_near_whatever_their_names() -> None:
    assert _distance(("leaky_relu", {"slope": 0.01}), ("elu", {"alpha": 0.1})) < 0.5 * _distance(
        ("elu", {"alpha": 0.1}), ("elu", {"alpha": 3.0})
    )
    assert _distance(("swish", {"beta": 1.0}), ("silu", {})) == pytest.approx(0, abs=1e-9)
    assert _distance(("celu", {"alpha": 1.0}), ("elu", {"alpha": 1.0})) == pytest.approx(0, abs=1e-9)
    assert _distance(("tanh", {}), ("relu", {})) > 3 * _distance(("tanh", {}), ("arctan", {}))


def _search(prepared: Any, score: Any, n: int, cohort: int, **options: Any) -> list[tuple[Suggestion, float]]:
    """Proposals and scores, in cohorts: all of one are asked for before any is told, as runners do."""
    study = optuna.create_study(direction="maximize")
    found: list[tuple[Suggestion, float]] = []
    while len(found) < n:
        study.sampler = ShapeSampler(len(found), prepared.space, **options)
        trials = [study.ask() for _ in range(min(cohort, n - len(found)))]
        suggestions = [suggest(trial, prepared.space) for trial in trials]
        for trial, suggestion in zip(trials, suggestions, strict=True):
            found.append((suggestion, score(suggestion)))
            study.tell(trial, found[-1][1])
    return found


def _slope_at_minus_one(suggestion: Suggestion) -> float:
    """A score that depends on the function alone: best where f(-1) / f(1) is -0.3."""
    (spec,) = suggestion.activations.values()
    x = np.array([-1.0, 1.0])
    import torch

    value = get_family(spec.family).function(torch.from_numpy(x), **resolve(spec).parameters).numpy()
    return -abs(value[0] / value[1] + 0.3) if value[1] else -1.0


def test_a_cohort_is_proposed_at_once_and_differs() -> None:
    found = _search(_prepared(), lambda _: 0.0, 40, cohort=40)
    assert [s.family for s, _ in found[:3]] == ["relu", "tanh", "gelu"]
    assert len({str(s.activations) for s, _ in found}) == 40
    assert len({s.family for s, _ in found}) >= 20


def test_it_finds_a_function_sooner_than_at_random() -> None:
    prepared = _prepared()
    shape, chance = [], []
    for seed in range(5):
        shape.append(max(v for _, v in _search(prepared, _slope_at_minus_one, 30, 6, n_candidates=256 + seed)))
        study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=seed))
        values = [_slope_at_minus_one(suggest(study.ask(), prepared.space)) for _ in range(30)]
        chance.append(max(values))
    assert np.median(shape) > np.median(chance)


@pytest.mark.parametrize("placement", ["network", "stage", "layer"])
def test_any_space_gives_valid_trials(placement: str) -> None:
    prepared = _prepared(
        placement=placement,
        families=["relu", "leaky_relu", "aptx", {"name": "elu", "parameters": {"alpha": 1.5}}, "grammar", "prelu"],
        architecture={"depth": {"low": 1, "high": 4}, "norm": {"choices": ["none", "batch"]}},
        training={"learning_rate": {"low": 1e-4, "high": 1e-1, "log": True}},
    )
    found = _search(prepared, lambda s: s.training["learning_rate"], 30, cohort=5)
    for suggestion, _ in found:
        for spec in suggestion.activations.values():
            resolve(spec)
    late = [s.training["learning_rate"] for s, _ in found[20:]]
    assert np.median(late) > 0.02  # it has learned that larger is better


def test_a_whole_number_that_does_not_change_the_shape_at_first_is_learned() -> None:
    choice = {"name": "spline", "parameters": {"knots": {"low": 5, "high": 32}}}
    prepared = _prepared(families=[choice], training={"learning_rate": {"low": 1e-4, "high": 1e-1, "log": True}})
    found = _search(prepared, lambda s: -abs(_knots(s) - 24), 60, cohort=6)
    late = [_knots(s) for s, _ in found[40:] if s.family == "spline"]
    assert len(late) > 5
    assert 20 < np.median(late) < 28


def _knots(suggestion: Suggestion) -> float:
    return resolve(suggestion.activations["network"]).parameters.get("knots", -100.0)


def test_failed_and_pruned_trials_are_evidence() -> None:
    prepared = _prepared(families=["relu", "tanh", "gelu", "elu", "sine", "gcu", "softplus", "mish"])
    study = optuna.create_study(direction="maximize", sampler=ShapeSampler(0, prepared.space, n_startup_trials=0))
    for _ in range(24):
        trial = study.ask()
        family = suggest(trial, prepared.space).family
        if family in ("sine", "gcu"):
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        elif family == "relu":
            trial.report(0.1, 1)
            study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        else:
            trial.report(0.2, 1)
            study.tell(trial, 0.9)
    bad = [t for t in study.trials[12:] if t.params["family"] in ("sine", "gcu", "relu")]
    assert len(bad) <= 5  # at random: half


def _earlier(prepared: Any, score: Any) -> Source:
    """What a job at random found, by another scale than the new job's."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    trials = [study.ask() for _ in range(100)]
    scores = [100 * score(suggest(trial, prepared.space)) for trial in trials]
    return Source("job", [Observation(t.params, value) for t, value in zip(trials, scores, strict=True)])


def test_what_an_earlier_job_found_good_is_proposed_before_any_trial_has_ended() -> None:
    prepared = _prepared()
    cold, warm = (
        [value for _, value in _search(prepared, _slope_at_minus_one, 20, 20, sources=sources)[3:]]
        for sources in ([], [_earlier(prepared, _slope_at_minus_one)])
    )
    assert np.median(warm) > np.median(cold) + 0.2


def test_an_earlier_job_that_misleads_is_overruled() -> None:
    prepared = _prepared()
    wrong = _earlier(prepared, lambda suggestion: -_slope_at_minus_one(suggestion))
    found = _search(prepared, _slope_at_minus_one, 40, 8, sources=[wrong])
    assert max(value for _, value in found) > -0.05
    assert np.median([value for _, value in found[24:]]) > np.median([value for _, value in found[3:8]])


def test_one_seed_gives_one_search() -> None:
    prepared = _prepared()
    first, second = (_search(prepared, _slope_at_minus_one, 20, 5) for _ in range(2))
    assert [str(s) for s, _ in first] == [str(s) for s, _ in second]


def test_auto_is_shape_where_activations_are_searched() -> None:
    request = JobRequest.model_validate({"task": "digits"})
    assert resolved(request.sampler, _prepared().space).name == "shape"
    assert resolved(request.sampler, _prepared(families=["relu"]).space).name == "tpe"
    assert isinstance(make_sampler(request.sampler, 0, 0, _prepared().space), ShapeSampler)


def _points(study: optuna.Study) -> list[str]:
    return [str(sorted(trial.params.items())) for trial in study.trials]


def test_networks_of_different_depth_are_not_tried_twice() -> None:
    prepared = _prepared(placement="layer", families=["relu", "tanh"], architecture={"depth": {"low": 1, "high": 3}})
    study = optuna.create_study(direction="maximize")
    for number in range(12):  # of 2 + 4 + 8
        study.sampler = ShapeSampler(number, prepared.space)
        trial = study.ask()
        study.tell(trial, float(len(suggest(trial, prepared.space).activations) == 1))  # the shallow ones are good
    assert len(set(_points(study))) == 12


def test_the_depth_of_all_networks_may_be_given_as_an_only_choice() -> None:
    prepared = _prepared(placement="layer", families=["relu", "tanh"], architecture={"depth": {"choices": [5]}})
    study = optuna.create_study(direction="maximize", sampler=ShapeSampler(0, prepared.space))
    for _ in range(8):
        trial = study.ask()
        suggest(trial, prepared.space)
        study.tell(trial, 0.0)
    assert len(set(_points(study))) == 8


def test_settings_beside_a_given_activation_are_not_tried_twice() -> None:
    choices = {"width": {"choices": [8, 16, 32, 64]}}
    prepared = _prepared(families=["relu", "elu", "tanh"], architecture=choices)
    study = optuna.create_study(direction="maximize")
    for number in range(4):
        study.sampler = ShapeSampler(number, prepared.space)
        study.enqueue_trial({"family": "relu"})
        trial = study.ask()
        suggest(trial, prepared.space)
        study.tell(trial, 0.0)
    assert {trial.params["family"] for trial in study.trials} == {"relu"}
    assert sorted(trial.params["architecture.width"] for trial in study.trials) == [8, 16, 32, 64]


def test_what_is_given_costs_no_proposal() -> None:
    prepared = _prepared()
    study = optuna.create_study(direction="maximize", sampler=ShapeSampler(0, prepared.space))
    study.enqueue_trial({"family": "mish"})
    families = [suggest(study.ask(), prepared.space).family for _ in range(4)]
    assert families[:3] == ["mish", "relu", "tanh"]
