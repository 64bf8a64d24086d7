"""The memory of devices: what they have, and what is left of it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

import torch


@dataclass(frozen=True)
class _Group:
    """Where Linux tells of the memory of a container's processes, relative to `/sys/fs/cgroup`.

    Args:
        limit, used: files of one number.
        cached: name in `memory.stat` of what is used for files and given up when needed.
    """

    limit: str
    used: str
    stat: str
    cached: str


_GROUPS = (
    _Group("memory.max", "memory.current", "memory.stat", "inactive_file"),
    _Group("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file"),
)
_CGROUP, _PROC = Path("/sys/fs/cgroup"), Path("/proc/meminfo")


def free_bytes(device: torch.device) -> int | None:
    """Bytes that a process may still take on a device; None where the system does not tell.

    On a CPU the processes of all its cores take as much: each may have its share of what is free.
    """
    if device.type == "cuda":
        if not torch.cuda.is_available():
            return None
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + cached
    available = host_memory()[1]
    return None if available is None else available // max(1, os.cpu_count() or 1)


def total_bytes(device: torch.device) -> int | None:
    """Bytes that a device has at all; None where the system does not tell."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[1] if torch.cuda.is_available() else None
    return host_memory()[0]


def host_memory(cgroup: Path = _CGROUP, meminfo: Path = _PROC) -> tuple[int | None, int | None]:
    """Bytes that this machine, or the container that this process is in, has, and that are available.

    Args:
        cgroup, meminfo: where Linux tells it.
    """
    told = _read(meminfo)
    total, available = _kilobytes(told, "MemTotal"), _kilobytes(told, "MemAvailable")
    for group in _GROUPS:
        limit, used = _number(cgroup / group.limit), _number(cgroup / group.used)
        if limit is None or used is None or (total is not None and limit >= total):
            continue
        found = re.search(rf"^{group.cached} (\d+)$", _read(cgroup / group.stat), re.MULTILINE)
        left = max(0, limit - used + (int(found[1]) if found else 0))
        total, available = limit, left if available is None else min(available, left)
    return total, available


def _kilobytes(told: str, name: str) -> int | None:
    found = re.search(rf"^{name}:\s*(\d+) kB$", told, re.MULTILINE)
    return int(found[1]) * 1024 if found else None


def _number(file: Path) -> int | None:
    told = _read(file).strip()
    return int(told) if told.isdigit() else None


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii")
    except OSError:  # not Linux, or no such group
        return ""
