"""The costs of trained networks that a job asks for, and the values that its trials are judged by."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from torch import nn

from actsearch.measures import measure
from actsearch.schemas import JobRequest, ObjectiveInfo
from actsearch.tasks import get_task, load
from actsearch.training import OnComplete

log = structlog.get_logger()


def costs_of(request: JobRequest, device: str) -> OnComplete:
    """Measures each finished network as the request asks; a measure that raises is told in `measure_error`."""
    wanted = request.measured
    task, metric = get_task(request.task.name, request.task.parameters), request.judged_by[0].metric

    def look(place: int, module: nn.Module) -> Mapping[str, object]:
        if not wanted:
            return {}
        dataset = load(request.task.name, request.task.parameters)
        judged = metric if metric in task.directions else None
        try:
            return measure(wanted, module, task, dataset, device=device, metric=judged)
        except Exception as error:  # a network that cannot be quantised, say: its trial must not cost the others
            log.warning("measure failed", error=repr(error))
            return {"measure_error": f"{type(error).__name__}: {error}"}

    return look


def values_of(objectives: Sequence[ObjectiveInfo], metrics: Mapping[str, Any]) -> list[float]:
    """A trial's values in the order of the objectives; NaN for one that is not known."""
    return [_value(objective.metric, metrics) for objective in objectives]


def _value(name: str, metrics: Mapping[str, Any]) -> float:
    found = metrics.get(f"validation_{name}", metrics.get(name, math.nan))
    return float(found)
