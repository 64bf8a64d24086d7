"""How long a forward pass takes."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from actsearch.tasks.parts import device_of, sample_count

WARM_UP = 5
REPEATS = 31
SECONDS = 1.0


@dataclass(frozen=True)
class Latency:
    """Milliseconds of a forward pass on `batch` samples: median and distance of the quartiles of `repeats` passes."""

    median: float
    quartile_range: float
    repeats: int
    batch: int


@torch.inference_mode()
def latency(module: nn.Module, inputs: Any, *, seconds: float = SECONDS) -> Latency:
    """Time a network on a batch (B, ...), or a tree of such tensors, both on one device, in evaluation mode.

    The first passes are not counted. Large networks get fewer repeats: at least three, as many as fit into `seconds`.
    """
    module.eval()
    for _ in range(WARM_UP):
        slowest = _one_pass(module, inputs)
        if slowest > seconds:
            break
    taken: list[float] = []
    end = time.perf_counter() + seconds
    while len(taken) < REPEATS and (len(taken) < 3 or time.perf_counter() < end):
        taken.append(1000 * _one_pass(module, inputs))
    low, median, high = statistics.quantiles(taken, n=4, method="inclusive")
    return Latency(median, high - low, len(taken), sample_count(inputs))


def _one_pass(module: nn.Module, inputs: Any) -> float:
    """Seconds of a pass, to the end of its work on the device."""
    device = device_of(inputs)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    module(inputs)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start
