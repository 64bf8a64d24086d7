"""The memory that training a network takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._pytree import tree_map

from actsearch.architectures import InputSpec
from actsearch.schemas import Precision

# Weights, gradient, Adam's moments and move, and the copy of the weights that gradients are joined from.
_COPIES = 6
# Of the signals kept for the backward pass, counted with ReLU, which keeps the least: other formulas keep more, and
# gradients come back. Measured peaks of stacks of ten families are 1.5 to 5 times the signals: rnn least, convnet most.
_FORMULAS = 5


def trial_bytes(module: nn.Module, spec: InputSpec, batch_size: int) -> int:
    """Bytes that a trial takes in a training step: weights and what belongs to them, and the signals of a batch.

    Measured by a forward pass on the meta device, which computes nothing and takes no memory. Of a network that
    cannot run so the weights alone are counted.

    Args:
        module: on the meta device; left in training mode.
    """
    weights = sum(value.numel() * value.element_size() for value in module.parameters())
    return _COPIES * weights + _FORMULAS * _kept_bytes(module, spec, batch_size)


def least_bytes(module: nn.Module, spec: InputSpec, batch_size: int, precision: Precision) -> int:
    """Bytes below which no training step is possible: weights, and their gradients or what a batch keeps for these.

    Args:
        module: on the meta device; left in training mode.
    """
    weights = sum(value.numel() * value.element_size() for value in module.parameters())
    own = {_storage(value) for value in module.parameters()}
    signals = {_storage(kept): kept.untyped_storage().nbytes() for kept in _kept(module, spec, batch_size)}
    kept = sum(size for storage, size in signals.items() if storage not in own)
    gradients = sum(value.numel() * value.element_size() for value in module.parameters() if value.requires_grad)
    return weights + max(gradients, kept // 2 if precision == "bfloat16" else kept)


def _storage(tensor: Tensor) -> int:
    address: int = tensor.untyped_storage()._cdata
    return address


def _kept_bytes(module: nn.Module, spec: InputSpec, batch_size: int) -> int:
    kept = _kept(module, spec, batch_size)
    return sum(tensor.numel() * tensor.element_size() for tensor in kept if not isinstance(tensor, nn.Parameter))


def _kept(module: nn.Module, spec: InputSpec, batch_size: int) -> Sequence[Tensor]:
    """What a forward pass keeps for the backward pass, some of it more than once; nothing of what cannot run so."""
    kept: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    dtype = torch.int64 if spec.kind == "tokens" else torch.float32
    inputs: Any = torch.zeros(batch_size, *spec.shape, dtype=dtype, device="meta")
    if spec.example is not None:
        inputs = tree_map(lambda one: one.new_zeros(batch_size, *one.shape[1:], device="meta"), spec.example)
    try:
        with saved_tensors_hooks(keep, lambda tensor: tensor):
            module.train()(inputs)
    except Exception:  # it looks at numbers, or does not fit the task: training says what is wrong, if anything
        return []
    return kept
