"""From what a user wrote to a complete activation: defaults filled in, every value checked."""

from __future__ import annotations

from collections.abc import Iterator

from actsearch.activations.declaration import Family, families, get_family
from actsearch.errors import FieldProblem, InvalidRequest
from actsearch.schemas import ActivationSpec


def resolve(spec: ActivationSpec) -> ActivationSpec:
    """`spec` with the family's defaults filled in: every parameter has a value and `learned` is set.

    Raises:
        InvalidRequest: for an unknown family or parameter, a value out of its declared range, or `learned` asked of a
            family without learnable parameters; fields are relative to the spec (`parameters.slope`).
    """
    if spec.family not in families():
        message = f"there is no family {spec.family!r}; choose one of `allowed`"
        raise InvalidRequest(FieldProblem("family", message, tuple(families())))
    declared = get_family(spec.family)
    problems = tuple(_problems(spec, declared))
    if problems:
        raise InvalidRequest(*problems)
    values = {name: float(spec.parameters.get(name, p.default)) for name, p in declared.parameters.items()}
    return ActivationSpec(family=spec.family, parameters=values, learned=spec.learned or declared.learned)


def learned_names(spec: ActivationSpec) -> tuple[str, ...]:
    """Names of the parameters of a resolved spec that are trained with the weights."""
    if spec.learned in (None, "fixed"):
        return ()
    return tuple(name for name, p in get_family(spec.family).parameters.items() if p.learnable)


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
    if spec.learned in ("scalar", "channel") and "learnable" not in declared.tags:
        yield FieldProblem("learned", f"{declared.name} has no parameter that can be learned", ("fixed",))
