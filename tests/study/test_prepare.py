"""Checking requests: every mistake is found before anything is created, and named."""

from __future__ import annotations

from typing import Any

import optuna
import pytest

from actsearch.activations import resolve
from actsearch.architectures import get_architecture
from actsearch.errors import InvalidRequest
from actsearch.schemas import ActivationSpec, JobRequest
from actsearch.space import Suggestion, suggest
from actsearch.study import as_baseline, is_baseline, prepare


def _problems(**request: Any) -> dict[str, tuple[str, ...]]:
    with pytest.raises(InvalidRequest) as caught:
        prepare(JobRequest.model_validate({"task": "digits", **request}))
    return {problem.field: tuple(problem.allowed) for problem in caught.value.problems}


def _one(**choice: Any) -> dict[str, Any]:
    return {"families": [choice]}


def _leaky(**parameters: Any) -> dict[str, Any]:
    return {"families": [{"name": "leaky_relu", "parameters": parameters}]}


def _spline(**parameters: Any) -> dict[str, Any]:
    return {"families": [{"name": "spline", "parameters": parameters}]}


@pytest.mark.parametrize(
    ("request_", "field", "allowed"),
    [
        ({"task": "digitz"}, "task.name", "digits"),
        ({"architecture": "mlpp"}, "architecture.name", "mlp"),
        ({"baseline": {"family": "relUUU"}}, "baseline.family", "relu"),
        ({"baseline": {"family": "elu", "parameters": {"alpha": -3}}}, "baseline.parameters.alpha", None),
        ({"space": {"families": ["relu", "gelo"]}}, "space.families.1.name", "gelu"),
        ({"space": {"families": ["gelu", {"tags": ["smooth", "smoooth"]}]}}, "space.families.1.tags.1", "smooth"),
        ({"space": {"families": [{"tags": ["cheap", "stochastic"]}]}}, "space.families.0.tags.1", None),
        ({"space": {"families": [{"tags": ["quantisation_friendly"], "since": 2024}]}}, "space.families.0", None),
        ({"space": {"families": [{"since": 2090}]}}, "space.families.0", None),
        ({"space": _leaky(slope={"choices": ["a"]})}, "space.families.0.parameters.slope.choices", None),
        ({"space": {"constraints": {"max_parameters": 100}}}, "space.constraints.max_parameters", None),
        ({"space": {"families": ["relu", "relu"]}}, "space.families.1.name", None),
        ({"space": {"families": ["telu", "relu", "tanhexp"]}}, "space.families.0.name", None),
        ({"baseline": {"family": "expression", "expression": "x +"}}, "baseline.expression", None),
        ({"space": _one(name="expression")}, "space.families.0.expression", None),
        ({"space": _one(name="expression", expression="x + foo(x)")}, "space.families.0.expression", None),
        ({"space": _one(name="expression", expression="b * x")}, "space.families.0.parameters.b", None),
        ({"space": _one(name="expression", expression="x", learned="scalar")}, "space.families.0.learned", "fixed"),
        ({"space": _one(name="relu", expression="x")}, "space.families.0.expression", None),
        ({"space": _one(name="relu", depth=2)}, "space.families.0.depth", None),
        ({"space": _one(name="grammar", depth=9)}, "space.families.0.depth", None),
        ({"space": _one(name="grammar", operators=["sin", "evil"])}, "space.families.0.operators", "sin"),
        ({"space": _one(name="grammar", parameters={"a": 1})}, "space.families.0.parameters", None),
        ({"space": _leaky(slope=7)}, "space.families.0.parameters.slope", None),
        ({"space": _leaky(slope={"low": 0.1, "high": 9})}, "space.families.0.parameters.slope.high", None),
        ({"space": _spline(knots=9.5)}, "space.families.0.parameters.knots", None),
        ({"space": _spline(knots={"low": 5, "high": 8.5})}, "space.families.0.parameters.knots", None),
        ({"space": _spline(knots={"low": 5, "high": 20, "step": 0.5})}, "space.families.0.parameters.knots", None),
        ({"space": _spline(knots={"choices": [5, 6.5]})}, "space.families.0.parameters.knots", None),
        ({"space": _spline(c9=0.1)}, "space.families.0.parameters.c9", None),
        ({"space": _spline(knots={"low": 5, "high": 20}, c20=0.1)}, "space.families.0.parameters.c20", None),
        ({"baseline": {"family": "spline", "parameters": {"c9": 1}}}, "baseline.parameters.c9", None),
        ({"space": _leaky(leak=0.1)}, "space.families.0.parameters.leak", "slope"),
        ({"space": {"training": {"learning_rate": {"low": 0, "high": 1}}}}, "space.training.learning_rate.low", None),
        ({"space": {"training": {"momentum": {"low": 0, "high": 0.9}}}}, "space.training.momentum", None),
        ({"space": {"architecture": {"widht": {"choices": [8]}}}}, "space.architecture.widht", "width"),
        ({"space": {"architecture": {"width": {"low": 0, "high": 8}}}}, "space.architecture.width.low", None),
        ({"space": {"architecture": {"width": {"low": 8, "high": 9.5}}}}, "space.architecture.width", None),
        ({"space": {"architecture": {"norm": {"low": 0, "high": 1}}}}, "space.architecture.norm", "batch"),
        ({"space": {"architecture": {"norm": {"choices": ["bach"]}}}}, "space.architecture.norm.choices.0", "batch"),
        ({"architecture": {"name": "mlp", "parameters": {"depth": 0}}}, "architecture.parameters.depth", None),
        ({"task": "breast_cancer", "architecture": "convnet"}, "architecture.name", "mlp"),
        ({"objective": {"metric": "acuracy"}}, "objective.metric", "accuracy"),
    ],
)
def test_a_mistake_is_named_with_what_is_allowed(request_: dict[str, Any], field: str, allowed: str | None) -> None:
    problems = _problems(**request_)
    assert list(problems) == [field]
    assert allowed is None or allowed in problems[field]


