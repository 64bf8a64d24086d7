"""The memory that training takes: of a trial, and what a device has left."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._pytree import tree_map

from actsearch.architectures import InputSpec

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


def _kept_bytes(module: nn.Module, spec: InputSpec, batch_size: int) -> int:
    kept = 0

    def count(tensor: Tensor) -> Tensor:
        nonlocal kept
        if not isinstance(tensor, nn.Parameter):
            kept += tensor.numel() * tensor.element_size()
        return tensor

    dtype = torch.int64 if spec.kind == "tokens" else torch.float32
    inputs: Any = torch.zeros(batch_size, *spec.shape, dtype=dtype, device="meta")
    if spec.example is not None:
        inputs = tree_map(lambda one: one.new_zeros(batch_size, *one.shape[1:], device="meta"), spec.example)
    try:
        with saved_tensors_hooks(count, lambda tensor: tensor):
            module.train()(inputs)
    except Exception:  # it looks at numbers, or does not fit the task: training says what is wrong, if anything
        return 0
    return kept


def free_bytes(device: torch.device) -> int | None:
    """Bytes that a process may still take on a device; None where the system does not tell.

    On a CPU the processes of all its cores take as much: each may have its share of what is free.
    """
    if device.type == "cuda":
        if not torch.cuda.is_available():
            return None
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + cached
    available = _available_memory()
    return None if available is None else available // max(1, os.cpu_count() or 1)


def _available_memory() -> int | None:
    try:
        told = Path("/proc/meminfo").read_text(encoding="ascii")
    except OSError:  # not Linux
        return None
    found = re.search(r"^MemAvailable:\s*(\d+) kB$", told, re.MULTILINE)
    return int(found[1]) * 1024 if found else None
