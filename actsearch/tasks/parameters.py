"""Checking the parameters of a task against its declaration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from actsearch.errors import FieldProblem, InvalidRequest
from actsearch.schemas import ParameterInfo, Scalar
from actsearch.tasks.declaration import Task


def resolve_parameters(task: Task, given: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """All parameters of `task`: the given ones, its defaults for the rest.

    Raises:
        InvalidRequest: naming each parameter that is unknown, of the wrong type or out of range.
    """
    declared = {info.name: info for info in task.parameters}
    problems = [
        FieldProblem(name, f"task {task.name} has no parameter {name!r}", tuple(declared))
        for name in given
        if name not in declared
    ]
    for name, info in declared.items():
        problems += _value_problems(info, given.get(name, info.default))
    if problems:
        raise InvalidRequest(*problems)
    return {name: _typed(info, given.get(name, info.default)) for name, info in declared.items()}


def _value_problems(info: ParameterInfo, value: Scalar) -> Iterator[FieldProblem]:
    allowed = tuple(str(choice) for choice in info.choices or ())
    if not _has_type(info, value):
        yield FieldProblem(info.name, f"{value!r} is not a {info.type}", allowed)
    elif info.type == "choice" and value not in (info.choices or ()):
        yield FieldProblem(info.name, f"{value!r} is not one of the choices", allowed)
    elif info.type in ("int", "float") and not _within(info, float(value)):
        low, high = ("-inf" if info.low is None else info.low), ("inf" if info.high is None else info.high)
        yield FieldProblem(info.name, f"{value} is outside [{low}, {high}]")


def _has_type(info: ParameterInfo, value: Scalar) -> bool:
    if info.type == "bool":
        return isinstance(value, bool)
    if info.type == "choice":
        return True
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return info.type == "float" or float(value).is_integer()


def _within(info: ParameterInfo, value: float) -> bool:
    return (info.low is None or value >= info.low) and (info.high is None or value <= info.high)


def _typed(info: ParameterInfo, value: Scalar) -> Scalar:
    if info.type == "int":
        return int(value)
    return float(value) if info.type == "float" else value