def test_all_mistakes_are_told_at_once() -> None:
    problems = _problems(
        baseline={"family": "elu", "parameters": {"alpha": -1}}, objective={"metric": "x"}, space=_leaky(slope=9)
    )
    assert set(problems) == {"baseline.parameters.alpha", "objective.metric", "space.families.0.parameters.slope"}


def test_the_baseline_joins_a_space_without_it() -> None:
    prepared = prepare(
        JobRequest.model_validate(
            {
                "task": "digits",
                "space": {
                    "families": ["gelu"],
                    "training": {"learning_rate": {"low": 0.1, "high": 1, "log": True}},
                    "architecture": {"width": {"low": 8, "high": 32, "step": 8}},
                },
                "baseline": {"family": "leaky_relu", "parameters": {"slope": 0.2}},
            }
        )
    )
    assert prepared.baseline.parameters == {"slope": 0.2}
    assert prepared.space.families["leaky_relu"].fixed == {"slope": 0.2}
    assert prepared.baseline_parameters == {
        "family": "leaky_relu",
        "training.learning_rate": 0.1,  # the request's own, 1e-3, is outside: the nearest end
        "architecture.width": 32,
    }


@pytest.mark.parametrize(
    ("task", "architecture", "family"),
    [
        ("digits", "mlp", "relu"),
        ("digits", "vit", "gelu"),
        ("sunspots", "rnn", "tanh"),
        ("gan_ring", "gan2d", "leaky_relu"),
    ],
)
def test_a_request_without_a_baseline_gets_the_architectures_own(task: str, architecture: str, family: str) -> None:
    request = {"task": task, "architecture": architecture, "space": {"families": ["mish"]}}
    prepared = prepare(JobRequest.model_validate(request))
    assert prepared.baseline == resolve(get_architecture(architecture).baseline)
    assert prepared.baseline.family == prepared.baseline_parameters["family"] == family
    assert set(prepared.space.families) == {"mish", family}
    named = prepare(JobRequest.model_validate(request | {"baseline": {"family": "elu"}}))
    assert named.baseline.family == "elu"


@pytest.mark.parametrize(
    ("placement", "gates", "others"),
    [
        ("network", ["gate"], ["network"]),
        ("stage", ["gate"], ["candidate"]),
        ("layer", ["gate1", "gate2"], ["candidate1", "output1", "candidate2", "output2"]),
    ],
)
@pytest.mark.parametrize("named", [None, {"family": "elu", "parameters": {"alpha": 0.5}}])
def test_searched_gates_have_a_baseline_of_their_own(
    placement: str, gates: list[str], others: list[str], named: dict[str, Any] | None
) -> None:
    prepared = _gated({"placement": placement}, named, layers=2)
    wanted = resolve(ActivationSpec.model_validate(named or {"family": "tanh"}))
    activations = dict.fromkeys(gates, resolve(ActivationSpec(family="sigmoid"))) | dict.fromkeys(others, wanted)
    assert prepared.baseline_activations == activations
    assert sorted(prepared.space.groups) == sorted(activations)
    assert set(prepared.space.families) == {"mish", "sigmoid", wanted.family}
    for group, spec in activations.items():
        assert prepared.baseline_parameters["family" if group == "network" else f"{group}/family"] == spec.family
    study = optuna.create_study()
    study.enqueue_trial(dict(prepared.baseline_parameters))
    suggestion = suggest(study.ask(), prepared.space)
    assert {group: resolve(spec) for group, spec in suggestion.activations.items()} == activations
    assert is_baseline(prepared, suggestion)
    everywhere = Suggestion(dict.fromkeys(activations, wanted), {}, {})
    assert not is_baseline(prepared, everywhere)
    assert as_baseline(prepared, everywhere).activations == activations


