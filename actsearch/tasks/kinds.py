"""What follows from a task's kind: its loss, its metrics and which of them judges."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor

from actsearch.schemas import Direction, ParameterInfo
from actsearch.tasks import classification, counts, labels, regression
from actsearch.tasks.declaration import Dataset, Metric, Part, Predict, Task
from actsearch.tasks.metrics import absent

Kind = Literal["classification", "binary", "multilabel", "regression", "count"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Standard:
    """Loss and metrics of a kind; the fields are those of `Task`."""

    loss: Callable[[Predict, Part], Tensor]
    stacked_loss: Callable[[Tensor, Part], Tensor]
    metrics: Callable[[Tensor, Part], Mapping[str, Tensor]]
    final_metrics: Mapping[str, Metric]
    directions: Mapping[str, Direction]
    metric: str
    undefined: Callable[[Part, int], Mapping[str, str]]


STANDARD: Mapping[Kind, Standard] = {
    "classification": Standard(
        classification.cross_entropy,
        classification.stacked_cross_entropy,
        classification.classification_metrics,
        classification.FINAL,
        classification.DIRECTIONS | classification.FINAL_DIRECTIONS,
        "accuracy",
        classification.undefined,
    ),
    "binary": Standard(
        labels.label_loss,
        labels.stacked_label_loss,
        labels.label_metrics,
        labels.BINARY,
        labels.DIRECTIONS | labels.BINARY_DIRECTIONS,
        "accuracy",
        lambda part, outputs: labels.undefined(part),
    ),
    "multilabel": Standard(
        labels.label_loss,
        labels.stacked_label_loss,
        labels.label_metrics,
        labels.MULTILABEL,
        labels.DIRECTIONS | labels.MULTILABEL_DIRECTIONS,
        "loss",
        lambda part, outputs: labels.undefined(part),
    ),
    "regression": Standard(
        regression.mean_squared_error,
        regression.stacked_squared_error,
        regression.regression_metrics,
        regression.FINAL,
        regression.DIRECTIONS | regression.FINAL_DIRECTIONS,
        "mse",
        lambda part, outputs: absent.of_numbers(part[1]),
    ),
    "count": Standard(
        counts.poisson_loss,
        counts.stacked_poisson_loss,
        counts.count_metrics,
        counts.FINAL,
        counts.DIRECTIONS | counts.FINAL_DIRECTIONS,
        "poisson_deviance",
        lambda part, outputs: absent.of_numbers(part[1]),
    ),
}


def task_of_kind(
    kind: Kind,
    name: str,
    description: str,
    load: Callable[..., Dataset],
    *,
    source: str,
    metric: str | None = None,
    parameters: Sequence[ParameterInfo] = (),
    notes: tuple[str, ...] = (),
) -> Task:
    """A task with the loss and the metrics of its kind; the arguments are `Task`'s.

    Args:
        kind: what is learned.
        name, description: of the task.
        load: gives its data.
        source: where they come from, with licence.
        metric: what trials are judged by; None for the kind's own.
        parameters: of `load`.
        notes: what was guessed of own data.
    """
    standard = STANDARD[kind]
    return Task(
        name=name,
        description=description,
        kind=kind,
        load=load,
        loss=standard.loss,
        metrics=standard.metrics,
        metric=metric or standard.metric,
        directions=standard.directions,
        source=source,
        parameters=parameters,
        notes=notes,
        stacked_loss=standard.stacked_loss,
        final_metrics=standard.final_metrics,
        undefined=standard.undefined,
    )
