"""Stand-ins at the places of activations: what they see is written down, what they compute is what stood there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

_WATCHERS: list[Callable[[str, Tensor, Callable[[Tensor], Tensor]], Tensor]] = []


class Probe(nn.Module):
    """Stands at a place until it is known what passes there.

    Args:
        path: of the place.
        function: what it computes.
        calls: counts calls, by path.
    """

    def __init__(self, path: str, function: Callable[[Tensor], Tensor], calls: Counter[str]) -> None:
        super().__init__()
        self.path, self.calls, self.function = path, calls, function

    def forward(self, x: Tensor) -> Tensor:
        """The function of a copy of `x`."""
        self.calls[self.path] += 1
        return _WATCHERS[-1](self.path, x, self.function) if _WATCHERS else self.function(x.clone())


class watched:  # noqa: N801  # a context
    """Lets a function see what passes probes."""

    def __init__(self, watcher: Callable[[str, Tensor, Callable[[Tensor], Tensor]], Tensor]) -> None:
        self._watcher = watcher

    def __enter__(self) -> None:
        _WATCHERS.append(self._watcher)

    def __exit__(self, *_: Any) -> None:
        _WATCHERS.pop()
