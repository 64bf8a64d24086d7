"""Stages of networks whose layers are all alike: thirds of their depth."""

from __future__ import annotations

STAGES = 3


def stage_of(index: int, depth: int) -> str:
    """The stage of layer `index` (from 0) of `depth`: up to three of equal depth, `stage1` first."""
    return f"stage{index * min(STAGES, depth) // depth + 1}"
