"""Rectifiers, piecewise linear or quadratic functions that switch at zero, and the identity that they are made of.

Here and in the modules beside, a number goes to torch's own kernel where there is one. A tensor, which those kernels do
not take, goes through sums of kernels: `torch.where` and the backward pass of `clamp` cost ten times as much on a CPU.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from actsearch.activations.declaration import Parameter, family
from actsearch.activations.floors import at_least


@family(
    formula="x",
    reference="torch.nn.Identity; the gate of bilinear units, Shazeer 2020",
    smooth=True,
    monotone=True,
    quantisation_friendly=True,
    torch_module="nn.Identity()",
)
def identity(x: Tensor) -> Tensor:
    """No activation at all: a control, and what a layer without one is given."""
    return x


@family(
    formula="max(0, x)",
    reference="Nair & Hinton 2010, Rectified linear units improve restricted Boltzmann machines",
    monotone=True,
    quantisation_friendly=True,
    torch_module="nn.ReLU()",
)
def relu(x: Tensor) -> Tensor:
    """Rectified linear unit."""
    return F.relu(x)


@family(
    formula="x if x > 0 else slope x",
    reference="Maas et al. 2013, Rectifier nonlinearities improve neural network acoustic models",
    parameters={"slope": Parameter(0.01, 0.001, 0.5, log=True, description="slope of the negative part")},
    monotone=True,
    quantisation_friendly=True,
    torch_module="nn.LeakyReLU({slope})",
)
def leaky_relu(x: Tensor, slope: float | Tensor) -> Tensor:
    """Rectifier with a small negative slope."""
    return torch.lerp(F.relu(x), x, slope) if isinstance(slope, Tensor) else F.leaky_relu(x, slope)


@family(
    formula="x if x > 0 else slope x, slope learned",
    reference="He et al. 2015, Delving deep into rectifiers",
    parameters={"slope": Parameter(0.25, 0.01, 0.5, learnable=True, description="initial slope of the negative part")},
    monotone=True,
    quantisation_friendly=True,
    learned="channel",
    torch_module="nn.PReLU({channels}, init={slope})",
)
def prelu(x: Tensor, slope: float | Tensor) -> Tensor:
    """Leaky rectifier whose slope is trained with the weights."""
    return leaky_relu(x, slope)


@family(
    formula="x if x > 0 else a x, a ~ U(lower, upper) in training, (lower + upper) / 2 in evaluation",
    reference="Xu et al. 2015, Empirical evaluation of rectified activations in convolution network",
    parameters={
        # The ranges meet but do not cross, so that lower <= upper whatever is drawn.
        "lower": Parameter(1 / 8, 0.05, 0.25, description="smallest slope of the negative part"),
        "upper": Parameter(1 / 3, 0.25, 0.5, description="largest slope of the negative part"),
    },
    monotone=True,
    stochastic=True,
    quantisation_friendly=True,
)
def rrelu(x: Tensor, lower: float | Tensor, upper: float | Tensor, training: bool = False) -> Tensor:
    """Leaky rectifier with a random slope for every element while training."""
    # In the order of the axes: `rand_like` draws in the order of x's memory.
    share = torch.rand(x.shape, dtype=x.dtype, device=x.device) if training else 0.5
    return leaky_relu(x, lower + (upper - lower) * share)


@family(
    formula="min(max(0, x), 6)",
    reference="Krizhevsky 2010, Convolutional deep belief networks on CIFAR-10",
    monotone=True,
    bounded=True,
    quantisation_friendly=True,
    torch_module="nn.ReLU6()",
)
def relu6(x: Tensor) -> Tensor:
    """Rectifier capped at 6."""
    return F.relu6(x)


@family(
    formula="min(max(0, x), cap)",
    reference="Krizhevsky 2010, Convolutional deep belief networks on CIFAR-10; ReLUN of Pishchik 2023",
    parameters={"cap": Parameter(6.0, 1.0, 20.0, log=True, learnable=True, description="largest value")},
    monotone=True,
    bounded=True,
    quantisation_friendly=True,
)
def capped_relu(x: Tensor, cap: float | Tensor) -> Tensor:
    """Rectifier capped at `cap`; a learned cap is kept at 0.1 or more."""
    cap = at_least(cap, 0.1)
    return cap * F.hardtanh(x / cap, 0.0, 1.0) if isinstance(cap, Tensor) else F.hardtanh(x, 0.0, cap)


@family(
    formula="max(0, x - shift) + offset",
    reference="Qiu et al. 2018, FReLU: flexible rectified linear units for improving convolutional neural networks",
    parameters={
        "shift": Parameter(0.0, -1.0, 1.0, learnable=True, description="where the unit switches on"),
        "offset": Parameter(0.0, -1.0, 1.0, learnable=True, description="value while it is off"),
    },
    monotone=True,
    quantisation_friendly=True,
)
def shifted_relu(x: Tensor, shift: float | Tensor, offset: float | Tensor) -> Tensor:
    """Rectifier moved along both axes."""
    return F.relu(x - shift) + offset


@family(
    formula="max(0, x)^2",
    reference="So et al. 2021, Primer: searching for efficient transformers for language modeling",
    smooth=True,
    monotone=True,
)
def squared_relu(x: Tensor) -> Tensor:
    """Square of the rectifier; its signal grows doubly exponentially with depth where nothing normalises it."""
    return F.relu(x).square()


@family(
    formula="scale max(0, x)^2 + bias",
    reference="Yu et al. 2022, MetaFormer baselines for vision",
    parameters={
        "scale": Parameter(0.8944, 0.1, 2.0, learnable=True, description="factor of the square"),
        "bias": Parameter(-0.4472, -1.0, 1.0, learnable=True, description="value below zero"),
    },
    smooth=True,
    monotone=True,
)
def star_relu(x: Tensor, scale: float | Tensor, bias: float | Tensor) -> Tensor:
    """Squared rectifier with mean 0 and variance 1 under a unit Gaussian."""
    return scale * F.relu(x).square() + bias


@family(name="abs", formula="|x|", reference="classical; an even rectifier", quantisation_friendly=True)
def absolute(x: Tensor) -> Tensor:
    """Absolute value."""
    return x.abs()
