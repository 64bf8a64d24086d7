"""Checking the parameters of a task against its declaration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from actsearch.errors import FieldProblem, InvalidRequest
from actsearch.schemas import ParameterInfo, Scalar, TaskValue
from actsearch.tasks.declaration import Task

Resolved = Scalar | tuple[str, ...]
"""A checked value; lists become tuples, which can be keys."""


def resolve_parameters(task: Task, given: Mapping[str, TaskValue]) -> dict[str, Resolved]:
    """All parameters of `task`: the given ones, its defaults for the rest.

    Raises:
        InvalidRequest: naming each parameter that is unknown, of the wrong type or out of range.
    """
    return resolve_against(task.parameters, task.name, given)


def resolve_against(
    declared: Sequence[ParameterInfo], task: str, given: Mapping[str, TaskValue]
) -> dict[str, Resolved]:
    """`resolve_parameters` for a task that is still to be made.

    Args:
        declared: the parameters it will have.
        task: its name, for errors.
        given: values by name.

    Raises:
        InvalidRequest: see `resolve_parameters`.
    """
    infos = {info.name: info for info in declared}
    problems = [
        FieldProblem(name, f"task {task} has no parameter {name!r}", tuple(infos))
        for name in given
        if name not in infos
    ]
    for name, info in infos.items():
        problems += _value_problems(info, given.get(name, info.default))
    if problems:
        raise InvalidRequest(*problems)
    return {name: _typed(info, given.get(name, info.default)) for name, info in infos.items()}


def _value_problems(info: ParameterInfo, value: TaskValue) -> Iterator[FieldProblem]:
    allowed = tuple(str(choice) for choice in info.choices or ())
    if not _has_type(info, value):
        what = {"list": "list of texts", "int": "integer"}.get(info.type, info.type)
        yield FieldProblem(info.name, f"{value!r} is not a {what}", allowed)
    elif info.type == "choice" and value not in (info.choices or ()):
        yield FieldProblem(info.name, f"{value!r} is not one of the choices: {', '.join(allowed)}", allowed)
    elif isinstance(value, int | float) and info.type in ("int", "float") and not _within(info, value):
        low, high = ("-inf" if info.low is None else info.low), ("inf" if info.high is None else info.high)
        yield FieldProblem(info.name, f"{value} is outside [{low}, {high}]")


def _has_type(info: ParameterInfo, value: TaskValue) -> bool:
    if info.type == "list":
        return isinstance(value, list | tuple) and all(isinstance(entry, str) for entry in value)
    if info.type in ("bool", "text"):
        return isinstance(value, bool if info.type == "bool" else str)
    if info.type == "choice":
        return True
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return info.type == "float" or float(value).is_integer()


def _within(info: ParameterInfo, value: float) -> bool:
    return (info.low is None or value >= info.low) and (info.high is None or value <= info.high)


def _typed(info: ParameterInfo, value: TaskValue) -> Resolved:
    if isinstance(value, list | tuple):
        return tuple(value)
    if info.type == "int":
        return int(value)
    return float(value) if info.type == "float" else value
