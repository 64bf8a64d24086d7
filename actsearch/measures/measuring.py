"""Several measures of one network, by name."""

from __future__ import annotations

from collections.abc import Collection
from copy import deepcopy
from typing import Any

import torch
from torch import nn

from actsearch.measures.costs import activation_cost, parameter_count
from actsearch.measures.latency import latency
from actsearch.measures.quantisation import int8_drop
from actsearch.schemas import Measure
from actsearch.tasks.declaration import Dataset, Task
from actsearch.tasks.parts import moved, rows

BATCH = 64


def measure(
    wanted: Collection[Measure],
    module: nn.Module,
    task: Task,
    dataset: Dataset,
    *,
    device: str,
    metric: str | None = None,
) -> dict[str, float]:
    """What was asked for, by name, and `..._quartile_range` beside latencies; validation samples in batches of 64.

    What training records of every trial (`dead_fraction` ...) is not measured again. `gpu_latency_ms` is left out where
    the device is no GPU.

    Args:
        module: the trained network, on `device`; left as it is.
        metric: the task's metric for `int8_drop`; None for its own.
    """
    found: dict[str, float] = {}
    inputs = rows(dataset.validation[0], slice(BATCH))
    if Measure.parameters in wanted:
        found[Measure.parameters] = parameter_count(module)
    if Measure.activation_cost in wanted:
        found[Measure.activation_cost] = activation_cost(module, moved(inputs, device))
    if Measure.latency_ms in wanted:
        on_cpu = module if torch.device(device).type == "cpu" else deepcopy(module).cpu()
        found |= _timed(Measure.latency_ms, on_cpu, inputs)
    if Measure.gpu_latency_ms in wanted and torch.device(device).type == "cuda":
        found |= _timed(Measure.gpu_latency_ms, module, moved(inputs, device))
    if Measure.int8_drop in wanted:
        found[Measure.int8_drop] = int8_drop(module, task, dataset, metric)
    return {str(name): value for name, value in found.items()}


def _timed(name: Measure, module: nn.Module, inputs: Any) -> dict[str, float]:
    taken = latency(module, inputs)
    return {name: taken.median, f"{name}_quartile_range": taken.quartile_range}
