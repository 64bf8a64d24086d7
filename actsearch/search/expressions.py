"""Checking the choices of a request that are functions written out, or a grammar to make them up from."""

from __future__ import annotations

from collections.abc import Iterator

from actsearch.activations import EXPRESSION, GRAMMAR, expression_family
from actsearch.errors import FieldProblem, InvalidRequest
from actsearch.schemas import FamilyChoice
from actsearch.space import chosen_grammar


def expression_problems(field: str, choice: FamilyChoice) -> Iterator[FieldProblem]:
    """What of a choice does not go with its name, or is no expression or grammar.

    Args:
        field: where the choice is in the request, `space.families.0`.
    """
    if choice.expression is not None and choice.name != EXPRESSION:
        yield FieldProblem(f"{field}.expression", f"only the name {EXPRESSION!r} takes one; leave it out")
    for name in ("depth", "operators"):
        if getattr(choice, name) is not None and choice.name != GRAMMAR:
            yield FieldProblem(f"{field}.{name}", f"only the name {GRAMMAR!r} takes it; leave it out")
    if choice.parameters and choice.name == GRAMMAR:
        yield FieldProblem(f"{field}.parameters", "a grammar makes up its own parameters; leave them out")
    try:
        _check(choice)
    except InvalidRequest as error:
        yield from (FieldProblem(f"{field}.{p.field}", p.message, p.allowed) for p in error.problems)


def _check(choice: FamilyChoice) -> None:
    if choice.name == GRAMMAR:
        chosen_grammar(choice)
    elif choice.name == EXPRESSION and choice.expression is None:
        raise InvalidRequest(FieldProblem("expression", "say which, such as max(x, 0) * sigmoid(beta * x)"))
    elif choice.name == EXPRESSION:
        expression_family(choice.expression or "")
