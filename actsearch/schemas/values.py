"""Hyperparameters as one would write them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

_NUMBERED = re.compile(r"([a-z_]+)(\d+)")
_SHORTENED = 3


def values_text(values: Mapping[str, float]) -> str:
    """`alpha=1, beta=0.5`, with three significant digits; three and more numbered ones that are equal as one.

    `knots=9, base=1, c0 to c8=0`: the store keeps no order, so numbered names come last, in theirs.
    """
    runs: list[list[str]] = []
    for name in sorted(values, key=_place):
        if runs and values[runs[-1][-1]] == values[name] and _place(name) == _next(runs[-1][-1]):
            runs[-1].append(name)
        else:
            runs.append([name])
    return ", ".join(f"{names}={values[run[0]]:.3g}" for run in runs for names in _names(run))


def _place(name: str) -> tuple[str, int]:
    numbered = _NUMBERED.fullmatch(name)
    return (numbered[1], int(numbered[2])) if numbered else ("", 0)


def _next(name: str) -> tuple[str, int] | None:
    prefix, number = _place(name)
    return (prefix, number + 1) if prefix else None


def _names(run: Sequence[str]) -> Sequence[str]:
    return run if len(run) < _SHORTENED else [f"{run[0]} to {run[-1]}"]
