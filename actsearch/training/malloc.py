"""Memory that was freed: a stack's next step takes it again, a smaller cohort gets all of it."""

from __future__ import annotations

import ctypes
import gc

import torch

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # of <malloc.h>


def keep_freed_memory() -> bool:
    """Have the C library keep freed memory in this process instead of giving it back to the kernel.

    A step of a stack allocates and frees tensors of tens of megabytes. glibc maps each afresh, and the kernel clears
    every page at first touch: on a convnet of 64 trials 24,000 page faults a step and more than half of its time.

    Returns:
        Whether the C library can (glibc); elsewhere nothing happens.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(mallopt(_MMAP_MAX, 0)) and bool(mallopt(_TRIM_THRESHOLD, -1))


def release_memory() -> None:
    """Give back what no one holds any more, on the host and on GPUs: after a cohort that did not fit."""
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
