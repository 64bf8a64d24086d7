"""What a worker and its device processes say to each other: one JSON object a line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, TypeAdapter

Fault = Literal["job", "worker", "infrastructure"]
"""Whose fault it is that a slice failed: what the job asks for, this worker or device, or the database."""


@dataclass(frozen=True)
class Run:
    """Work on a job for a time slice.

    Args:
        runner: the queue's id of the runner task.
        lease: the task's `attempts` when it was fetched: who puts a task back on the queue raises them, so that runner
            and lease together say whose task it is.
        worker: the worker's name, recorded with each trial.
        seconds: length of the time slice.
        attempts: times a trial is tried when crashes interrupt it.
    """

    job_id: UUID
    runner: int
    lease: int
    worker: str
    seconds: float
    attempts: int
    kind: Literal["run"] = "run"


@dataclass(frozen=True)
class Drain:
    """Begin no further cohort, and give up the present one after `seconds`."""

    seconds: float
    kind: Literal["drain"] = "drain"


@dataclass(frozen=True)
class Ready:
    """The device process is up."""

    kind: Literal["ready"] = "ready"


@dataclass(frozen=True)
class Beat:
    """The device process lives; sent every second.

    Args:
        steps: training steps done since it started.
        moves: other things done since then (trials proposed, rungs reported ...).
        stepping: the next thing done will be another step of the same epoch.
    """

    steps: int
    moves: int
    stepping: bool = False
    kind: Literal["beat"] = "beat"


@dataclass(frozen=True)
class Done:
    """The slice is over; `more` says whether the job has work left for this runner."""

    more: bool
    kind: Literal["done"] = "done"


@dataclass(frozen=True)
class Broken:
    """The slice ended in an error that is not a trial's own; `fault` says whose it is."""

    detail: str
    fault: Fault = "job"
    kind: Literal["broken"] = "broken"


Answer = Ready | Done | Broken
Order = Annotated[Run | Drain, Field(discriminator="kind")]
Reply = Annotated[Ready | Beat | Done | Broken, Field(discriminator="kind")]

_ORDERS: TypeAdapter[Order] = TypeAdapter(Order)
_REPLIES: TypeAdapter[Reply] = TypeAdapter(Reply)


def to_line(message: Order | Reply) -> bytes:
    """A message as a line of JSON."""
    return TypeAdapter(type(message)).dump_json(message) + b"\n"


def parse_order(line: bytes) -> Order:
    """The order in a line; raises `pydantic.ValidationError` for anything else."""
    return _ORDERS.validate_json(line)


def parse_reply(line: bytes) -> Reply:
    """The reply in a line; raises `pydantic.ValidationError` for anything else."""
    return _REPLIES.validate_json(line)
