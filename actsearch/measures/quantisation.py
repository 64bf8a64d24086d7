"""Post-training static quantisation to eight bits, simulated: what a network loses when its numbers become coarse.

What engines quantise is quantised: inputs, weights (symmetric, one scale an output channel) and the output of every
operation (affine, one scale a tensor, between the extremes that training samples cause). What engines fuse is rounded
once: the output of a linear map or convolution is not where only a normalisation or a rectifier reads it. Operations
are caught where torch dispatches them, so that it works for any `nn.Module`, whatever its `forward` calls. Tests
compare it with `torch.ao` and ONNX Runtime; see docs/decisions/0011-int8-is-simulated.md.

References:
    Jacob et al. 2018, Quantization and training of neural networks for efficient integer-arithmetic-only inference.
    Nagel et al. 2021, A white paper on neural network quantization (section 3: what is fused, weights per channel).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.weak import WeakIdKeyDictionary

from actsearch.errors import TrainingError
from actsearch.schemas import Direction, FailureReason
from actsearch.tasks.declaration import Dataset, Part, Task
from actsearch.tasks.parts import rows, sample_count

LOW, HIGH = -128, 127
CALIBRATION = 512
PIECE = 256

_LINEAR = ("addmm", "mm", "bmm", "baddbmm", "linear", "mkldnn_linear", "convolution", "mkldnn_convolution")
_FUSED = {  # what reads an output, and what may have made it: then only the reader's is rounded
    "native_batch_norm": _LINEAR,
    "_native_batch_norm_legit_no_training": _LINEAR,
    "cudnn_batch_norm": _LINEAR,
} | dict.fromkeys(
    ("relu", "relu_", "clamp", "clamp_min", "clamp_min_", "hardtanh", "hardtanh_"),
    (*_LINEAR, "add", "add_", "native_batch_norm", "_native_batch_norm_legit_no_training", "cudnn_batch_norm"),
)
_COPIES = ("clone", "_to_copy", "detach", "alias", "contiguous", "dropout", "lift_fresh")

Tree = TypeVar("Tree")


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


def rounded_weight(weight: Tensor, axis: int = 0) -> Tensor:
    """A weight of two or more dimensions through 255 symmetric steps, of a size of its own for each output channel.

    Args:
        axis: of the output channels.
    """
    others = [at for at in range(weight.dim()) if at != axis]
    scale = (weight.float().abs().amax(others) / HIGH).clamp_min(torch.finfo(torch.float32).tiny)
    zeros = torch.zeros_like(scale, dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(weight.float(), scale, zeros, axis, -HIGH, HIGH).to(weight.dtype)


@dataclass
class _Operation:
    """An operation of the forward, in order."""

    name: str
    signals: list[Extremes] = field(default_factory=list)
    readers: set[int] = field(default_factory=set)


class _Operations(TorchDispatchMode):
    """Sees the operations between inputs and outputs: how far they reach, or else their outputs in eight bits."""

    def __init__(self, operations: list[_Operation], *, is_calibration: bool) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._operations, self._calibrates = operations, is_calibration
        self._made_by = WeakIdKeyDictionary()  # number of the operation by signal
        self._next = 0

    def begin(self, inputs: Tree) -> Tree:
        """The network's inputs are operation 0."""
        self._next = 0
        self._made_by = WeakIdKeyDictionary()
        return self._went_through("inputs", inputs, [])

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """See `TorchDispatchMode`."""
        name = func.overloadpacket.__name__
        made_by = [self._made_by[x] for x in _tensors([args, kwargs]) if x in self._made_by]
        outputs = func(*args, **(kwargs or {}))
        if not made_by:  # from weights alone: an engine computes that once
            return outputs
        is_view = any(r.alias_info is not None and not r.alias_info.is_write for r in func._schema.returns)
        if is_view or name in _COPIES:
            for output in _tensors(outputs):
                self._made_by[output] = made_by[0]
            return outputs
        return self._went_through(name, outputs, made_by)

    def _went_through(self, name: str, outputs: Tree, made_by: Sequence[int]) -> Tree:
        number = self._next
        self._next += 1
        if self._calibrates and number == len(self._operations):
            self._operations.append(_Operation(name))
        if number >= len(self._operations) or self._operations[number].name != name:
            raise TrainingError(
                FailureReason.invalid,
                "int8_drop: the network does not go through the same operations at every call, so nobody can say what "
                "eight bits have to reach; leave this measure out",
            )
        for before in made_by:
            self._operations[before].readers.add(number)
        signals = [x for x in _tensors(outputs) if _is_signal(x)]
        operation = self._operations[number]
        operation.signals += [Extremes() for _ in signals[len(operation.signals) :]]
        places = iter(operation.signals)
        changed = tree_map(lambda x: self._changed(operation, next(places), x) if _is_signal(x) else x, outputs)
        for x in _tensors(changed):
            self._made_by[x] = number
        return cast("Tree", changed)

    def _changed(self, operation: _Operation, extremes: Extremes, signal: Tensor) -> Tensor:
        if self._calibrates:
            extremes.see(signal)
            return signal
        if self._is_fused(operation):
            return signal
        rounded = extremes.rounded(signal)
        return signal.copy_(rounded) if operation.name.endswith("_") else rounded

    def _is_fused(self, operation: _Operation) -> bool:
        readers = {self._operations[number].name for number in operation.readers}
        return len(operation.readers) == 1 and all(operation.name in _FUSED.get(name, ()) for name in readers)


