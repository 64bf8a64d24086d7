"""Tasks: named data sets with their splits, losses and metrics. Importing a module here declares its tasks."""

from actsearch.plugins import load_plugins
from actsearch.tasks import gan_ring, image_fit, mnist1d, multi_sine, pinn_poisson, sklearn_sets, sunspots, text
from actsearch.tasks.catalogue import describe, get_task, load
from actsearch.tasks.declaration import Dataset, InputKind, Part, Predict, Task, register, tasks
from actsearch.tasks.own_data import own_names, own_task
from actsearch.tasks.parameters import resolve_parameters

__all__ = [
    "Dataset",
    "InputKind",
    "Part",
    "Predict",
    "Task",
    "describe",
    "gan_ring",
    "get_task",
    "image_fit",
    "load",
    "mnist1d",
    "multi_sine",
    "own_names",
    "own_task",
    "pinn_poisson",
    "register",
    "resolve_parameters",
    "sklearn_sets",
    "sunspots",
    "tasks",
    "text",
]

load_plugins("actsearch.tasks")
