"""Expressions train like families: in cohorts with others, with learned parameters, and as a search proposes them."""

from __future__ import annotations

from typing import Any

import optuna
import pytest
import torch

from actsearch.activations import Activation
from actsearch.measures.costs import activation_cost
from actsearch.schemas import ActivationSpec, JobRequest
from actsearch.schemas.samplers import RandomSampler
from actsearch.space import suggest
from actsearch.study import make_sampler, prepare
from actsearch.training import Candidate

optuna.logging.set_verbosity(optuna.logging.WARNING)


def writing(text: str, learned: Any = None, rate: float = 0.01, **parameters: float) -> Candidate:
    spec = ActivationSpec(family="expression", expression=text, parameters=parameters, learned=learned)
    return Candidate({"network": spec}, rate, 0.1, 0.9)


MIXED = [
    writing("max(x, 0) * sigmoid(beta * x)", beta=2),
    writing("x / (1 + abs(a * x))", "channel", a=1),
    writing("x*sigmoid(a*x)", "channel", a=1, rate=0.02),
    writing("x * sigmoid(a * x)", "channel", a=3),
    writing("max(x,0)*sigmoid( beta*x )", beta=0.5),
    writing("min(x, 2) + a * sin(x)", "scalar", a=0.3),
]


def same(one: Any, other: Any) -> None:
    for epoch, metrics in one.items():
        assert dict(metrics) == pytest.approx(dict(other[epoch]), rel=2e-4, abs=1e-6), f"epoch {epoch}"


def test_an_expression_learns_the_same_alone_and_in_a_cohort(train_toy: Any, candidate: Any) -> None:
    together = train_toy([*MIXED, candidate("relu"), candidate("prelu")])
    assert {outcome.state for outcome in together.outcomes} == {"complete"}
    for place, one in enumerate(MIXED):
        same(together.curves[place], train_toy([one]).curves[0])


def test_an_expression_learns_as_the_family_that_it_writes_out(train_toy: Any, candidate: Any) -> None:
    families = [candidate("swish", decay=0.1, beta=1, rate=0.02, learned="channel"), candidate("relu", decay=0.1)]
    written = [writing("x * sigmoid(a * x)", "channel", a=1, rate=0.02), writing("max(x, 0)")]
    trained = train_toy([*families, *written])
    same(trained.curves[2], trained.curves[0])
    # A tie at exactly zero may have another gradient; no such input occurs here.
    same(trained.curves[3], trained.curves[1])


def test_their_cost_can_be_told() -> None:
    spec = ActivationSpec(family="expression", expression="x * sigmoid(x)")
    module = torch.nn.Sequential(torch.nn.Linear(3, 4), Activation(spec))
    assert activation_cost(module, torch.zeros(2, 3)) == 4 * activation_cost(Activation(spec), torch.zeros(2, 1)) > 4


def test_what_a_search_proposes_from_a_grammar_trains_or_fails_alone(train_toy: Any) -> None:
    space = {"families": ["relu", {"name": "grammar", "depth": 2, "learned": "scalar"}], "placement": "layer"}
    prepared = prepare(JobRequest.model_validate({"task": "digits", "space": space, "sampler": "random"}))
    study = optuna.create_study(sampler=make_sampler(RandomSampler(), 3, 0))
    proposed = [suggest(study.ask(), prepared.space) for _ in range(24)]
    trained = train_toy(
        [Candidate(one.activations, 0.003, 0.0, 0.9) for one in proposed],
        parameters={"depth": 3, "width": 12},
        epochs=2,
    )
    states = [outcome.state for outcome in trained.outcomes]
    assert states.count("complete") >= 12
    assert {outcome.reason for outcome in trained.outcomes if outcome.state == "failed"} <= {"diverged"}
    labels = {spec.label for one in proposed for spec in one.activations.values()}
    assert len(labels) > 20
