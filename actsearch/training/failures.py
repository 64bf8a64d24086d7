"""What an exception during training means."""

from __future__ import annotations

import torch

from actsearch.schemas import FailureReason


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, on the device or on the host (whose allocator raises a plain RuntimeError)."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    )


def is_device_error(error: BaseException) -> bool:
    """Whether the device itself failed: whatever is trained on it next by this process will fail, too."""
    if isinstance(error, torch.OutOfMemoryError):
        return False
    return isinstance(error, torch.AcceleratorError) or (
        isinstance(error, RuntimeError) and str(error).startswith(("CUDA error", "cuDNN error", "CUDA driver error"))
    )


def failure_reason(error: BaseException) -> FailureReason:
    """Why a trial fails whose building or training raised this."""
    return FailureReason.out_of_memory if is_out_of_memory(error) else FailureReason.invalid
