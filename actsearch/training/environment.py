"""What a trial was trained on: device, versions, and how much memory that took at most."""

from __future__ import annotations

import platform
import re
from functools import cache
from pathlib import Path

import torch

from actsearch.version import __version__

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_RESET_PEAK = "5"


@cache
def versions() -> dict[str, str]:
    """Versions of what a result depends on, by name."""
    found = {"actsearch": __version__, "torch": torch.__version__, "python": platform.python_version()}
    if torch.version.cuda is not None:
        found["cuda"] = torch.version.cuda
    return found


def device_name(device: torch.device) -> str:
    """The GPU's or the CPU's name, as the system calls it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return _cpu_name()


@cache
def _cpu_name() -> str:
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else platform.processor() or platform.machine()


def forget_peak_memory(device: torch.device) -> None:
    """Begin to measure anew, where the system lets us."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    try:
        _CLEAR.write_text(_RESET_PEAK)
    except OSError:  # not Linux, or not allowed: the peak is that since the process began
        return


def peak_memory(device: torch.device) -> int | None:
    """Most bytes in use since `forget_peak_memory`: tensors on a GPU, the whole process on a CPU; None if unknown."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        found = re.search(r"^VmHWM:\s*(\d+) kB$", _STATUS.read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None
