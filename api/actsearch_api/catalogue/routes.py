"""`/v1/activations`, `/v1/architectures`, `/v1/tasks`."""

from __future__ import annotations

from functools import cache

from fastapi import APIRouter

from actsearch import activations, architectures, tasks
from actsearch.schemas import ArchitectureInfo, FamilyInfo, Page, TaskInfo

router = APIRouter(prefix="/v1", tags=["catalogue"])


@router.get("/activations")
def list_activations() -> Page[FamilyInfo]:
    """The families that can be searched, with their hyperparameters and ranges."""
    return Page[FamilyInfo](items=_families())


@router.get("/architectures")
def list_architectures() -> Page[ArchitectureInfo]:
    """The networks that can be trained."""
    return Page[ArchitectureInfo](items=[architectures.describe(a) for a in architectures.architectures().values()])


@router.get("/tasks")
def list_tasks() -> Page[TaskInfo]:
    """The tasks to train on, and which architectures take their inputs."""
    return Page[TaskInfo](items=_tasks())


@cache
def _families() -> list[FamilyInfo]:
    return [activations.describe(family) for family in activations.families().values()]


@cache
def _tasks() -> list[TaskInfo]:
    found = []
    for task in tasks.tasks().values():
        kind = tasks.load(task.name).input_kind
        fitting = [name for name, a in architectures.architectures().items() if kind in a.inputs]
        found.append(tasks.describe(task, fitting))
    return found