@pytest.mark.parametrize(
    "searched", [{"cell": {"choices": ["lstm", "vanilla"]}}, {"search_gates": {"choices": [False, True]}}]
)
def test_a_network_without_gates_has_the_plain_baseline(searched: dict[str, Any]) -> None:
    prepared = _gated({"architecture": searched}, None)
    tanh, sigmoid = (resolve(ActivationSpec(family=name)) for name in ("tanh", "sigmoid"))
    (name,) = searched
    without, with_gates = ({name: value} for value in (["vanilla", "lstm"] if name == "cell" else [False, True]))
    assert prepared.baselines(without) == {"network": tanh}
    assert prepared.baselines(with_gates) == {"gate": sigmoid, "network": tanh}
    assert list(prepared.space.groups) == ["gate", "network"]


def _gated(space: dict[str, Any], baseline: dict[str, Any] | None, **parameters: Any) -> Any:
    document = {
        "task": "sunspots",
        "architecture": {"name": "rnn", "parameters": {"search_gates": True, **parameters}},
        "space": {"families": ["mish"], **space},
        "baseline": baseline,
    }
    return prepare(JobRequest.model_validate(document))


def test_an_expression_may_be_searched_and_be_the_baseline() -> None:
    text = {"name": "expression", "expression": "max(x,slope*x)", "parameters": {"slope": {"low": 0, "high": 1}}}
    request = {
        "task": "digits",
        "space": {"families": [text, {"name": "expression", "expression": "x / (1 + abs(x))"}]},
        "baseline": {"family": "expression", "expression": "max(x, slope * x)", "parameters": {"slope": 0.5}},
    }
    prepared = prepare(JobRequest.model_validate(request))
    assert prepared.baseline_parameters == {"family": "max(x, slope * x)", "max(x, slope * x).slope": 0.5}
    assert list(prepared.space.families) == ["max(x, slope * x)", "x / (1 + abs(x))"]


def test_the_same_expression_is_not_listed_twice() -> None:
    twice = [{"name": "expression", "expression": text} for text in ("x*sin(x)", "x * sin( x )")]
    assert list(_problems(space={"families": twice})) == ["space.families.1.name"]


def test_layers_of_the_deepest_network_have_a_choice_each() -> None:
    prepared = prepare(
        JobRequest.model_validate(
            {"task": "digits", "space": {"placement": "layer", "architecture": {"depth": {"low": 2, "high": 5}}}}
        )
    )
    assert list(prepared.space.groups) == [f"layer{i}" for i in range(1, 6)]


def _listed(*choices: Any) -> dict[str, Any]:
    return {"families": [c if isinstance(c, dict) else {"name": c} for c in choices]}


def _written(text: str, **parameters: Any) -> dict[str, Any]:
    return {"name": "expression", "expression": text, "parameters": parameters}


@pytest.mark.parametrize(
    ("space", "field", "words"),
    [
        (_listed("relu", _written("max(x, 0)")), 1, "max(x, 0) is the same function as relu"),
        (_listed(_written("sigmoid(x) * x"), "silu"), 0, "is the same function as silu"),
        (_listed({"tag": "smooth"}, _written("x * sigmoid(x)")), 1, "is the same function as silu"),
        (_listed("gelu", _written("max(x, 0)"), _written("max(0 * x, x)")), 2, "is the same function as max(x, 0)"),
        (_listed(_written("max(x, c)", c=0), _written("max(x, 0)")), 1, "is the same function as max(x, c)"),
    ],
)
def test_an_expression_that_computes_what_another_choice_does_is_refused(
    space: dict[str, Any], field: int, words: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        prepare(JobRequest.model_validate({"task": "digits", "space": space}))

    (problem,) = caught.value.problems
    assert problem.field == f"space.families.{field}.expression"
    assert words in problem.message


@pytest.mark.parametrize(
    "space",
    [
        _listed("silu", _written("x * sigmoid(beta * x)", beta={"low": 0.5, "high": 2.0})),
        _listed("silu", "swish", _written("x * sigmoid(2 * x)")),
        _listed("relu", {**_written("max(x, c * x)", c=0.0), "learned": "scalar"}),
    ],
)
def test_expressions_that_are_equal_at_a_point_or_at_first_only_stay(space: dict[str, Any]) -> None:
    prepare(JobRequest.model_validate({"task": "digits", "space": space}))