class _Coarse(nn.Module):
    """A network in eight bits."""

    def __init__(self, network: nn.Module, operations: list[_Operation]) -> None:
        super().__init__()
        self.network, self._operations = network, operations

    def forward(self, inputs: Any) -> Any:
        """See the network's own."""
        return _through(self.network, inputs, _Operations(self._operations, is_calibration=False))


def _through(network: nn.Module, inputs: Any, operations: _Operations) -> Any:
    given = operations.begin(inputs)
    with operations:
        return network(given)


@contextmanager
@torch.no_grad()
def quantised(module: nn.Module, samples: Any) -> Iterator[nn.Module]:
    """A copy of a network with eight-bit inputs, weights and signals; to be called without gradients.

    Args:
        samples: training inputs, a tensor (N, ...) or a tree of such, whose signals say how far eight bits have to
            reach.

    Raises:
        TrainingError: (`invalid`, when it is called) its operations differ from call to call.
    """
    copy = deepcopy(module).eval()
    for part in copy.modules():
        turned = isinstance(part, nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d)
        for value in part.parameters(recurse=False):
            if value.dim() > 1:  # biases and the like are kept in 32 bits, as integer engines do
                value.copy_(rounded_weight(value, axis=1 if turned else 0))
    operations: list[_Operation] = []
    for start in range(0, min(CALIBRATION, sample_count(samples)), PIECE):
        _through(copy, rows(samples, slice(start, start + PIECE)), _Operations(operations, is_calibration=True))
    yield _Coarse(copy, operations)


def int8_drop(module: nn.Module, task: Task, dataset: Dataset, metric: str | None = None) -> float:
    """How much worse the validation metric gets by quantisation; negative where it gets better.

    Args:
        module: on the CPU or the device where `dataset` can follow.
        metric: of the task; None for its own.

    Raises:
        TrainingError: (`invalid`) the network's operations differ from call to call.
    """
    name = metric or task.metric
    device = next((value.device for value in module.parameters()), torch.device("cpu"))
    part = tree_map(lambda tensor: tensor.to(device), dataset.validation)
    full = _measured(module, task, part, name)
    calibration = rows(dataset.train[0], slice(CALIBRATION))
    with quantised(module, tree_map(lambda tensor: tensor.to(device), calibration)) as coarse:
        eight = _measured(coarse, task, part, name)
    return full - eight if task.directions[name] == Direction.maximize else eight - full


@torch.no_grad()
def _measured(module: nn.Module, task: Task, part: Part, metric: str) -> float:
    module.eval()
    starts = range(0, sample_count(part), PIECE)
    outputs = torch.cat([module(rows(part[0], slice(start, start + PIECE))) for start in starts])
    return float(task.measured(outputs, part, [metric])[metric])


def _tensors(tree: object) -> list[Tensor]:
    return [x for x in tree_leaves(tree) if isinstance(x, Tensor)]


def _is_signal(value: object) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()
