"""Keywords to request documents."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actsearch.client.shorthand import Shorthand, to_document
from actsearch.schemas import ActivationSpec, Choices, FamilyChoice, JobRequest, Named, Range, SearchSpace, Training
from actsearch.schemas.samplers import RandomSampler

FAMILIES = ["relu", FamilyChoice(name="leaky_relu", parameters={"slope": Range(low=0.01, high=0.3, log=True)})]


def test_keywords_land_where_they_belong() -> None:
    document = to_document(
        None,
        {
            "task": "digits",
            "architecture": Named(name="mlp", parameters={"width": 32}),
            "families": FAMILIES,
            "placement": "stage",
            "trials": 7,
            "epochs": 3,
            "batch_size": 16,
            "optimizer": "sgd",
            "precision": "bfloat16",
            "learning_rate": (1e-4, 1e-1),
            "sampler": RandomSampler(),
            "pruner": "hyperband",
            "seed": 5,
        },
    )

    request = JobRequest.model_validate(document)
    assert request.task.name == "digits"
    assert request.architecture.parameters == {"width": 32}
    assert request.space.families == [FamilyChoice(name="relu"), FAMILIES[1]]
    assert request.space.placement == "stage"
    assert request.space.training == {"learning_rate": Range(low=1e-4, high=1e-1, log=True)}
    assert request.budget.trials == 7
    assert (request.training.epochs, request.training.batch_size, request.training.optimizer) == (3, 16, "sgd")
    assert request.training.precision == "bfloat16"
    assert (request.sampler.name, request.pruner.name, request.seed) == ("random", "hyperband", 5)


@pytest.mark.parametrize(
    ("given", "searched"),
    [
        ([1e-4, 1e-1], Range(low=1e-4, high=1e-1, log=True)),
        (Range(low=0.1, high=0.2), Range(low=0.1, high=0.2)),
        (Choices(choices=[0.1, 0.2]), Choices(choices=[0.1, 0.2])),
    ],
)
def test_a_learning_rate_may_be_searched(given: Any, searched: Any) -> None:
    request = JobRequest.model_validate(to_document({"task": "digits"}, {"learning_rate": given}))
    assert request.space.training["learning_rate"] == searched


def test_a_fixed_learning_rate_is_no_longer_searched() -> None:
    space = SearchSpace(
        families=["relu"],
        training={"learning_rate": Range(low=0.1, high=0.2), "momentum": Range(low=0, high=0.9)},
    )
    request = JobRequest.model_validate(to_document({"task": "digits", "space": space}, {"learning_rate": 0.05}))
    assert request.training.learning_rate == 0.05
    assert set(request.space.training) == {"momentum"}


@given(st.integers(1, 1000), st.integers(1, 100), st.floats(1e-6, 1.0))
def test_a_request_survives_unless_a_keyword_says_otherwise(trials: int, epochs: int, rate: float) -> None:
    request = JobRequest(task="digits", seed=3, training=Training(epochs=epochs, learning_rate=rate))
    assert JobRequest.model_validate(to_document(request, {})) == request
    assert JobRequest.model_validate(to_document(request.model_dump(), {})) == request
    changed = JobRequest.model_validate(to_document(request, {"trials": trials}))
    assert changed.budget.trials == trials
    assert changed.training == request.training
    assert changed.seed == 3


def test_keywords_leave_the_given_document_alone() -> None:
    document: dict[str, Any] = {"task": "digits", "budget": {"trials": 1}}
    to_document(document, {"trials": 2})
    assert document == {"task": "digits", "budget": {"trials": 1}}


@pytest.mark.parametrize("space", [3, "all", None, ["relu"]])
def test_what_is_wrong_stays_wrong_for_the_server_to_refuse(space: Any) -> None:
    document = to_document(
        {"task": "digits", "space": space}, {"families": ["relu"], "trials": 3, "learning_rate": 0.1}
    )
    assert document["space"] == space


def test_every_field_of_a_request_is_a_keyword() -> None:
    assert set(JobRequest.model_fields) <= set(Shorthand.__annotations__)


def test_a_family_name_is_a_baseline() -> None:
    request = JobRequest.model_validate(to_document({"task": "digits"}, {"baseline": "tanh"}))
    assert request.baseline == ActivationSpec(family="tanh")
