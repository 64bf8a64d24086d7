"""From arrays, lists and frames to tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from actsearch.errors import FieldProblem, InvalidRequest


def to_inputs(values: Any, name: str) -> Any:
    """Inputs (N, ...) as a tensor, or as a tuple or dictionary of tensors where several are given.

    Floating-point numbers become float32, whole numbers int64, bytes float32; booleans float32 where they are the only
    inputs, but stay booleans among several: masks.
    """
    if isinstance(values, Mapping):
        return {str(key): to_inputs_among(value, f"{name}[{key!r}]") for key, value in values.items()}
    if isinstance(values, tuple) and values and all(_is_array(value) for value in values):
        return tuple(to_inputs_among(value, f"{name}[{place}]") for place, value in enumerate(values))
    return to_tensor(values, name, bytes_are_numbers=True)


def to_inputs_among(values: Any, name: str) -> Any:
    """One of several inputs."""
    if isinstance(values, Mapping):
        return to_inputs(values, name)
    tensor = torch.as_tensor(values) if isinstance(values, Tensor | np.ndarray) else None
    if tensor is not None and tensor.dtype == torch.bool:
        return tensor.detach().cpu()
    return to_tensor(values, name, bytes_are_numbers=True)


def to_targets(values: Any, name: str) -> Tensor:
    """Targets (N, ...): floating-point numbers become float32, all others int64."""
    return to_tensor(values, name)


def class_names(values: Any) -> NDArray[np.str_] | None:
    """Targets that are names of classes, (N,) or (N, 1), as texts (N,); None if they are something else."""
    if isinstance(values, Tensor):
        return None
    try:
        array = np.array(values.to_numpy() if hasattr(values, "to_numpy") else values)
    except (TypeError, ValueError):
        return None
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    is_text = array.dtype.kind in "UT" or (array.dtype.kind == "O" and all(isinstance(one, str) for one in array.flat))
    return array.astype(str) if is_text and array.ndim == 1 and len(array) else None


def to_tensor(values: Any, name: str, *, bytes_are_numbers: bool = False) -> Tensor:
    """Numbers as a tensor on the CPU.

    Raises:
        InvalidRequest: if they are no numbers, or not finite.
    """
    if hasattr(values, "to_numpy"):  # pandas, polars
        values = values.to_numpy()
    try:
        tensor = values.detach().cpu() if isinstance(values, Tensor) else torch.from_numpy(np.array(values))
    except (TypeError, ValueError) as error:
        message = f"cannot become a tensor of numbers ({error}); encode words and categories first"
        raise InvalidRequest(FieldProblem(name, message)) from None
    if tensor.is_complex():
        raise InvalidRequest(FieldProblem(name, "holds complex numbers; give real and imaginary parts (view_as_real)"))
    if tensor.is_floating_point():
        tensor = tensor.float()
        if not tensor.isfinite().all():
            raise InvalidRequest(FieldProblem(name, "has NaN or infinite values; fill or drop them first"))
        return tensor
    return tensor.float() if bytes_are_numbers and tensor.dtype in (torch.uint8, torch.bool) else tensor.long()


def _is_array(value: Any) -> bool:
    return isinstance(value, Tensor | np.ndarray) or hasattr(value, "to_numpy")
