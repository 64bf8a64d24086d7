"""From what users keep their data in to tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from actsearch.errors import FieldProblem, InvalidRequest
from actsearch.tasks.declaration import Part
from actsearch.tasks.kinds import Kind
from actsearch.tasks.splits import stratified_holdout

Data = Any
"""(inputs, targets) as tensors, arrays, lists or frames, or a `torch.utils.data` Dataset or DataLoader of pairs."""

HELD_OUT = 0.2


def to_part(data: Data, name: str) -> Part:
    """Inputs (N, ...) and targets (N, ...) as tensors on the CPU.

    Floating-point numbers become float32, whole numbers int64, but bytes and booleans float32 among the inputs.

    Args:
        name: of the argument, for errors.

    Raises:
        InvalidRequest: if they are no such thing, are empty or differ in length.
    """
    if isinstance(data, DataLoader):
        data = data.dataset
    inputs, targets = data if _is_pair(data) else _samples(data, name)
    part = (_tensor(inputs, f"{name}[0]", bytes_are_numbers=True), _tensor(targets, f"{name}[1]"))
    lengths = [len(tensor) if tensor.dim() else 0 for tensor in part]
    if not lengths[0] or lengths[0] != lengths[1]:
        message = f"has {lengths[0]} inputs and {lengths[1]} targets; give one target an input, and at least one"
        raise InvalidRequest(FieldProblem(name, message))
    return part


def held_out(part: Part, seed: int, whole: int, kind: Kind) -> tuple[Part, Part]:
    """A part without a fifth of `whole` of its samples, and those; a random choice, in which classes keep their shares.

    Raises:
        InvalidRequest: if there are fewer than two samples.
    """
    samples = len(part[0])
    if samples < 2:
        message = "one sample cannot be split; give `valid_data` or more of it"
        raise InvalidRequest(FieldProblem("train_data", message))
    size = min(max(1, round(HELD_OUT * whole)), samples - 1)
    rest, taken = map(torch.from_numpy, stratified_holdout(part[1].numpy(), kind, seed, size=size))
    return tuple(tensor[rest] for tensor in part), tuple(tensor[taken] for tensor in part)


def _is_pair(data: Data) -> bool:
    return isinstance(data, tuple | list) and len(data) == 2


def _samples(data: Data, name: str) -> tuple[Tensor, Tensor]:
    """Inputs and targets of a map-style data set, stacked."""
    if not (hasattr(data, "__getitem__") and hasattr(data, "__len__")):
        message = f"is a {type(data).__name__}; give (inputs, targets) or a data set with `len` and indices"
        raise InvalidRequest(FieldProblem(name, message))
    pairs = [data[index] for index in range(len(data))]
    if not pairs or not all(_is_pair(pair) for pair in pairs):
        raise InvalidRequest(FieldProblem(name, "its samples are no pairs (input, target)"))
    inputs, targets = ([torch.as_tensor(value) for value in side] for side in zip(*pairs, strict=True))
    return _stacked(inputs, f"{name}[0]"), _stacked(targets, f"{name}[1]")


def _stacked(samples: Sequence[Tensor], name: str) -> Tensor:
    shapes = {tuple(sample.shape) for sample in samples}
    if len(shapes) > 1:
        message = f"samples differ in shape: {sorted(shapes)[:3]}; bring them to one, by a transform or padding"
        raise InvalidRequest(FieldProblem(name, message))
    return torch.stack(list(samples))


def _tensor(values: Any, name: str, *, bytes_are_numbers: bool = False) -> Tensor:
    if hasattr(values, "to_numpy"):  # pandas, polars
        values = values.to_numpy()
    try:
        tensor = values.detach().cpu() if isinstance(values, Tensor) else torch.from_numpy(np.array(values))
    except (TypeError, ValueError) as error:
        message = f"cannot become a tensor of numbers ({error}); encode words and categories first"
        raise InvalidRequest(FieldProblem(name, message)) from None
    if tensor.is_floating_point():
        tensor = tensor.float()
        if not tensor.isfinite().all():
            raise InvalidRequest(FieldProblem(name, "has NaN or infinite values; fill or drop them first"))
        return tensor
    return tensor.float() if bytes_are_numbers and tensor.dtype in (torch.uint8, torch.bool) else tensor.long()
