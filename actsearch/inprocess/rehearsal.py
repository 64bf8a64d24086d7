"""A first step on a few samples before a search begins: what would fail in every trial is told at once."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from actsearch.errors import FieldProblem, InvalidRequest
from actsearch.inprocess.network import MODEL
from actsearch.tasks.declaration import Dataset, Part, Task
from actsearch.tasks.parts import rows, sample_count

SAMPLES = 8


def rehearse(build: Callable[[], nn.Module], task: Task, dataset: Dataset) -> None:
    """Train a network for a step and measure it on each part, as a search will; leave random generators as they are.

    Args:
        build: gives a fresh network on the CPU.

    Raises:
        InvalidRequest: naming the model or the part of the data that is at fault.
    """
    parts: dict[str, Part | None] = {
        "train_data": dataset.train,
        "valid_data": dataset.validation,
        "test_data": dataset.test,
    }
    with torch.random.fork_rng(devices=[]):
        module = build()
        _step(deepcopy(module).train(), task, _few(dataset.train))
        for name, part in parts.items():
            if part is not None:
                _measure(module.eval(), task, _few(part), name)


def _few(part: Part) -> Part:
    return rows(part, slice(SAMPLES))


def _step(module: nn.Module, task: Task, batch: Part) -> None:
    outputs = _run(module, batch[0], MODEL, "in training mode it cannot be run on train_data")
    if not isinstance(outputs, Tensor):
        message = f"returns a {type(outputs).__name__} in training mode; say with `outputs=` which part of it is meant"
        raise InvalidRequest(FieldProblem(MODEL, message))
    try:
        loss = task.loss(module, batch)
    except Exception as error:
        raise InvalidRequest(FieldProblem(MODEL, f"its loss on train_data raises {_said(error)}")) from error
    if not loss.requires_grad:
        message = "nothing in it is trained: none of its weights, or no path from them to the loss, has a gradient"
        raise InvalidRequest(FieldProblem(MODEL, f"{message}; set `requires_grad` where it was taken off"))


def _measure(module: nn.Module, task: Task, part: Part, name: str) -> None:
    count = sample_count(part)
    with torch.no_grad():
        outputs = _run(module, part[0], name, "the network cannot be run on it")
        if not isinstance(outputs, Tensor) or outputs.shape[:1] != (count,):
            what = f"of shape {tuple(outputs.shape)}" if isinstance(outputs, Tensor) else type(outputs).__name__
            message = f"gives {what} for {count} samples; outputs begin with an axis of the samples, losses are `loss=`"
            raise InvalidRequest(FieldProblem(MODEL, message))


def _run(module: nn.Module, inputs: Any, field: str, words: str) -> Any:
    try:
        return module(inputs)
    except Exception as error:
        raise InvalidRequest(FieldProblem(field, f"{words}: {_said(error)}")) from error


def _said(error: Exception) -> str:
    first = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {first}"
