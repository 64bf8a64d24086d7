"""Plain convolutional networks."""

from __future__ import annotations

from torch import nn

from actsearch.architectures.convolution import AveragePool, convolution
from actsearch.architectures.declaration import InputSpec, Sites, architecture
from actsearch.architectures.dropout import Dropout
from actsearch.architectures.initialisation import initialise
from actsearch.architectures.normalisation import NORM, needs_bias, normalisation
from actsearch.architectures.units import SPACE_UNIT, Unit
from actsearch.schemas import ParameterInfo


@architecture(
    inputs=("image", "sequence"),
    parameters=(
        ParameterInfo(
            name="channels", type="int", default=16, low=1, high=1024, log=True, description="of the first stage"
        ),
        ParameterInfo(name="stages", type="int", default=2, low=1, high=6, description="each with twice the channels"),
        ParameterInfo(name="layers", type="int", default=2, low=1, high=16, description="convolutions a stage"),
        NORM,
        ParameterInfo(name="dropout", type="float", default=0.0, low=0.0, high=0.9, description="before the output"),
        *SPACE_UNIT,
    ),
)
def convnet(
    spec: InputSpec,
    sites: Sites,
    *,
    channels: int,
    stages: int,
    layers: int,
    norm: str,
    dropout: float,
    unit: str,
    pieces: int,
    match_size: bool,
) -> nn.Module:
    """VGG-like network: 3-wide convolutions, channels double and resolution halves from stage to stage, average pool.

    One-dimensional for sequences, two-dimensional for images. Sites are `layer1` ... in forward order, in `stage1` ...
    Below a size of 2 the resolution is no longer halved.
    """
    units = Unit(unit, pieces, match_size)
    size, *space = spec.shape
    blocks: list[nn.Module] = []
    for stage in range(stages):
        if stage and min(space) > 1:
            blocks.append(_pool(len(space)))  # (B, C, *space) -> (B, C, *space / 2)
            space = [length // 2 for length in space]
        for index in range(layers):
            wide = units.in_chain(channels * 2**stage, kernel=3 ** len(space))
            site = f"layer{stage * layers + index + 1}"
            hidden, gains = units.at(sites, site, stage=f"stage{stage + 1}", width=wide, dimensions=len(space))
            layer = convolution(len(space), size, units.inputs * wide, bias=needs_bias(norm))
            blocks.append(initialise(layer, *gains))  # (B, size, *space) -> (B, inputs * wide, *space)
            blocks += [normalisation(norm, units.inputs * wide, len(space)), hidden]
            size = units.outputs * wide
    head = initialise(nn.Linear(size, spec.outputs), 1.0)
    return nn.Sequential(*blocks, AveragePool(), *([Dropout(dropout)] if dropout else []), head)


def _pool(dimensions: int) -> nn.Module:
    return nn.MaxPool1d(2) if dimensions == 1 else nn.MaxPool2d(2)
