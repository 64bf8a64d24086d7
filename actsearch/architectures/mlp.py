"""Fully connected networks."""

from __future__ import annotations

from math import prod

from torch import nn

from actsearch.architectures.declaration import InputSpec, Sites, architecture
from actsearch.architectures.dropout import Dropout
from actsearch.architectures.initialisation import initialise
from actsearch.architectures.normalisation import NORM, needs_bias, normalisation
from actsearch.architectures.stages import stage_of
from actsearch.architectures.units import CHANNEL_UNIT, Unit
from actsearch.schemas import ParameterInfo


@architecture(
    inputs=("vector", "sequence", "image", "coordinates"),
    parameters=(
        ParameterInfo(name="depth", type="int", default=3, low=1, high=100, description="hidden layers"),
        ParameterInfo(name="width", type="int", default=64, low=1, high=8192, log=True, description="units a layer"),
        NORM,
        ParameterInfo(name="dropout", type="float", default=0.0, low=0.0, high=0.9, description="after activations"),
        *CHANNEL_UNIT,
    ),
)
def mlp(
    spec: InputSpec,
    sites: Sites,
    *,
    depth: int,
    width: int,
    norm: str,
    dropout: float,
    unit: str,
    pieces: int,
    match_size: bool,
) -> nn.Module:
    """Fully connected network: every input is flattened, hidden layers are equally wide.

    Sites are `layer1` to `layer<depth>`, in up to three stages of equal depth, `stage1` first.
    """
    units = Unit(unit, pieces, match_size)
    width = units.in_chain(width)
    layers: list[nn.Module] = [nn.Flatten()]
    size = prod(spec.shape)
    for index in range(depth):
        hidden, gains = units.at(sites, f"layer{index + 1}", stage=stage_of(index, depth), width=width)
        linear = nn.Linear(size, units.inputs * width, bias=needs_bias(norm))
        layers.append(initialise(linear, *gains))  # (B, size) -> (B, inputs * width)
        layers.append(normalisation(norm, units.inputs * width, 0))
        layers += [hidden, *([Dropout(dropout)] if dropout else [])]  # -> (B, outputs * width)
        size = units.outputs * width
    return nn.Sequential(*layers, initialise(nn.Linear(size, spec.outputs), 1.0))  # (B, size) -> (B, outputs)
