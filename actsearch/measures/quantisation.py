"""Post-training quantisation to eight bits, simulated: what a network loses when its numbers become coarse.

Weights and signals go through the nearest of 256 evenly spaced values (per tensor, affine), between the extremes that
occur: in the weights, or in the signals that the training samples cause. It works for any `nn.Module`, because the
signals are caught by hooks where modules hand them on. See docs/decisions on why not `torch.ao.quantization`.

Reference:
    Jacob et al. 2018, Quantization and training of neural networks for efficient integer-arithmetic-only inference.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from actsearch.schemas import Direction
from actsearch.tasks.declaration import Dataset, Part, Task

LOW, HIGH = -128, 127
CALIBRATION = 512
PIECE = 256


@dataclass
class Extremes:
    """The smallest and largest number seen, zero among them so that it can be said exactly."""

    low: float = 0.0
    high: float = 0.0

    def see(self, values: Tensor) -> None:
        """Widen to what a signal holds; numbers that are not finite have no eight-bit value."""
        finite = values[values.isfinite()]
        if finite.numel():
            low, high = finite.aminmax()
            self.low, self.high = min(self.low, float(low)), max(self.high, float(high))

    def rounded(self, values: Tensor) -> Tensor:
        """`values` through the nearest of 256 steps between the extremes."""
        scale = max((self.high - self.low) / (HIGH - LOW), torch.finfo(torch.float32).tiny)
        zero = min(max(round(LOW - self.low / scale), LOW), HIGH)
        return torch.fake_quantize_per_tensor_affine(values.float(), scale, zero, LOW, HIGH).to(values.dtype)


@contextmanager
@torch.no_grad()
def quantised(module: nn.Module, samples: Tensor) -> Iterator[nn.Module]:
    """A copy of a network with eight-bit weights, signals and inputs.

    Args:
        samples: training inputs (N, ...) whose signals say how far eight bits have to reach.
    """
    copy = deepcopy(module).eval()
    for value in copy.parameters():
        if value.dim() > 1:  # biases and the like are kept in 32 bits, as integer engines do
            extremes = Extremes()
            extremes.see(value)
            value.copy_(extremes.rounded(value))
    seen: dict[str, Extremes] = {}
    leaves = {name: part for name, part in copy.named_modules() if not any(True for _ in part.children())}

    def watch(name: str) -> Any:
        return lambda _, __, output: seen.setdefault(name, Extremes()).see(output) if _is_signal(output) else None

    def coarsen(name: str) -> Any:
        return lambda _, __, output: seen[name].rounded(output) if _is_signal(output) and name in seen else None

    inputs = Extremes()
    with _hooked({part: watch(name) for name, part in leaves.items()}):
        for piece in samples[:CALIBRATION].split(PIECE):
            copy(piece)
            if _is_signal(piece):
                inputs.see(piece)
    before = copy.register_forward_pre_hook(
        lambda _, given: tuple(inputs.rounded(x) if _is_signal(x) else x for x in given)
    )
    with _hooked({part: coarsen(name) for name, part in leaves.items()}):
        yield copy
    before.remove()


def int8_drop(module: nn.Module, task: Task, dataset: Dataset, metric: str | None = None) -> float:
    """How much worse the validation metric gets by quantisation; negative where it gets better.

    Args:
        module: on the CPU or the device where `dataset` can follow.
        metric: of the task; None for its own.
    """
    name = metric or task.metric
    device = next((value.device for value in module.parameters()), torch.device("cpu"))
    part = tuple(tensor.to(device) for tensor in dataset.validation)
    full = _measured(module, task, part, name)
    with quantised(module, dataset.train[0][:CALIBRATION].to(device)) as coarse:
        eight = _measured(coarse, task, part, name)
    return full - eight if task.directions[name] == Direction.maximize else eight - full


@torch.no_grad()
def _measured(module: nn.Module, task: Task, part: Part, metric: str) -> float:
    module.eval()
    outputs = torch.cat([module(piece) for piece in part[0].split(PIECE)])
    return float(task.measured(outputs, part, [metric])[metric])


@contextmanager
def _hooked(hooks: dict[nn.Module, Any]) -> Iterator[None]:
    handles = [part.register_forward_hook(hook) for part, hook in hooks.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _is_signal(value: object) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()
