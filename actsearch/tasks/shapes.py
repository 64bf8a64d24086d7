"""Outputs and targets that are compared number by number must have one shape: torch would broadcast (N, 1) and (N,)."""

from __future__ import annotations

from torch import Tensor


def require_one_shape(outputs: Tensor, targets: Tensor) -> None:
    """See that `outputs - targets` pairs each output with its own target.

    Raises:
        ValueError: naming both shapes.
    """
    if outputs.shape != targets.shape:
        found, wanted = tuple(outputs.shape), tuple(targets.shape)
        raise ValueError(f"outputs have shape {found} and targets {wanted}; give both the same shape")
