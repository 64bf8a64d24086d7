"""The `nn.Module` of an activation."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from actsearch.activations.declaration import Cost
from actsearch.activations.expressions.family import family_of
from actsearch.activations.gain import gain
from actsearch.activations.resolution import learned_names, resolve
from actsearch.schemas import ActivationSpec


class Activation(nn.Module):
    """An activation as a module: fixed hyperparameters are plain numbers, learned ones `nn.Parameter`s.

    Args:
        spec: the activation; defaults fill in what it leaves out.
        channels: size of the channel axis; needed where a value a channel is learned.
        axis: the channel axis of the input, counted with the batch axis; may be negative.

    Attributes:
        spec: the complete activation (see `resolve`).
        gain: gain for the weights of the layer before (see `gain`).
        cost: its family's cost class.

    Raises:
        InvalidRequest: see `resolve`.
        ValueError: if `channels` is missing where it is needed.
    """

    def __init__(self, spec: ActivationSpec, *, channels: int | None = None, axis: int = 1) -> None:
        super().__init__()
        self.spec = resolve(spec)
        self.gain: float = gain(self.spec)
        self.axis = axis
        family = family_of(self.spec)
        self.cost: Cost = family.cost
        self._function, self._stochastic = family.function, family.stochastic
        self._learned = learned_names(self.spec)
        self._fixed = {name: v for name, v in self.spec.parameters.items() if name not in self._learned}
        for name in self._learned:
            self.register_parameter(name, self._parameter(name, channels))

    def _parameter(self, name: str, channels: int | None) -> nn.Parameter:
        value = self.spec.parameters[name]
        if self.spec.learned == "scalar":
            return nn.Parameter(torch.tensor(value))
        if channels is None:
            raise ValueError(f"{self.spec.family} learns {name} for each channel; say how many `channels` there are")
        return nn.Parameter(torch.full((channels,), value))

    def forward(self, x: Tensor) -> Tensor:
        """f(x), of the shape and type of `x`."""
        values: dict[str, Any] = dict(self._fixed)
        for name in self._learned:
            values[name] = self._broadcast(getattr(self, name), x)
        if self._stochastic:
            values["training"] = self.training
        return self._function(x, **values)

    def _broadcast(self, value: Tensor, x: Tensor) -> Tensor:
        """A learned value, () or (channels,), shaped to broadcast against `x`; in its type, for autocast's sake."""
        value = value.to(x.dtype)
        if value.dim() == 0:
            return value
        shape = [1] * x.dim()
        shape[self.axis] = -1
        return value.view(shape)

    def extra_repr(self) -> str:
        """Family, values and how they are learned."""
        values = "".join(f", {name}={value:g}" for name, value in self.spec.parameters.items())
        return f"{self.spec.label}{values}" + (f", learned={self.spec.learned}" if self._learned else "")
