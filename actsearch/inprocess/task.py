"""The user's own data, loss and metric as a task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from actsearch.errors import FieldProblem, InvalidRequest
from actsearch.inprocess.broadcasts import Broadcast, refusing_broadcasts
from actsearch.schemas import Direction
from actsearch.tasks.class_counts import class_counts_in_words
from actsearch.tasks.declaration import Dataset, InputKind, Part, Predict, Task
from actsearch.tasks.kinds import Kind, task_of_kind
from actsearch.tasks.targets import Taken, UnfitTargets, as_kind, take_targets

Measure = Callable[[Tensor, Tensor], Tensor]
"""`loss(outputs, targets) -> ()` or `metric(outputs, targets) -> ()`, in torch operations."""

NAME = "own data"
_KINDS: Mapping[int, InputKind] = {1: "vector", 2: "sequence", 3: "image"}


def input_kind(inputs: Tensor) -> InputKind:
    """What inputs (N, ...) are, by type and axes; the engine itself treats all alike."""
    return "vector" if inputs.is_floating_point() and inputs.dim() < 2 else _kind(inputs)


def _kind(inputs: Tensor) -> InputKind:
    return _KINDS.get(inputs.dim() - 1, "vector") if inputs.is_floating_point() else "tokens"


def taken(targets: Tensor, outputs: Tensor, kind: Kind | None, *, named: bool = False) -> Taken:
    """What targets are taken as, by the rule of the service and what the network's outputs tell.

    Args:
        named: whether they number names of classes.
    """
    shape = tuple(outputs.shape[1:])
    return take_targets(targets.numpy(), kind, named=named and shape not in ((), (1,)), outputs=shape)


def own_task(
    targets: Taken, loss: Measure | None, metrics: Mapping[str, Measure], directions: Mapping[str, Direction]
) -> Task:
    """The task: the kind's own loss and metrics, or the user's.

    Args:
        targets: what they are taken as.
        loss: None for the kind's own.
        metrics: the user's own by name; the first is what trials are judged by.
        directions: of these.
    """
    own = "" if loss is None else "; trained by your own loss, so this decides how samples are split, and no more"
    notes = (f"targets: {targets}{own}",)
    base = task_of_kind(targets.kind, NAME, "", _no_loader, source="the caller", notes=notes)
    if loss is not None:
        base = _with_own_loss(base, loss)

    def measured(outputs: Tensor, part: Part) -> dict[str, Tensor]:
        return {**base.metrics(outputs, part), **{name: metric(outputs, part[1]) for name, metric in metrics.items()}}

    first = next(iter(metrics), base.metric)
    everything = {**base.directions, **directions}
    return replace(
        base,
        metrics=measured,
        metric=first,
        directions=everything,
        final_metrics={name: metric for name, metric in base.final_metrics.items() if name not in metrics},
        undefined=lambda part, size: {n: why for n, why in base.undefined(part, size).items() if n not in metrics},
        optional=tuple(metrics),
    )


def _with_own_loss(task: Task, loss: Measure) -> Task:
    """Trained by the user's loss, which is the only metric that is known to fit what the network says."""

    def batch_loss(predict: Predict, batch: Part) -> Tensor:
        return loss(predict(batch[0]), batch[1])

    return replace(
        task,
        loss=batch_loss,
        stacked_loss=None,
        metrics=lambda outputs, part: {"loss": loss(outputs, part[1])},
        metric="loss",
        directions={"loss": Direction.minimize},
        final_metrics={},
        undefined=lambda part, outputs: {},
    )


def with_class_counts(task: Task, dataset: Dataset) -> Task:
    """The task, whose notes tell how many samples each class has, if its targets were taken as classes."""
    return replace(task, notes=(*task.notes, *class_counts_in_words(task.kind, dataset))) if task.notes else task


def _no_loader() -> Dataset:
    raise TypeError("the data of an in-process search are in the caller's hands")


def fitted(part: Part, outputs: Tensor, kind: Kind, name: str) -> Part:
    """A part whose targets suit the kind and what the network says.

    Classes become (N,), from one-hot rows and (N, 1) too; all others get the shape of the outputs, if they have it but
    for a last axis of one.

    Args:
        part: inputs and targets.
        outputs: of the network on some inputs, (B, ...).
        kind: what the targets are.
        name: of the argument, for errors.

    Raises:
        InvalidRequest: if they cannot be made to.
    """
    inputs, targets = part
    try:
        values = as_kind(targets.numpy(), kind)
    except UnfitTargets as error:
        raise InvalidRequest(FieldProblem(name, str(error))) from None
    if kind == "classification":
        return inputs, _classes(torch.from_numpy(values).long(), outputs, name)
    if kind == "binary" and not np.isin(values, (0, 1)).all():
        found = ", ".join(map(str, np.unique(values).tolist()))
        raise InvalidRequest(FieldProblem(name, f"binary targets are 0 and 1; found {found}; map them to 0 and 1"))
    numbers = torch.from_numpy(values).float()
    each, said = numbers.shape[1:], outputs.shape[1:]
    if said not in (each, (*each, 1)) and each != (*said, 1):
        raise _mismatch(
            outputs, numbers, name, f"{kind}, as which they are taken, needs one output per target; say another `kind`"
        )
    return inputs, numbers.reshape(-1, *said)


def _classes(classes: Tensor, outputs: Tensor, name: str) -> Tensor:
    if outputs.dim() != 2:
        raise _mismatch(outputs, classes, name, "classification needs outputs (N, classes) and targets (N,)")
    low, high = int(classes.min()), int(classes.max())
    if low < 0 or high >= outputs.shape[1]:
        message = f"classes go from {low} to {high}, but the network has {outputs.shape[1]} outputs, for classes from 0"
        fix = "number the classes from 0, give the network more outputs, or say another `kind`"
        raise InvalidRequest(FieldProblem(name, f"{message}; {fix}"))
    return classes


def _mismatch(outputs: Tensor, targets: Tensor, name: str, rule: str) -> InvalidRequest:
    ours, theirs = tuple(outputs.shape[1:]), tuple(targets.shape[1:])
    message = f"a sample's outputs have shape {ours}, its targets {theirs}; {rule}; or give a `loss` of your own"
    return InvalidRequest(FieldProblem(name, message))


def check_measures(outputs: Tensor, targets: Tensor, measures: Mapping[str, Measure]) -> None:
    """Each of the user's functions must give one number, and not compare outputs with other samples' targets.

    Raises:
        InvalidRequest: if one does not, raises, or broadcasts (N, 1) with (N,).
    """
    for name, measure in measures.items():
        try:
            with refusing_broadcasts(len(outputs)) if len(outputs) > 1 else nullcontext():
                value = measure(outputs, targets)
        except Broadcast as error:
            raise InvalidRequest(FieldProblem(name, str(error))) from None
        except Exception as error:
            message = f"raises on outputs {tuple(outputs.shape)} and targets {tuple(targets.shape)}: {error}"
            raise InvalidRequest(FieldProblem(name, message)) from error
        if not isinstance(value, Tensor):
            message = f"gives a {type(value).__name__}; give a tensor of shape (), computed with torch"
            raise InvalidRequest(FieldProblem(name, message))
        if value.dim():
            message = f"gives a tensor of shape {tuple(value.shape)}; give one of shape (), such as its mean"
            raise InvalidRequest(FieldProblem(name, message))
