"""The cohort engine: trains candidates together and says what became of each. torch only, no database."""

from __future__ import annotations

from actsearch.training.build import build_module
from actsearch.training.failures import is_device_error
from actsearch.training.loop import train
from actsearch.training.malloc import keep_freed_memory, release_memory
from actsearch.training.size import cohort_size, why_too_large
from actsearch.training.types import Candidate, Cohort, OnComplete, OnRung, OnStep, Plan, Rung, TrainingOutcome

__all__ = [
    "Candidate",
    "Cohort",
    "OnComplete",
    "OnRung",
    "OnStep",
    "Plan",
    "Rung",
    "TrainingOutcome",
    "build_module",
    "cohort_size",
    "is_device_error",
    "keep_freed_memory",
    "release_memory",
    "train",
    "why_too_large",
]
