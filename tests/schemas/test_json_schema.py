"""The JSON Schema of an architecture's parameters says the same as the check of a request."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actsearch.architectures import architectures, describe, get_architecture, resolve_parameters
from actsearch.errors import InvalidRequest
from actsearch.schemas import ParameterInfo, json_schema

PARAMETERS = [
    ParameterInfo(name="depth", type="int", default=3, low=1, high=9, description="hidden layers"),
    ParameterInfo(name="rate", type="float", default=0.5, low=0),
    ParameterInfo(name="open", type="bool", default=True),
    ParameterInfo(name="norm", type="choice", default="none", choices=["none", "batch"]),
    ParameterInfo(name="mark", type="text", default="auto"),
    ParameterInfo(name="columns", type="list", default=[]),
]


def test_the_schema_of_each_type() -> None:
    schema = json_schema(PARAMETERS)
    assert schema["properties"] == {
        "depth": {"type": "integer", "default": 3, "minimum": 1, "maximum": 9, "description": "hidden layers"},
        "rate": {"type": "number", "default": 0.5, "minimum": 0, "description": ""},
        "open": {"type": "boolean", "default": True, "description": ""},
        "norm": {"enum": ["none", "batch"], "default": "none", "description": ""},
        "mark": {"type": "string", "default": "auto", "description": ""},
        "columns": {"type": "array", "items": {"type": "string"}, "default": [], "description": ""},
    }
    check = jsonschema_rs.validator_for(schema)
    assert check.is_valid({})
    assert check.is_valid({"depth": 9, "rate": 1e9, "open": False, "norm": "batch"})
    assert check.is_valid({"mark": "x", "columns": ["a", "b"]})
    for wrong in (
        {"columns": "a"},
        {"columns": [1]},
        {"mark": 1},
        {"depth": 10},
        {"depth": 1.5},
        {"rate": -0.1},
        {"open": 1},
        {"norm": "layer"},
        {"deep": 1},
    ):
        assert not check.is_valid(wrong), wrong


VALUES = st.one_of(
    st.integers(-2, 200), st.floats(-1, 200), st.booleans(), st.sampled_from(["none", "batch", "layer", "glu", ""])
)


@pytest.mark.parametrize("name", architectures())
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_validator_and_the_service_accept_the_same_requests(name: str, data: st.DataObject) -> None:
    architecture = get_architecture(name)
    check = jsonschema_rs.validator_for(describe(architecture).parameter_schema)
    names = st.sampled_from([info.name for info in architecture.parameters] + ["unknown"])
    given_: dict[str, Any] = data.draw(st.dictionaries(names, VALUES, max_size=2))
    try:
        resolve_parameters(architecture, given_)
        accepted = True
    except InvalidRequest:
        accepted = False
    assert check.is_valid(given_) == accepted
