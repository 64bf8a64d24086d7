"""What can be searched, and who searches."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import Field

from actsearch.schemas.base import Scalar, Schema, TaskValue
from actsearch.schemas.requests import ActivationSpec
from actsearch.schemas.states import Direction


class ParameterInfo(Schema):
    """A hyperparameter of a family, an architecture or a task.

    Args:
        type: `float`, `int`, `bool`, `choice`, or (tasks only) `text` and `list`, a list of texts.
        low, high: inclusive range for numbers.
        log: searched on a log scale.
        choices: for `choice`.
        learnable: may be trained with the weights (activations only).
    """

    name: str
    type: Literal["float", "int", "bool", "choice", "text", "list"]
    default: TaskValue
    low: float | None = None
    high: float | None = None
    log: bool = False
    choices: list[Scalar] | None = None
    learnable: bool = False
    description: str = ""


class FamilyInfo(Schema):
    """A family of the catalogue.

    Args:
        gain: of the default parameters, see the catalogue's docs.
        year: of publication; null for the classical functions.
        alias_of: the family that computes the same under another name.
    """

    name: str
    formula: str
    reference: str
    year: int | None
    parameters: list[ParameterInfo]
    gain: float
    smooth: bool
    monotone: bool
    bounded: bool
    cost: str
    tags: list[str]
    alias_of: str | None = None


class ActivationCurve(Schema):
    """An activation sampled at points `x`: its value and its derivative there (null where they are not finite)."""

    x: list[float]
    value: list[float | None]
    derivative: list[float | None]


class ActivationInfo(FamilyInfo):
    """A family with one of its activations: `GET /v1/activations/{family}`.

    Args:
        activation: the activation that `gain`, `snippet` and `curve` are of, with all its parameters.
        chi: E[f'(z)^2] gain^2 for z ~ N(0, 1): gradients of a deep plain network vanish below 1 and explode above.
        snippet: PyTorch code that needs nothing else.
    """

    activation: ActivationSpec
    chi: float | None
    snippet: str
    curve: ActivationCurve


class ArchitectureInfo(Schema):
    """An architecture: `inputs` are the kinds of task input it takes.

    Args:
        parameter_schema: JSON Schema of the object `architecture.parameters` of a request.
        baseline: what a job compares with unless its request says otherwise: the activation that people use in it.
        role_baselines: by stage, the same for roles with an activation of their own, such as the gates of an `rnn`.
    """

    name: str
    description: str
    inputs: list[str]
    parameters: list[ParameterInfo]
    parameter_schema: dict[str, Any]
    baseline: ActivationSpec
    role_baselines: dict[str, ActivationSpec] = Field(default_factory=dict)


class TaskInfo(Schema):
    """A task: what it is, its input shape without the batch axis, its metrics and the one it is judged by.

    Args:
        notes: of own data, what was guessed when they were read, and what looks strange in them.
    """

    name: str
    description: str
    kind: str
    input_shape: list[int]
    outputs: int
    samples: dict[str, int]
    metric: str
    metrics: dict[str, Direction]
    source: str
    architectures: list[str]
    parameters: list[ParameterInfo] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)


class WorkerInfo(Schema):
    """A worker whose heartbeat is fresh.

    Args:
        problems: why devices of it take no work at present, one line for each such device; empty when all is well.
    """

    id: UUID
    name: str
    devices: list[str]
    problems: list[str] = Field(default_factory=list)
    started_at: datetime
    last_seen_at: datetime
