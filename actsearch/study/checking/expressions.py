"""Checking the choices of a request that are functions written out, or a grammar to make them up from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from actsearch.activations import EXPRESSION, GRAMMAR, expression_family, fingerprint
from actsearch.errors import FieldProblem, InvalidRequest
from actsearch.schemas import FamilyChoice, FamilyTags
from actsearch.space import choice_label, chosen_families, chosen_grammar, only_activation


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
        raise InvalidRequest(FieldProblem("expression", "required, for example max(x, 0) * sigmoid(beta * x)"))
    elif choice.name == EXPRESSION:
        expression_family(choice.expression or "")


def same_function_problems(field: str, choices: Sequence[FamilyChoice | FamilyTags]) -> Iterator[FieldProblem]:
    """Expressions that compute what another choice does, neither leaving anything to be searched.

    They would be one candidate under two names, and each a finalist's place less.

    Args:
        field: where the choices are in the request, `space.families`.
        choices: checked by themselves.
    """
    written = [(i, c) for i, c in enumerate(choices) if isinstance(c, FamilyChoice) and c.expression is not None]
    if not written:
        return
    known: dict[str, str] = {}
    for choice in chosen_families(choices):
        function = None if choice.expression is not None else _function(choice)
        if function is not None:
            known.setdefault(function, choice.name)
    for i, choice in written:
        function, label = _function(choice), choice_label(choice)
        if function is None:
            continue
        other = known.setdefault(function, label)
        if other != label:
            message = f"{label} is the same function as {other}, which is searched too; leave one out"
            yield FieldProblem(f"{field}.{i}.expression", message)


def _function(choice: FamilyChoice) -> str | None:
    """The fingerprint of a choice that is one activation; None if it is several."""
    one = only_activation(choice)
    return None if one is None else fingerprint(one)
