"""Initial weights: drawn so that the activation after a layer keeps the signal's second moment."""

from __future__ import annotations

import math
from typing import TypeVar, cast

import torch
from torch import Tensor, nn

Layer = TypeVar("Layer", bound=nn.Module)


def initialise(layer: Layer, *gains: float) -> Layer:
    """Draw a layer's weight from N(0, gain² / fan_in), set its bias to zero, and give the layer back.

    A gain of sqrt(2) is He's initialisation, a gain of 1 LeCun's. The normal numbers are drawn first and scaled after,
    so that from one state of torch's generator two gains give the same weights up to a factor.

    Args:
        layer: a linear layer or a convolution: its `weight` is (out, in, *kernel).
        gains: standard deviation times sqrt(fan_in), >= 0; one for all outputs, or one for each of as many equal blocks
            of them.

    Reference:
        He et al. 2015, Delving deep into rectifiers; LeCun et al. 1998, Efficient backprop.
    """
    weight, bias = layer.weight, layer.bias
    if not isinstance(weight, Tensor):
        raise TypeError(f"{type(layer).__name__} has no weight to draw")
    if weight.is_meta:  # nothing to draw, and torch would load its compiler, for most of a second, to do so
        return layer
    fan_in = weight[0].numel()
    with torch.no_grad():
        weight.normal_()
        for block, gain in zip(weight.chunk(len(gains)), gains, strict=True):
            block.mul_(gain / math.sqrt(fan_in))
        if isinstance(bias, Tensor):
            bias.zero_()
    return layer


def gain_of(activation: nn.Module) -> float:
    """The gain that the module of a site asks of the layer before it (see `Sites`)."""
    return cast("float", activation.gain)
