"""What an exception during training means."""

from __future__ import annotations

import torch

from actsearch.schemas import FailureReason

# What is said where memory ran out other than by `torch.OutOfMemoryError`: the host's allocator, the workspaces of
# cuBLAS and cuDNN, the driver. None of them leaves the device unusable.
_OUT_OF_MEMORY = (
    "can't allocate memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUSOLVER_STATUS_ALLOC_FAILED",
    "CUDA error: out of memory",
    "CUDA driver error: out of memory",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, on the device or on the host, whoever noticed it."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and any(words in str(error) for words in _OUT_OF_MEMORY)
    )


def is_device_error(error: BaseException) -> bool:
    """Whether the device itself failed: whatever is trained on it next by this process will fail, too."""
    if is_out_of_memory(error):
        return False
    return isinstance(error, torch.AcceleratorError) or (
        isinstance(error, RuntimeError) and str(error).startswith(("CUDA error", "cuDNN error", "CUDA driver error"))
    )


def failure_reason(error: BaseException) -> FailureReason:
    """Why a trial fails whose building or training raised this."""
    return FailureReason.out_of_memory if is_out_of_memory(error) else FailureReason.invalid
