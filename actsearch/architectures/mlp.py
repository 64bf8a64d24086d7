"""Fully connected networks."""

from __future__ import annotations

from math import prod

from torch import nn

from actsearch.architectures.declaration import InputSpec, Sites, architecture
from actsearch.architectures.initialisation import gain_of, initialise
from actsearch.architectures.normalisation import NORM, needs_bias, normalisation
from actsearch.schemas import ParameterInfo

_STAGES = 3


@architecture(
    inputs=("vector", "sequence", "image", "coordinates"),
    parameters=(
        ParameterInfo(name="depth", type="int", default=3, low=1, high=100, description="hidden layers"),
        ParameterInfo(name="width", type="int", default=64, low=1, high=8192, log=True, description="units a layer"),
        NORM,
        ParameterInfo(name="dropout", type="float", default=0.0, low=0.0, high=0.9, description="after activations"),
    ),
)
def mlp(spec: InputSpec, sites: Sites, *, depth: int, width: int, norm: str, dropout: float) -> nn.Module:
    """Fully connected network: every input is flattened, hidden layers are equally wide.

    Sites are `layer1` to `layer<depth>`, in up to three stages of equal depth, `stage1` first.
    """
    layers: list[nn.Module] = [nn.Flatten()]
    size = prod(spec.shape)
    for index in range(depth):
        activation = sites(f"layer{index + 1}", stage=_stage(index, depth), channels=width)
        linear = nn.Linear(size, width, bias=needs_bias(norm))
        layers.append(initialise(linear, gain_of(activation)))  # (B, size) -> (B, width)
        layers += [normalisation(norm, width, 0), activation, *([nn.Dropout(dropout)] if dropout else [])]
        size = width
    return nn.Sequential(*layers, initialise(nn.Linear(size, spec.outputs), 1.0))  # (B, width) -> (B, outputs)


def _stage(index: int, depth: int) -> str:
    return f"stage{index * min(_STAGES, depth) // depth + 1}"
