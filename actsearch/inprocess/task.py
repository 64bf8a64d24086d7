"""The user's own data, loss and metric as a task."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from actsearch.errors import FieldProblem, InvalidRequest
from actsearch.schemas import Direction
from actsearch.tasks.declaration import Dataset, InputKind, Part, Predict, Task
from actsearch.tasks.kinds import Kind, task_of_kind

Measure = Callable[[Tensor, Tensor], Tensor]
"""`loss(outputs, targets) -> ()` or `metric(outputs, targets) -> ()`, in torch operations."""

NAME = "own data"
_KINDS: Mapping[int, InputKind] = {1: "vector", 2: "sequence", 3: "image"}


def input_kind(inputs: Tensor) -> InputKind:
    """What inputs (N, ...) are, by type and axes; the engine itself treats all alike."""
    return "vector" if inputs.is_floating_point() and inputs.dim() < 2 else _kind(inputs)


def _kind(inputs: Tensor) -> InputKind:
    return _KINDS.get(inputs.dim() - 1, "vector") if inputs.is_floating_point() else "tokens"


def task_kind(targets: Tensor) -> Kind:
    """Classification where targets are whole numbers, else regression."""
    return "regression" if targets.is_floating_point() else "classification"


def own_task(
    kind: Kind, loss: Measure | None, metrics: Mapping[str, Measure], directions: Mapping[str, Direction]
) -> Task:
    """The task: the kind's own loss and metrics, or the user's.

    Args:
        loss: None for the kind's own.
        metrics: the user's own by name; the first is what trials are judged by.
        directions: of these.
    """
    base = task_of_kind(kind, NAME, "", _no_loader, source="the caller")
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


def _no_loader() -> Dataset:
    raise TypeError("the data of an in-process search are in the caller's hands")


def fitted(part: Part, outputs: Tensor, kind: Kind, name: str) -> Part:
    """A part whose targets suit what the network says: regression targets (N,) get an axis where outputs have one.

    Args:
        outputs: of the network on some inputs, (B, ...).

    Raises:
        InvalidRequest: if they cannot be made to.
    """
    inputs, targets = part
    if kind == "regression":
        targets = targets.float()
        if targets.dim() + 1 == outputs.dim() and outputs.shape[-1] == 1:
            targets = targets.unsqueeze(-1)  # (N, ...) -> (N, ..., 1)
        if targets.shape[1:] != outputs.shape[1:]:
            raise _mismatch(outputs, targets, name, "give them one shape")
        return inputs, targets
    if outputs.dim() != 2 or targets.dim() != 1:
        raise _mismatch(outputs, targets, name, "classification wants outputs (N, classes) and targets (N,)")
    low, high = int(targets.min()), int(targets.max())
    if low < 0 or high >= outputs.shape[1]:
        message = f"classes go from {low} to {high}, the network has {outputs.shape[1]} outputs, for classes from 0"
        raise InvalidRequest(FieldProblem(name, message))
    return inputs, targets


def _mismatch(outputs: Tensor, targets: Tensor, name: str, mend: str) -> InvalidRequest:
    ours, theirs = tuple(outputs.shape[1:]), tuple(targets.shape[1:])
    message = f"a sample's outputs have shape {ours}, its targets {theirs}; {mend}, or give a `loss` of your own"
    return InvalidRequest(FieldProblem(name, message))


def first_samples(part: Part, size: int) -> Part:
    """A few samples to try things on."""
    return tuple(tensor[:size] for tensor in part)


def check_measures(outputs: Tensor, targets: Tensor, measures: Mapping[str, Measure]) -> None:
    """Each of the user's functions must give one number.

    Raises:
        InvalidRequest: if one does not, or raises.
    """
    for name, measure in measures.items():
        try:
            value = measure(outputs, targets)
        except Exception as error:
            message = f"raises on outputs {tuple(outputs.shape)} and targets {tuple(targets.shape)}: {error}"
            raise InvalidRequest(FieldProblem(name, message)) from error
        if not isinstance(value, Tensor) or value.numel() != 1 or value.dim():
            raise InvalidRequest(FieldProblem(name, f"gives {torch.as_tensor(value).shape}; give a tensor of shape ()"))
