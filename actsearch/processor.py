"""What the processor can do that libraries do not find out by themselves."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_AVX512 = frozenset({"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"})


@cache
def is_amd_with_avx512() -> bool:
    """Whether this is an AMD processor with AVX-512 (Zen 4 and later), on Linux; elsewhere we do not know."""
    try:
        text = _CPUINFO.read_text()
    except OSError:
        return False
    found = dict(re.findall(r"^(vendor_id|flags)\s*:\s*(.+)$", text, re.MULTILINE))
    return found.get("vendor_id") == "AuthenticAMD" and set(found.get("flags", "").split()) >= _AVX512


def blas_environment() -> dict[str, str]:
    """Environment variables that give a process the fastest matrix products; they count when NumPy is loaded.

    Without them its OpenBLAS takes AVX2 kernels on AMD processors that are newer than it is (0.3.31 on Zen 5).
    """
    return {"OPENBLAS_CORETYPE": "SkylakeX"} if is_amd_with_avx512() else {}
