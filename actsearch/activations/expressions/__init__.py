"""Activations that a request writes out, `max(x, 0) * sigmoid(beta * x)`, as trees of whitelisted operators."""

from __future__ import annotations

from actsearch.activations.expressions.family import EXPRESSION, expression_family, family_of
from actsearch.activations.expressions.grammar import GRAMMAR, Grammar
from actsearch.activations.expressions.parse import parse
from actsearch.activations.expressions.tree import Expression

__all__ = ["EXPRESSION", "GRAMMAR", "Expression", "Grammar", "expression_family", "family_of", "parse"]
