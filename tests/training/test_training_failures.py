"""What an exception means: memory that ran out, a device that failed, or a trial that cannot be."""

from __future__ import annotations

import pytest
import torch

from actsearch.schemas import FailureReason
from actsearch.training.failures import failure_reason, is_device_error


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        torch.AcceleratorError("CUDA error: out of memory"),
    ],
)
def test_memory_that_ran_out_is_no_failure_of_the_device(error: BaseException) -> None:
    assert failure_reason(error) == FailureReason.out_of_memory
    assert not is_device_error(error)


@pytest.mark.parametrize(
    "error",
    [
        torch.AcceleratorError("CUDA error: an illegal memory access was encountered"),
        RuntimeError("CUDA error: device-side assert triggered"),
        RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
    ],
)
def test_a_failed_device_is_nothing_else(error: BaseException) -> None:
    assert is_device_error(error)
    assert failure_reason(error) != FailureReason.out_of_memory


def test_a_trial_that_cannot_be_is_neither() -> None:
    error = RuntimeError("mat1 and mat2 shapes cannot be multiplied (16x36 and 12x4)")
    assert failure_reason(error) == FailureReason.invalid
    assert not is_device_error(error)
