"""Coordinate networks: implicit representations of images and fields, solutions of differential equations."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from actsearch.architectures.declaration import InputSpec, Sites, architecture
from actsearch.architectures.initialisation import gain_of, initialise
from actsearch.architectures.stages import stage_of
from actsearch.schemas import ParameterInfo

_OUTPUT_GAIN = 0.1


@architecture(
    inputs=("coordinates",),
    parameters=(
        ParameterInfo(name="depth", type="int", default=3, low=1, high=32, description="hidden layers"),
        ParameterInfo(name="width", type="int", default=64, low=1, high=4096, log=True, description="units a layer"),
        ParameterInfo(
            name="input_scale",
            type="float",
            default=1.0,
            low=0.1,
            high=100.0,
            log=True,
            description="factor on coordinates: finer detail from the start; 8.7 is SIREN's omega_0 = 30",
        ),
    ),
)
def coordinate(spec: InputSpec, sites: Sites, *, depth: int, width: int, input_scale: float) -> nn.Module:
    """Network from coordinates to values, with scaled inputs; SIREN when the activation is a sine.

    Smooth wherever the activations are, to any order, and without anything that mixes samples: fit for losses with
    derivatives. Sites are `layer1` to `layer<depth>`, in up to three stages of equal depth.

    The weights before a sine are SIREN's (its family asks for that gain): N(0, 2 / n) / omega, first layer included, so
    omega cancels there and `input_scale` alone sets the frequencies, sqrt(2 / D) input_scale at one standard deviation.
    The output begins small (gain 0.1): what the untrained network says between the samples stays in the trained one.

    Reference: Sitzmann et al. 2020, Implicit neural representations with periodic activation functions.
    """
    layers: list[nn.Module] = [Scale(input_scale)]
    (size,) = spec.shape
    for index in range(depth):
        activation = sites(f"layer{index + 1}", stage=stage_of(index, depth), channels=width)
        linear = initialise(nn.Linear(size, width), gain_of(activation))
        layers += [linear if index else centred(linear, input_scale), activation]  # (B, size) -> (B, width)
        size = width
    return nn.Sequential(*layers, initialise(nn.Linear(size, spec.outputs), _OUTPUT_GAIN))  # (B, width) -> (B, outputs)


class Scale(nn.Module):
    """Multiplies its input by a constant."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """The product."""
        return self.factor * x

    def extra_repr(self) -> str:
        """The factor."""
        return f"{self.factor:g}"


def centred(layer: nn.Linear, scale: float) -> nn.Linear:
    """Draw a first layer's bias so that each unit is zero at a random point of [-scale, scale]^D, and give it back.

    With zero biases all units would bend at the origin, and the network of an odd activation would be odd.
    """
    with torch.no_grad():
        centres = torch.empty_like(layer.weight).uniform_(-scale, scale)  # (width, D)
        layer.bias.copy_(-(layer.weight * centres).sum(1))
    return layer
