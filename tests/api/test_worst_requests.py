"""Requests that want much work or hold the wrong kind of value: each is answered at little cost, or refused by name."""

from __future__ import annotations

import json
import time
from operator import itemgetter
from typing import Any

import pytest
from httpx import Response
from starlette.testclient import TestClient

JSON = {"Content-Type": "application/json"}
TWO = {"families": ["relu", "tanh"]}
LAYERS = {"width": {"low": 1, "high": 4096}, "depth": {"low": 1, "high": 50}}
STEPS = {"learning_rate": {"low": 1e-3, "high": 1e-1, "step": 1e-9}}
SECONDS = 0.5
"""Of processor time, on a slow machine: most take a few milliseconds."""


def asked(sampler: str = "random", trials: int = 20, **space: Any) -> dict[str, Any]:
    return {"task": "wine", "sampler": sampler, "budget": {"trials": trials}, "space": TWO | space}


WORK = [
    (asked("brute_force", architecture=LAYERS), "sampler.name"),
    (asked("brute_force", 10_000_000, architecture=LAYERS), "sampler.name"),
    (asked("grid", 10_000_000, architecture=LAYERS, placement="layer"), None),
    (asked("grid", 10_000_000, architecture=LAYERS), "budget.trials"),
    (asked("brute_force", 100, architecture={"depth": LAYERS["depth"]}, placement="layer"), None),
    (asked("brute_force", training=STEPS), "sampler.name"),
    (asked("grid", training=STEPS), "sampler.name"),
    (asked("random", training=STEPS), None),
    (asked(families=[{"tags": ["smooth"] * 10_000}]), "space.families.0.tags"),
    (asked(families=["relu"] * 10_000), "space.families"),
    (asked(families=[{"name": "expression", "expression": "+".join("x" * 5000)}]), "space.families.0.expression"),
    (asked() | {"name": "x" * 500_000}, "name"),
    (asked() | {"warm_start": ["x" * 36] * 20_000}, "warm_start"),
]
KINDS = [
    ({"architecture": {"width": {"choices": ["abc"]}}}, "space.architecture.width.choices.0"),
    ({"architecture": {"width": {"choices": [9, 8.5]}}}, "space.architecture.width.choices.1"),
    ({"architecture": {"width": {"choices": [True, 8]}}}, "space.architecture.width.choices.0"),
    ({"architecture": {"norm": {"choices": [1]}}}, "space.architecture.norm.choices.0"),
    ({"training": {"learning_rate": {"choices": ["x"]}}}, "space.training.learning_rate.choices"),
    ({"training": {"learning_rate": {"choices": [True, 0.1]}}}, "space.training.learning_rate.choices"),
    (
        {"families": [{"name": "elu", "parameters": {"alpha": {"choices": [True]}}}]},
        "space.families.0.parameters.alpha",
    ),
]


def fields(answer: Any) -> list[str]:
    return [error["field"] for error in answer.json()["errors"]]


@pytest.fixture
def warm(http: TestClient) -> TestClient:
    """Its first request has loaded what all need."""
    assert http.post("/v1/jobs", json=asked()).status_code == 201
    return http


def posted(client: TestClient, request: dict[str, Any]) -> tuple[float, Response]:
    """Seconds of processor time, and the answer."""
    begin = time.process_time()
    answer = client.post("/v1/jobs", json=request)
    return time.process_time() - begin, answer


def test_no_request_is_much_work(warm: TestClient) -> None:
    for request, refused in WORK:
        # The least of three: what else the process does meanwhile (collecting earlier tests' garbage) is no work of it.
        took, answer = min((posted(warm, request) for _ in range(3)), key=itemgetter(0))
        assert answer.status_code == (422 if refused else 201), (request["space"], answer.text[:300])
        assert took < SECONDS, (refused, answer.text[:300])
        if refused:
            assert any(field.startswith(refused) for field in fields(answer)), answer.text[:300]
        assert len(answer.content) < 100_000


@pytest.mark.parametrize(("space", "field"), KINDS)
def test_searched_values_are_what_the_parameter_takes(http: TestClient, space: dict[str, Any], field: str) -> None:
    answer = http.post("/v1/jobs", json=asked(**space))
    assert answer.status_code == 422
    assert [f.startswith(field) for f in fields(answer)] == [True]


def test_whole_numbers_may_be_written_with_a_fraction_of_nothing(http: TestClient) -> None:
    assert http.post("/v1/jobs", json=asked(architecture={"width": {"choices": [8.0, 16]}})).status_code == 201


@pytest.mark.parametrize("number", [10**400, -(10**400), 2**64])
@pytest.mark.parametrize(
    "place",
    [
        lambda n: asked() | {"architecture": {"name": "mlp", "parameters": {"width": n}}},
        lambda n: asked() | {"task": {"name": "wine", "parameters": {"noise": n}}},
        lambda n: asked(architecture={"width": {"choices": [n]}}),
        lambda n: asked(architecture={"width": {"low": 1, "high": n}}),
        lambda n: asked(training={"learning_rate": {"low": 1e-3, "high": n}}),
        lambda n: asked(families=[{"name": "elu", "parameters": {"alpha": n}}]),
        lambda n: asked() | {"budget": {"trials": n}},
        lambda n: asked() | {"training": {"seed": n, "epochs": n}},
    ],
)
def test_numbers_that_nothing_holds_are_refused(http: TestClient, place: Any, number: int) -> None:
    answer = http.post("/v1/jobs", json=place(number))
    assert answer.status_code == 422, answer.text
    assert fields(answer)


@pytest.mark.parametrize(
    "body",
    [
        r'{"task": "\ud800"}',
        r'{"task": "wine", "name": "\udfff"}',
        r'{"task": "wine", "\ud912": 1}',
        r'{"task": "wine", "architecture": {"name": "mlp", "parameters": {"\uDABC": 1}}}',
        r'{"task": "wine", "space": {"families": ["\udc00"]}}',
    ],
)
def test_half_a_character_is_refused(http: TestClient, body: str) -> None:
    answer = http.post("/v1/jobs", content=body, headers=JSON)
    assert answer.status_code == 400
    assert "surrogate" in answer.json()["detail"]


def test_a_whole_character_is_not(http: TestClient) -> None:
    answer = http.post("/v1/jobs", content=json.dumps(asked() | {"name": "🌊"}), headers=JSON)
    assert answer.json()["name"] == "🌊"
