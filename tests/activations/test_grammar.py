"""The grammar that a search draws expressions from."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from actsearch.activations import Grammar, family_of, resolve
from actsearch.activations.expressions import parse
from actsearch.activations.expressions.grammar import OPERATORS, compose, used_parameters
from actsearch.errors import InvalidRequest
from actsearch.schemas import ActivationSpec


@settings(max_examples=100, deadline=None, derandomize=True)
@given(data=st.data(), units=st.integers(1, 3))
def test_whatever_is_chosen_is_an_activation(data: st.DataObject, units: int) -> None:
    chosen = {place: data.draw(st.sampled_from(names)) for place, names in Grammar(units).choices().items()}
    expression, needed = compose(chosen), used_parameters(chosen)
    assert set(expression.parameters) == set(needed)
    values = {name: parameter.default for name, parameter in needed.items()}
    spec = resolve(ActivationSpec(family="expression", expression=expression.text, parameters=values))
    assert parse(expression.text) == expression
    x = torch.linspace(-2, 2, 9)
    assert family_of(spec).function(x, **spec.parameters).shape == x.shape


def test_known_functions_are_points_of_the_grammar() -> None:
    swish = compose({"left1": "scale", "right1": "identity", "join1": "gate"})
    assert swish.text == "gate(left1 * x, x)"
    chain = {"left1": "square", "right1": "exp", "join1": "left", "left2": "sin", "right2": "shift", "join2": "+"}
    assert compose(chain).text == "sin(x^2) + (right2 + x)"
    assert set(used_parameters(chain)) == {"right2"}


def test_operators_can_be_chosen() -> None:
    chosen = Grammar(2, ("sin", "scale", "+")).choices()
    assert chosen["left1"] == ("sin", "scale")
    assert chosen["left2"] == ("sin",)  # a parameter only on x itself, so that there are at most four
    assert chosen["join1"] == ("+",)
    assert set(Grammar(1, ("max",)).choices()["right1"]) >= {"identity", "tanh", "scale"}


@pytest.mark.parametrize(
    ("units", "operators", "field"), [(0, (), "depth"), (4, (), "depth"), (2, ("x",), "operators")]
)
def test_a_wrong_grammar_names_its_field(units: int, operators: tuple[str, ...], field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        Grammar(units, operators)
    (problem,) = caught.value.problems
    assert problem.field == field
    assert field != "operators" or problem.allowed == OPERATORS
