"""What the training loop asks of its trials, whether there is one or a stack of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from torch import Tensor, nn

from actsearch.tasks.declaration import Part


class Trials(Protocol):
    """K trials in training. Tensors stay on the device: nothing here waits for it."""

    def step(self, batch: Part, factor: float) -> Tensor:
        """One optimiser step on a batch, learning rates times `factor`; the losses before it, (K,)."""
        ...

    def evaluate(self, part: Part, further: Collection[str] = ()) -> dict[str, Tensor]:
        """The task's metrics on a part and the final ones named in `further`, in evaluation mode, each (K,)."""
        ...

    def largest_slopes(self, part: Part) -> dict[str, Tensor]:
        """For each site the largest |f'(x)| of each channel over a part, (K, channels), in evaluation mode."""
        ...

    def near_zero(self, part: Part, bound: float) -> dict[str, Tensor]:
        """For each site the share of outputs over a part with |f(x)| < bound, (K,), in evaluation mode."""
        ...

    def gradient_norms(self, batch: Part) -> tuple[Tensor, Tensor]:
        """Norms of the loss's gradient by the weights of the first and of the last layer, each (K,)."""
        ...

    def parameter_counts(self) -> list[int]:
        """Trained numbers of each trial."""
        ...

    def module(self, row: int) -> nn.Module:
        """The plain network of a trial as it is now, in evaluation mode, on the device; good until the next step."""
        ...

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with the trials at these places only, in this order; never none."""
        ...


def weight_names(shapes: Mapping[str, tuple[int, ...]]) -> tuple[str, str]:
    """Names of the first and last layer's weights among parameters in forward order: those with two axes or more."""
    weights = [name for name, shape in shapes.items() if len(shape) > 1]
    return weights[0], weights[-1]
