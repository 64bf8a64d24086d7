"""From the parameters that a request gives to complete, checked ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from actsearch.architectures.declaration import Architecture
from actsearch.errors import FieldProblem, InvalidRequest
from actsearch.schemas import ParameterInfo, Scalar


def resolve_parameters(architecture: Architecture, parameters: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """An architecture's parameters, complete: what was given, checked, and defaults for the rest.

    An integer may stand for a float, and a float without a fraction for an integer (samplers and JSON blur them).

    Raises:
        InvalidRequest: naming every parameter that is unknown, of the wrong type or out of range.
    """
    problems = tuple(_problems(architecture, parameters))
    if problems:
        raise InvalidRequest(*problems)
    defaults = {info.name: info.default for info in architecture.parameters if not isinstance(info.default, list)}
    complete = {**defaults, **parameters}
    return {info.name: _typed(info, complete[info.name]) for info in architecture.parameters}


def _problems(architecture: Architecture, parameters: Mapping[str, Scalar]) -> Iterator[FieldProblem]:
    known = {info.name: info for info in architecture.parameters}
    for name, value in parameters.items():
        if name not in known:
            yield FieldProblem(name, f"{architecture.name} has no parameter {name!r}", tuple(known))
            continue
        message = complaint(known[name], value)
        if message:
            yield FieldProblem(name, message, _allowed(known[name]))


def complaint(info: ParameterInfo, value: Scalar) -> str | None:
    """What is wrong with a value of a parameter, as it would be trained with; None if nothing is."""
    if info.type == "choice":
        fits = any(type(value) is type(choice) and value == choice for choice in info.choices or ())
        return None if fits else f"{value!r} is not among the choices"
    if info.type == "bool":
        return None if isinstance(value, bool) else f"{value!r} is neither true nor false"
    if isinstance(value, bool | str):
        return f"{value!r} is not a number"
    if info.type == "int" and value != int(value):
        return f"must be an integer, not {value:g}"
    below, above = info.low is not None and value < info.low, info.high is not None and value > info.high
    return f"{value:g} is out of range" if below or above else None


def _allowed(info: ParameterInfo) -> tuple[str, ...]:
    if info.type == "choice":
        return tuple(str(choice) for choice in info.choices or ())
    if info.type == "bool":
        return ("true", "false")
    low, high = ("" if end is None else format(end, "g") for end in (info.low, info.high))
    ends = f"{low} to {high}"
    return (f"{ends}, integers" if info.type == "int" else ends,)


def _typed(info: ParameterInfo, value: Scalar) -> Scalar:
    if info.type == "int":
        return int(value)
    return float(value) if info.type == "float" else value
