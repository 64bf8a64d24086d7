"""How a task is declared: a loader, a loss and metrics, registered by name."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor

from actsearch.errors import NotFound
from actsearch.schemas import Direction, ParameterInfo

Part = tuple[Any, ...]
"""One part of a dataset: tensors of equal length on axis 0, inputs first, then targets.

Inputs of kind `several` are a tuple or dictionary of such tensors (see `tasks.parts`).
"""

Predict = Callable[[Any], Tensor]
"""The network of one trial: inputs (B, *input_shape) -> outputs (B, ...)."""

TaskKind = Literal[
    "classification",
    "binary",
    "multilabel",
    "regression",
    "count",
    "forecasting",
    "language",
    "implicit",
    "pde",
    "generative",
]

Metric = Callable[[Tensor, Part], Tensor]
"""`metric(outputs, part) -> ()` on a whole part; `outputs` (N, ...) are the network's on `part[0]`."""

InputKind = Literal["vector", "sequence", "image", "tokens", "coordinates", "gan", "several"]


@dataclass(frozen=True)
class Dataset:
    """A task's data, standardised with statistics of the training part only.

    Args:
        train, validation, test: disjoint parts; `test` is None where there is none (in-process only).
        input_kind: `vector` (D,), `sequence` (C, L), `image` (C, H, W), `tokens` (T,) of int64, `coordinates` (D,),
            `gan` (noise + D,): noise beside a real sample (see `tasks.gan_ring` for what such a network returns),
            `several`: a tuple or dictionary of tensors (in-process only).
        input_shape: shape of one input, without the batch axis.
        outputs: size of the network's output axis (classes, regression targets, vocabulary), the last axis.
        classes: names of classes 0, 1 ...; empty where there are none.
        fresh: gives the training part of an epoch, from a seed, as many samples each time; None where it is always the
            same. All trials get an epoch's from the same seed.
        in_order: train on an epoch in the order in which it is given, instead of a shuffled one.
        augment: `augment(inputs) -> inputs`, applied to each training batch, by random numbers of the batch's own.
    """

    train: Part
    validation: Part
    test: Part | None
    input_kind: InputKind
    input_shape: tuple[int, ...]
    outputs: int
    classes: tuple[str, ...] = ()
    fresh: Callable[[int], Part] | None = None
    in_order: bool = False
    augment: Callable[[Any], Any] | None = None


@dataclass(frozen=True, eq=False)
class Task:
    """A named dataset with its loss and metrics.

    Args:
        load: `load(**parameters) -> Dataset`; deterministic.
        loss: `loss(predict, batch) -> ()`; the mean training loss of one trial on a batch (runs under `vmap`, `grad`).
        metrics: `metrics(outputs, part) -> {name: ()}` on a whole part; `outputs` (N, ...) are the network's on
            `part[0]` (runs under `vmap`).
        metric: the metric trials are judged by, on the validation part; a key of `directions`.
        directions: for every metric, whether larger or smaller is better.
        source: where the data come from, with licence where it asks for attribution.
        stacked_loss: `stacked_loss(outputs, batch) -> (K,)`, what `loss` gives each of K networks whose outputs on the
            batch are (K, B, ...), for a loss that needs nothing else. Without it a cohort runs `loss` under `vmap`,
            which costs it about a tenth of a small network's step.
        final_metrics: further metrics, `metric(outputs, part) -> ()` by name, which take longer: on the validation and
            test parts at the end of training, and at each report where trials are judged by them.
        undefined: `undefined(part, outputs) -> {name: reason}`, the metrics that mean nothing on a part's targets,
            whatever the network says; `outputs` is the dataset's. They are null there.
        optional: metrics that may turn out NaN or infinite without the trial having diverged.
        notes: of own data, what was guessed when they were read, and what looks strange in them.
    """

    name: str
    description: str
    kind: TaskKind
    load: Callable[..., Dataset]
    loss: Callable[[Predict, Part], Tensor]
    metrics: Callable[[Tensor, Part], Mapping[str, Tensor]]
    metric: str
    directions: Mapping[str, Direction]
    source: str
    parameters: Sequence[ParameterInfo] = field(default_factory=tuple)
    stacked_loss: Callable[[Tensor, Part], Tensor] | None = None
    notes: tuple[str, ...] = ()
    final_metrics: Mapping[str, Metric] = field(default_factory=dict)
    undefined: Callable[[Part, int], Mapping[str, str]] = lambda part, outputs: {}
    optional: Collection[str] = ()

    def measured(self, outputs: Tensor, part: Part, further: Collection[str] = ()) -> dict[str, Tensor]:
        """`metrics` and those of `final_metrics` that are named in `further`, each ()."""
        final = {name: metric(outputs, part) for name, metric in self.final_metrics.items() if name in further}
        return {**self.metrics(outputs, part), **final}


_TASKS: dict[str, Task] = {}


def register(task: Task) -> Task:
    """Add a task to the catalogue.

    Raises:
        ValueError: if the name is taken.
    """
    if task.name in _TASKS:
        raise ValueError(f"task {task.name!r} is already declared")
    _TASKS[task.name] = task
    return task


def tasks() -> Mapping[str, Task]:
    """All declared tasks by name."""
    return dict(_TASKS)


def get_task(name: str) -> Task:
    """The task called `name`.

    Raises:
        NotFound: naming the known ones.
    """
    try:
        return _TASKS[name]
    except KeyError:
        raise NotFound("task", name, tuple(_TASKS)) from None
