"""What networks over time share: how tokens and signals enter, and where the answer is read."""

from __future__ import annotations

from torch import Tensor, nn

from actsearch.architectures.declaration import InputSpec
from actsearch.architectures.initialisation import initialise


def embedding(spec: InputSpec, width: int) -> tuple[nn.Module, int]:
    """The module that turns inputs into signals (B, C, T), and C: signals pass, tokens get a learned vector each."""
    if spec.kind == "tokens":
        return Embedding(spec.outputs, width), width
    return nn.Identity(), spec.shape[0]


class Embedding(nn.Embedding):
    """Tokens (B, T) -> signals (B, width, T), drawn from N(0, 1)."""

    def forward(self, x: Tensor) -> Tensor:
        """The tokens' vectors."""
        return super().forward(x).transpose(1, 2)


class Head(nn.Module):
    """Reads signals (B, channels, T): (B, outputs) at the last step, for tokens (B, T, outputs) at every step."""

    def __init__(self, spec: InputSpec, channels: int) -> None:
        super().__init__()
        self._every = spec.kind == "tokens"
        self.linear = initialise(nn.Linear(channels, spec.outputs), 1.0)

    def forward(self, x: Tensor) -> Tensor:
        """The answer."""
        answer: Tensor = self.linear(x.transpose(1, 2) if self._every else x[..., -1])
        return answer
