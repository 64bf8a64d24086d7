"""`GET /v1/activations/{family}`."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from starlette.testclient import TestClient

from actsearch.activations import Activation, families, gain
from actsearch.schemas import ActivationSpec


def ask(http: TestClient, family: str, status: int = 200, **query: Any) -> Any:
    answer = http.get(f"/v1/activations/{family}", params=query)
    assert answer.status_code == status, answer.text
    return answer.json()


def test_every_family_is_described_with_its_curve(http: TestClient) -> None:
    listed = {item["name"]: item for item in http.get("/v1/activations").json()["items"]}
    assert listed.keys() == families().keys()
    for name, item in listed.items():
        found = ask(http, name, points=11)
        assert {key: found[key] for key in item} == item
        assert found["curve"]["x"] == pytest.approx([-5 + i for i in range(11)])
        assert all(len(values) == 11 and None not in values for values in found["curve"].values())
        assert "activation = " in found["snippet"]


def test_parameters_change_gain_code_and_curve(http: TestClient) -> None:
    found = ask(http, "leaky_relu", parameter="slope=0.25", low=-2, high=2, points=5)
    assert found["activation"]["parameters"] == {"slope": 0.25}
    assert found["gain"] == pytest.approx(gain(ActivationSpec(family="leaky_relu", parameters={"slope": 0.25})))
    assert found["chi"] == pytest.approx(1.0)
    assert found["snippet"] == "from torch import nn\n\nactivation = nn.LeakyReLU(0.25)\n"
    assert found["curve"]["value"] == [-0.5, -0.25, 0, 1, 2]
    assert found["curve"]["derivative"] == [0.25, 0.25, 0.25, 1, 1]
    assert [p["name"] for p in found["parameters"]] == ["slope"]

    found = ask(http, "swish_relu_mix", parameter=["mix=0.25", "beta=2"], learned="channel")
    assert found["activation"]["parameters"] == {"mix": 0.25, "beta": 2}
    assert "channels = 64" in found["snippet"]


def test_an_expression_can_be_looked_at(http: TestClient) -> None:
    found = ask(http, "expression", expression="x * sigmoid(b * x)+1", parameter="b=3", low=-1, high=1, points=3)
    spec = ActivationSpec.model_validate(found["activation"])
    assert found["formula"] == spec.expression == "x * sigmoid(b * x) + 1"
    values = Activation(spec)(torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64))
    assert found["curve"]["value"] == pytest.approx(values.tolist())


@pytest.mark.parametrize("query", [{"low": 2, "high": 1}, {"low": 6}, {"high": -6}, {"low": 1, "high": 1}])
def test_an_empty_range_is_a_fault_of_high(http: TestClient, query: dict[str, float]) -> None:
    (error,) = ask(http, "relu", 422, **query)["errors"]
    assert error["field"] == "high"
    assert "must be above low" in error["message"]


def test_values_that_no_json_can_hold_are_null(http: TestClient) -> None:
    found = ask(http, "expression", expression=" * ".join(["exp(x)^3"] * 13), low=0, high=20, points=2)
    assert found["curve"]["value"] == [1, None]


@pytest.mark.parametrize(
    ("family", "query", "status", "field"),
    [
        ("reluu", {}, 404, None),
        ("leaky_relu", {"parameter": "slope=7"}, 422, "parameter"),
        ("leaky_relu", {"parameter": "alpha=0.1"}, 422, "parameter"),
        ("leaky_relu", {"parameter": "slope"}, 422, "parameter"),
        ("leaky_relu", {"parameter": "slope=nan"}, 422, "parameter"),
        ("leaky_relu", {"slope": 0.1}, 422, "slope"),
        ("relu", {"learned": "channel"}, 422, "learned"),
        ("relu", {"points": 1}, 422, "points"),
        ("relu", {"low": 3, "high": -3}, 422, "high"),
        ("relu", {"expression": "x"}, 422, "expression"),
        ("expression", {}, 422, "expression"),
        ("expression", {"expression": "x + foo(x)"}, 422, "expression"),
        ("expression", {"expression": "b * x"}, 422, "parameter"),
    ],
)
def test_wrong_questions_name_the_field(
    http: TestClient, family: str, query: dict[str, Any], status: int, field: str | None
) -> None:
    problem = ask(http, family, status, **query)
    assert problem["status"] == status
    assert field is None or [error["field"] for error in problem["errors"]] == [field]
