"""A loss that subtracts targets (N,) from outputs (N, 1) pairs all samples with all others: found while it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

_PAIRING = {F.mse_loss, F.l1_loss, F.smooth_l1_loss, F.huber_loss, F.poisson_nll_loss, torch.broadcast_tensors}
"""Functions that broadcast inside, so that their result does not show it."""


class Broadcast(Exception):
    """A function paired every sample with every other by broadcasting."""


@contextmanager
def refusing_broadcasts(samples: int) -> Iterator[None]:
    """Raise `Broadcast` where a torch function broadcasts two tensors of `samples` samples into all their pairs.

    A tensor (N, 1) with one (N,), that is; shapes of equally many axes are taken as meant so.

    Args:
        samples: N, at least 2.
    """
    with _Watch(samples):
        yield


class _Watch(TorchFunctionMode):
    def __init__(self, samples: int) -> None:
        super().__init__()
        self._samples = samples

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        shapes = [tuple(a.shape) for a in (*args, *(kwargs or {}).values()) if isinstance(a, Tensor)]
        if len(shapes) >= 2 and self._crosses(shapes[0], shapes[1]):
            pairs = torch.broadcast_shapes(*shapes[:2])
            if func in _PAIRING or (isinstance(result, Tensor) and result.shape == pairs):
                self._refuse(func, shapes)
        return result

    def _crosses(self, one: tuple[int, ...], other: tuple[int, ...]) -> bool:
        """Whether the shapes are (N, 1) and (N,), in either order."""
        return {one, other} == {(self._samples, 1), (self._samples,)}

    def _refuse(self, func: Callable[..., Any], shapes: Sequence[tuple[int, ...]]) -> None:
        name = getattr(func, "__name__", str(func)).strip("_")
        words = " and ".join("(N, 1)" if len(shape) == 2 else "(N,)" for shape in shapes[:2])
        fix = "give both one shape, with outputs.squeeze(-1) or targets.unsqueeze(-1)"
        raise Broadcast(f"`{name}` pairs every output with the target of every sample: shapes {words}; {fix}")
