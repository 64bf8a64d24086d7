"""What can be wrong with the search space of a request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from actsearch.activations import GRAMMAR, Family, expression_family, families
from actsearch.architectures import Architecture, complaint
from actsearch.errors import FieldProblem
from actsearch.schemas import Choices, FamilyChoice, FamilyTags, JobRequest, ParameterInfo, Range, Scalar
from actsearch.space import choice_label, chosen_families
from actsearch.study.checking.expressions import same_function_problems

_TRAINING_LIMITS = {
    "learning_rate": (0.0, 1000.0),
    "weight_decay": (0.0, 1000.0),
    "momentum": (0.0, 1.0),
    "initial_scale": (0.0, 100.0),
}
_ABOVE_ZERO = ("learning_rate", "initial_scale")


def listed_choices(request: JobRequest) -> Sequence[FamilyChoice | FamilyTags]:
    """The families as a request lists them; none where it wants `all`."""
    return [] if request.space.families == "all" else request.space.families


def space_problems(request: JobRequest, architecture: Architecture) -> Iterator[FieldProblem]:
    """What is wrong with the hyperparameters, ranges and choices of families, architecture and training.

    Args:
        request: whose families are known by name.
    """
    choices = listed_choices(request)
    yield from list(_choice_problems(choices)) or same_function_problems("space.families", choices)
    declared = {info.name: info for info in architecture.parameters}
    for name, searched in request.space.architecture.items():
        yield from _architecture_problems(f"space.architecture.{name}", name, searched, declared)
    for name, searched in request.space.training.items():
        low, high = _TRAINING_LIMITS[name]
        yield from _number_problems(f"space.training.{name}", name, searched)
        yield from _limit_problems(f"space.training.{name}", searched, low, high, open_low=name in _ABOVE_ZERO)
        if name == "momentum" and request.training.optimizer != "sgd":
            yield FieldProblem("space.training.momentum", "only sgd has momentum; set training.optimizer to sgd")


def _choice_problems(choices: Sequence[FamilyChoice | FamilyTags]) -> Iterator[FieldProblem]:
    seen: set[str] = set()
    listed = {choice.name for choice in chosen_families(choices)}
    for i, choice in enumerate(choices):
        if isinstance(choice, FamilyTags):
            continue
        label = choice_label(choice)
        if label in seen:
            yield FieldProblem(f"space.families.{i}.name", f"{label} is listed twice; leave one out")
        seen.add(label)
        if choice.name == GRAMMAR:
            continue
        other = None if choice.expression else families()[choice.name].alias_of
        if other in listed:
            message = f"{choice.name} is another name of {other}, which is listed too; leave one out"
            yield FieldProblem(f"space.families.{i}.name", message)
        yield from _family_problems(f"space.families.{i}", choice)


def _family_problems(field: str, choice: FamilyChoice) -> Iterator[FieldProblem]:
    family = expression_family(choice.expression) if choice.expression else families()[choice.name]
    declared = family.parameters
    for name in declared:
        if choice.expression and name not in choice.parameters:
            message = f"{name} is a parameter of the expression; give it a value or a range"
            yield FieldProblem(f"{field}.parameters.{name}", message)
    for name, wanted in choice.parameters.items():
        if name not in declared:
            message = f"{choice.name} has no hyperparameter {name!r}"
            yield FieldProblem(f"{field}.parameters.{name}", message, tuple(declared))
            continue
        parameter = declared[name]
        yield from _number_problems(f"{field}.parameters.{name}", name, wanted)
        yield from _limit_problems(f"{field}.parameters.{name}", wanted, parameter.low, parameter.high)
        if parameter.whole:
            yield from _whole_problems(f"{field}.parameters.{name}", name, wanted)
        if parameter.needs is not None:
            yield from _need_problems(f"{field}.parameters.{name}", name, choice, family)
    if choice.learned in ("scalar", "channel") and "learnable" not in family.tags:
        yield FieldProblem(f"{field}.learned", f"{choice.name} has no parameter that can be learned", ("fixed",))


def _number_problems(field: str, name: str, wanted: Range | Choices | float) -> Iterator[FieldProblem]:
    if isinstance(wanted, Choices) and any(isinstance(value, str | bool) for value in wanted.choices):
        yield FieldProblem(f"{field}.choices", f"{name} is a number; give numbers")


def _architecture_problems(
    field: str, name: str, searched: Range | Choices, declared: Mapping[str, ParameterInfo]
) -> Iterator[FieldProblem]:
    if name not in declared:
        yield FieldProblem(field, f"the architecture has no parameter {name!r}", tuple(declared))
        return
    info = declared[name]
    if isinstance(searched, Range) and info.type not in ("int", "float"):
        yield FieldProblem(
            field, f"{name} is not a number; give choices", tuple(map(str, info.choices or (True, False)))
        )
        return
    if isinstance(searched, Choices):
        for place, value in enumerate(searched.choices):
            if message := complaint(info, value):
                yield FieldProblem(f"{field}.choices.{place}", message, tuple(map(str, info.choices or ())))
        return
    if info.type == "int":
        yield from _whole_problems(field, name, searched)
    yield from _limit_problems(field, searched, info.low, info.high)


def _whole_problems(field: str, name: str, wanted: Range | Choices | float) -> Iterator[FieldProblem]:
    numbers = [value for _, value in _ends(wanted) if isinstance(value, int | float)]
    steps = [wanted.step] if isinstance(wanted, Range) and wanted.step is not None else []
    if any(value != int(value) for value in [*numbers, *steps]):
        yield FieldProblem(field, f"{name} must be an integer; so must its values and the step of a range")


def _need_problems(field: str, name: str, choice: FamilyChoice, family: Family) -> Iterator[FieldProblem]:
    """A hyperparameter that no trial can use."""
    other, least = family.parameters[name].needs or ("", 0)
    wanted = choice.parameters.get(other, family.parameters[other].default)
    if all(value < least for _, value in _ends(wanted) if isinstance(value, int | float)):
        yield FieldProblem(field, f"{name} is in use only with {other} >= {least}, which is not searched; leave it out")


def _limit_problems(
    field: str, searched: Range | Choices | float, low: float | None, high: float | None, *, open_low: bool = False
) -> Iterator[FieldProblem]:
    for end, value in _ends(searched):
        if isinstance(value, str | bool):
            continue
        below = low is not None and (value < low or (open_low and value == low))
        if below or (high is not None and value > high):
            where = f"{field}.{end}" if end else field
            yield FieldProblem(where, f"{value:g} is outside {'(' if open_low else '['}{low:g}, {high:g}]")


def _ends(searched: Range | Choices | float) -> Sequence[tuple[str, Scalar]]:
    if isinstance(searched, Range):
        return [("low", searched.low), ("high", searched.high)]
    if isinstance(searched, Choices):
        return [(f"choices.{i}", choice) for i, choice in enumerate(searched.choices)]
    return [("", searched)]
