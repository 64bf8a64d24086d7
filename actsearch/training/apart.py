"""Trials that cannot all be one stack, trained side by side: each part sees the same batches and the same noise."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from actsearch.tasks.declaration import Part
from actsearch.training.noise import preserved_noise
from actsearch.training.trials import Trials

Found = TypeVar("Found")


class TrialsApart:
    """Several `Trials` as one.

    Args:
        parts: each with the rows, among all trials, of its own.
        device: of all of them.
    """

    def __init__(self, parts: Sequence[tuple[Trials, Sequence[int]]], device: torch.device) -> None:
        self._parts, self._device = [(trials, list(rows)) for trials, rows in parts], device

    def step(self, batch: Part, factor: float) -> Tensor:
        """See `Trials`."""
        return self._joined(self._each(lambda trials: trials.step(batch, factor)))

    def evaluate(self, part: Part, further: Collection[str] = ()) -> dict[str, Tensor]:
        """See `Trials`."""
        return self._by_name(self._each(lambda trials: trials.evaluate(part, further)))

    def largest_slopes(self, part: Part) -> dict[str, Tensor]:
        """See `Trials`."""
        return self._by_name(self._each(lambda trials: trials.largest_slopes(part)))

    def near_zero(self, part: Part, bound: float) -> dict[str, Tensor]:
        """See `Trials`."""
        return self._by_name(self._each(lambda trials: trials.near_zero(part, bound)))

    def gradient_norms(self, batch: Part) -> tuple[Tensor, Tensor]:
        """See `Trials`."""
        first, last = zip(*self._each(lambda trials: trials.gradient_norms(batch)), strict=True)
        return self._joined(first), self._joined(last)

    def parameter_counts(self) -> list[int]:
        """See `Trials`."""
        found: dict[int, int] = {}
        for trials, rows in self._parts:
            found |= zip(rows, trials.parameter_counts(), strict=True)
        return [found[row] for row in sorted(found)]

    def module(self, row: int) -> nn.Module:
        """See `Trials`."""
        trials, rows = next((trials, rows) for trials, rows in self._parts if row in rows)
        return trials.module(rows.index(row))

    def keep(self, rows: Sequence[int]) -> None:
        """See `Trials`."""
        kept: list[tuple[Trials, list[int]]] = []
        for trials, own in self._parts:
            staying = [row for row in rows if row in own]
            if staying:
                trials.keep([own.index(row) for row in staying])
                kept.append((trials, [rows.index(row) for row in staying]))
        self._parts = kept

    def _each(self, call: Callable[[Trials], Found]) -> list[Found]:
        found: list[Found] = []
        for trials, _ in self._parts:
            with preserved_noise(self._device):
                found.append(call(trials))
        return found

    def _joined(self, values: Sequence[Tensor]) -> Tensor:
        """Values of the parts, each (k, ...), in the order of all trials."""
        rows = [row for _, own in self._parts for row in own]
        places = torch.tensor(sorted(range(len(rows)), key=rows.__getitem__), device=values[0].device)
        return torch.cat(list(values))[places]

    def _by_name(self, found: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
        return {name: self._joined([one[name] for one in found]) for name in found[0]}
