"""`/v1/activations`, `/v1/architectures`, `/v1/tasks`."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from functools import cache
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from actsearch import activations, architectures, tasks
from actsearch.errors import FieldProblem, InvalidRequest
from actsearch.schemas import (
    PRINTABLE,
    ActivationInfo,
    ActivationSpec,
    ArchitectureInfo,
    FamilyInfo,
    Number,
    Page,
    TaskChoice,
    TaskInfo,
    TaskValue,
)
from actsearch_api.problems import documented

router = APIRouter(prefix="/v1", tags=["catalogue"])


class ActivationFilter(BaseModel):
    """Which activation of a family, and where to sample it.

    Args:
        parameter: `NAME=VALUE`, once for each hyperparameter that is not to have its default.
        learned: which parameters the PyTorch code trains, see `ActivationSpec`.
        expression: the function, for the family `expression`.
    """

    model_config = ConfigDict(extra="forbid")

    parameter: Annotated[list[Annotated[str, Field(max_length=200)]], Field(max_length=100)] = Field(
        default_factory=list
    )
    learned: Literal["fixed", "scalar", "channel"] | None = None
    expression: Annotated[str, Field(min_length=1, max_length=400, pattern=PRINTABLE)] | None = None
    low: Annotated[Number, Field(ge=-1000, le=1000)] = -5.0
    high: Annotated[Number, Field(ge=-1000, le=1000, validate_default=True)] = 5.0
    points: Annotated[int, Field(ge=2, le=2001)] = 201

    @field_validator("high")
    @classmethod
    def _ordered(cls, high: float, info: ValidationInfo) -> float:
        low = info.data.get("low")
        if low is not None and high <= low:
            raise ValueError(f"high ({high:g}) must be above low ({low:g})")
        return high


@router.get("/activations")
def list_activations() -> Page[FamilyInfo]:
    """The families that can be searched, with their hyperparameters and ranges."""
    return Page[FamilyInfo](items=_families())


@router.get("/activations/{family}", responses=documented(404, 422))
def get_activation(
    family: Annotated[str, Path(max_length=100, description="Name of the family, or `expression`.")],
    wanted: Annotated[ActivationFilter, Query()],
) -> ActivationInfo:
    """A family, and its activation with some parameters: gain, PyTorch code, curve of value and derivative."""
    if family != activations.EXPRESSION:
        activations.get_family(family)
    values = _values(wanted.parameter)
    spec = ActivationSpec(family=family, parameters=values, learned=wanted.learned, expression=wanted.expression)
    try:
        return activations.describe_activation(spec, wanted.low, wanted.high, wanted.points)
    except InvalidRequest as error:
        raise InvalidRequest(*(_of_parameter(problem) for problem in error.problems)) from error


@router.get("/architectures")
def list_architectures() -> Page[ArchitectureInfo]:
    """The networks that can be trained."""
    return Page[ArchitectureInfo](items=[architectures.describe(a) for a in architectures.architectures().values()])


@router.get("/tasks")
def list_tasks() -> Page[TaskInfo]:
    """The tasks to train on, and which architectures take their inputs."""
    return Page[TaskInfo](items=_tasks())


@router.get("/tasks/{name:path}", responses=documented(404, 422))
def get_task(
    name: Annotated[str, Path(max_length=100, description="Name of the task; own data: `data:<path>[:<column>]`.")],
    parameters: Annotated[
        str, Query(max_length=2000, description="The task's parameters as a JSON object, as in a request.")
    ] = "{}",
) -> TaskInfo:
    """A task: shapes, sizes, parameters and, for own data, what was guessed when they were read."""
    given = _task_parameters(parameters)
    try:
        task = tasks.get_task(name, given)
        kind = tasks.load(name, given).input_kind
    except InvalidRequest as error:
        raise InvalidRequest(*(_in_query(problem) for problem in error.problems)) from error
    return tasks.describe(task, _fitting(kind), given)


def _of_parameter(problem: FieldProblem) -> FieldProblem:
    """The problem in the request's own words: there a value is `parameter=NAME=VALUE`."""
    field = "parameter" if problem.field.startswith("parameters.") else problem.field
    return FieldProblem(field, problem.message, problem.allowed)


def _task_parameters(text: str) -> dict[str, TaskValue]:
    try:
        return TaskChoice.model_validate({"name": "-", "parameters": json.loads(text)}).parameters
    except ValueError as error:
        message = "is not a JSON object of numbers, texts, truth values and lists of texts"
        raise InvalidRequest(FieldProblem("parameters", message)) from error


def _in_query(problem: FieldProblem) -> FieldProblem:
    field = "name" if problem.field == "task.name" else f"parameters.{problem.field}"
    return FieldProblem(field, problem.message, problem.allowed)


@cache
def _families() -> list[FamilyInfo]:
    return [activations.describe(family) for family in activations.families().values()]


@cache
def _tasks() -> list[TaskInfo]:
    return [tasks.describe(task, _fitting(tasks.load(task.name).input_kind)) for task in tasks.tasks().values()]


def _fitting(kind: tasks.InputKind) -> list[str]:
    """Architectures that take this kind of input."""
    return [name for name, a in architectures.architectures().items() if kind in a.inputs]


def _values(given: Sequence[str]) -> dict[str, float]:
    """`NAME=VALUE` texts as values by name."""
    found: dict[str, float] = {}
    for text in given:
        name, _, value = text.partition("=")
        number = _number(value)
        if number is None:
            raise InvalidRequest(FieldProblem("parameter", f"{text!r} is not NAME=NUMBER"))
        found[name] = number
    return found


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
