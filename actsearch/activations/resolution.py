"""From what a user wrote to a complete activation: defaults filled in, every value checked."""

from __future__ import annotations

from collections.abc import Iterator

from actsearch.activations.declaration import Family, families
from actsearch.activations.expressions.family import EXPRESSION, family_of
from actsearch.activations.given import AS_GIVEN
from actsearch.errors import FieldProblem, InvalidRequest, unknown
from actsearch.schemas import ActivationSpec


def resolve(spec: ActivationSpec) -> ActivationSpec:
    """`spec` with the family's defaults filled in: every parameter in use has a value and `learned` is set.

    An expression has no defaults; its text comes out in the one way that `Expression.text` writes it.

    Raises:
        InvalidRequest: for an unknown family or parameter, one that is not in use (`Family.used`), a value out of its
            declared range or with a fraction where a integer is required, `learned` asked of a family without
            learnable parameters, or an expression that is none; fields are relative to the spec (`parameters.slope`).
    """
    _check_family(spec)
    declared = family_of(spec)
    problems = tuple(_problems(spec, declared))
    if problems:
        raise InvalidRequest(*problems)
    used = {name: declared.parameters[name].default for name in declared.used(spec.parameters)}
    values = {name: float(spec.parameters.get(name, default)) for name, default in used.items()}
    return ActivationSpec(
        family=spec.family,
        parameters=values,
        learned=spec.learned or declared.learned,
        expression=None if spec.expression is None else declared.formula,
    )


def _check_family(spec: ActivationSpec) -> None:
    if spec.family == EXPRESSION:
        if spec.expression is None:
            raise InvalidRequest(FieldProblem("expression", "required, for example max(x, 0) * sigmoid(beta * x)"))
    elif spec.family not in (*families(), AS_GIVEN):
        known = (*families(), EXPRESSION)
        raise InvalidRequest(FieldProblem("family", unknown("family", spec.family, known), known))
    elif spec.expression is not None:
        raise InvalidRequest(FieldProblem("expression", f"only the family {EXPRESSION!r} takes one; leave it out"))


def learned_names(spec: ActivationSpec) -> tuple[str, ...]:
    """Names of the parameters of a resolved spec that are trained with the weights."""
    if spec.learned in (None, "fixed"):
        return ()
    declared = family_of(spec).parameters
    return tuple(name for name in spec.parameters if declared[name].learnable)


def _problems(spec: ActivationSpec, declared: Family) -> Iterator[FieldProblem]:
    used = declared.used(spec.parameters)
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
        elif parameter.whole and value != int(value):
            yield FieldProblem(f"parameters.{name}", f"{name} must be an integer, not {value:g}")
        elif parameter.needs is not None and name not in used:
            other, least = parameter.needs
            yield FieldProblem(f"parameters.{name}", f"{name} is in use only with {other} >= {least}; leave it out")
    if spec.expression is not None:
        for name in (name for name in declared.parameters if name not in spec.parameters):
            yield FieldProblem(f"parameters.{name}", f"{name} is a parameter of the expression; give it a value")
    if spec.learned in ("scalar", "channel") and "learnable" not in declared.tags:
        yield FieldProblem("learned", f"{declared.name} has no parameter that can be learned", ("fixed",))
