"""The family that an expression makes: a function with up to four parameters, like any of the catalogue."""

from __future__ import annotations

from functools import lru_cache

from actsearch.activations.declaration import Cost, Family, Parameter, get_family
from actsearch.activations.expressions.operators import OPERATORS
from actsearch.activations.expressions.parse import parse
from actsearch.activations.expressions.tree import Call, Expression, nodes
from actsearch.activations.given import AS_GIVEN, GIVEN_FAMILY
from actsearch.schemas import ActivationSpec

EXPRESSION = "expression"
LARGEST = 1000.0
"""Largest magnitude of an expression's parameter."""


@lru_cache(maxsize=4096)
def expression_family(text: str) -> Family:
    """The family of an expression; nothing is claimed of its shape.

    Raises:
        InvalidRequest: see `parse`.
    """
    expression = parse(text)
    parameter = Parameter(1.0, -LARGEST, LARGEST, learnable=True, description="parameter of the expression")
    return Family(
        name=EXPRESSION,
        function=expression,
        formula=expression.text,
        reference="an expression of the request",
        parameters=dict.fromkeys(expression.parameters, parameter),
        cost=_cost(expression),
    )


def _cost(expression: Expression) -> Cost:
    """By the number of operators that are no arithmetic."""
    dear = sum(isinstance(node, Call) and OPERATORS[node.operator].dear for node in nodes(expression.tree))
    return "cheap" if not dear else "exponential" if dear == 1 else "composite"


def family_of(spec: ActivationSpec) -> Family:
    """The family of an activation: the catalogue's, or the one that its expression makes, or `as given`.

    Raises:
        NotFound: if the catalogue has no such family.
        InvalidRequest: see `parse`.
    """
    if spec.family == AS_GIVEN:
        return GIVEN_FAMILY
    return get_family(spec.family) if spec.expression is None else expression_family(spec.expression)
