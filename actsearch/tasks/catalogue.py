"""What the rest of the project asks of a task: its data, loaded once a process, and its description."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from actsearch.schemas import TaskInfo, TaskValue
from actsearch.tasks import declaration
from actsearch.tasks.declaration import Dataset, Task
from actsearch.tasks.own_data import PREFIX, own_task
from actsearch.tasks.parameters import Resolved, resolve_parameters


def get_task(name: str, parameters: Mapping[str, TaskValue] | None = None) -> Task:
    """The task called `name`: a declared one, or `data:<path>` for the user's own data.

    Args:
        name: of the task.
        parameters: how own data are to be read; a declared task is the same with any.

    Raises:
        NotFound: naming the known ones.
        InvalidRequest: for own data that cannot be used; names file, column, shape or class.
    """
    return own_task(name, parameters=parameters) if name.startswith(PREFIX) else declaration.get_task(name)


def load(name: str, parameters: Mapping[str, TaskValue] | None = None) -> Dataset:
    """The data of task `name`; a second call with the same parameters returns the same object.

    Args:
        name: of the task.
        parameters: of the task; its defaults fill in the rest.

    Raises:
        NotFound: for an unknown task.
        InvalidRequest: naming each parameter that is unknown, of the wrong type or out of range; or own data
            that cannot be used.
    """
    task = get_task(name, parameters)
    return _load(task, tuple(sorted(resolve_parameters(task, parameters or {}).items())))


@lru_cache(maxsize=16)
def _load(task: Task, parameters: tuple[tuple[str, Resolved], ...]) -> Dataset:
    return task.load(**dict(parameters))


def describe(task: Task, architectures: Sequence[str], parameters: Mapping[str, TaskValue] | None = None) -> TaskInfo:
    """The task as the API tells it.

    Args:
        task: its data are loaded for shapes and sizes.
        architectures: names of those that take its kind of input.
        parameters: the task's; its defaults fill in the rest.
    """
    data = load(task.name, parameters)
    parts = {"train": data.train, "validation": data.validation, "test": data.test}
    return TaskInfo(
        name=task.name,
        description=task.description,
        kind=task.kind,
        input_shape=list(data.input_shape),
        outputs=data.outputs,
        samples={name: len(part[0]) for name, part in parts.items() if part is not None},
        metric=task.metric,
        metrics=dict(task.directions),
        source=task.source,
        architectures=list(architectures),
        parameters=list(task.parameters),
        notes=list(task.notes),
    )
