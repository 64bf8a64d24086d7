"""From what a user wrote to a complete activation: defaults filled in, every value checked."""

from __future__ import annotations

from collections.abc import Iterator

from actsearch.activations.declaration import Family, families
from actsearch.activations.expressions.family import EXPRESSION, family_of
from actsearch.errors import FieldProblem, InvalidRequest
from actsearch.schemas import ActivationSpec


def resolve(spec: ActivationSpec) -> ActivationSpec:
    """`spec` with the family's defaults filled in: every parameter has a value and `learned` is set.

    An expression has no defaults; its text comes out in the one way that `Expression.text` writes it.

    Raises:
        InvalidRequest: for an unknown family or parameter, a value out of its declared range, `learned` asked of a
            family without learnable parameters, or an expression that is none; fields are relative to the spec
            (`parameters.slope`).
    """
    _check_family(spec)
    declared = family_of(spec)
    problems = tuple(_problems(spec, declared))
    if problems:
        raise InvalidRequest(*problems)
    values = {name: float(spec.parameters.get(name, p.default)) for name, p in declared.parameters.items()}
    return ActivationSpec(
        family=spec.family,
        parameters=values,
        learned=spec.learned or declared.learned,
        expression=None if spec.expression is None else declared.formula,
    )


def _check_family(spec: ActivationSpec) -> None:
    if spec.family == EXPRESSION:
        if spec.expression is None:
            raise InvalidRequest(FieldProblem("expression", "say which, such as max(x, 0) * sigmoid(beta * x)"))
    elif spec.family not in families():
        message = f"there is no family {spec.family!r}; choose one of `allowed`"
        raise InvalidRequest(FieldProblem("family", message, (*families(), EXPRESSION)))
    elif spec.expression is not None:
        raise InvalidRequest(FieldProblem("expression", f"only the family {EXPRESSION!r} takes one; leave it out"))


def learned_names(spec: ActivationSpec) -> tuple[str, ...]:
    """Names of the parameters of a resolved spec that are trained with the weights."""
    if spec.learned in (None, "fixed"):
        return ()
    return tuple(name for name, p in family_of(spec).parameters.items() if p.learnable)


def _problems(spec: ActivationSpec, declared: Family) -> Iterator[FieldProblem]:
    for name, value in spec.parameters.items():
        parameter = declared.parameters.get(name)
        if parameter is None:
            message = f"{declared.name} has no parameter {name!r}"
            yield FieldProblem(f"parameters.{name}", message, tuple(declared.parameters))
        elif not parameter.low <= value <= parameter.high:
            message = (
                f"{value:g} is out of range; {declared.name} takes {parameter.low:g} <= {name} <= {parameter.high:g}"
            )
            yield FieldProblem(f"parameters.{name}", message)
    if spec.expression is not None:
        for name in (name for name in declared.parameters if name not in spec.parameters):
            yield FieldProblem(f"parameters.{name}", f"{name} is a parameter of the expression; give it a value")
    if spec.learned in ("scalar", "channel") and "learnable" not in declared.tags:
        yield FieldProblem("learned", f"{declared.name} has no parameter that can be learned", ("fixed",))
