"""Sigmoid-weighted units: the input times a smooth gate of itself."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from actsearch.activations.declaration import Parameter, family


@family(
    formula="x Phi(x), Phi the standard normal distribution function",
    reference="Hendrycks & Gimpel 2016, Gaussian error linear units",
    smooth=True,
    cost="exponential",
    torch_module="nn.GELU()",
)
def gelu(x: Tensor) -> Tensor:
    """Gaussian error linear unit."""
    return F.gelu(x)


@family(
    formula="x sigmoid(x)",
    reference="Elfwing et al. 2018, Sigmoid-weighted linear units",
    smooth=True,
    cost="exponential",
    torch_module="nn.SiLU()",
)
def silu(x: Tensor) -> Tensor:
    """Sigmoid linear unit."""
    return F.silu(x)


@family(
    formula="x sigmoid(beta x)",
    reference="Ramachandran et al. 2017, Searching for activation functions",
    parameters={"beta": Parameter(1.0, 0.1, 10.0, log=True, learnable=True, description="steepness of the gate")},
    smooth=True,
    cost="exponential",
)
def swish(x: Tensor, beta: float | Tensor) -> Tensor:
    """Between x / 2 (beta = 0) and the rectifier (large beta)."""
    return x * torch.sigmoid(beta * x)


@family(
    formula="mix x sigmoid(beta x) + (1 - mix) max(0, x)",
    reference="Manessi & Rozza 2018, Learning combinations of activation functions; Suetfeld et al. 2018",
    parameters={
        "beta": Parameter(1.0, 0.1, 10.0, log=True, learnable=True, description="steepness of the gate"),
        "mix": Parameter(0.5, 0.0, 1.0, learnable=True, description="share of swish; the rest is relu"),
    },
    cost="exponential",
)
def swish_relu_mix(x: Tensor, beta: float | Tensor, mix: float | Tensor) -> Tensor:
    """Blend of swish and the rectifier; a learned mix may leave [0, 1] (an affine blend)."""
    return mix * x * torch.sigmoid(beta * x) + (1 - mix) * F.relu(x)


@family(
    formula="x min(max(0, x + 3), 6) / 6",
    reference="Howard et al. 2019, Searching for MobileNetV3",
    quantisation_friendly=True,
    torch_module="nn.Hardswish()",
)
def hardswish(x: Tensor) -> Tensor:
    """Piecewise quadratic swish."""
    return F.hardswish(x)


@family(
    formula="x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2",
    reference="Hendrycks & Gimpel 2016, Gaussian error linear units",
    smooth=True,
    cost="exponential",
    torch_module='nn.GELU(approximate="tanh")',
)
def gelu_tanh(x: Tensor) -> Tensor:
    """The tanh approximation of GELU, as many language models were trained with."""
    # As (1 + tanh(u)) / 2 = sigmoid(2 u); F.gelu(x, approximate="tanh") is NaN in its third derivative from |x| = 13.
    return x * torch.sigmoid(x * (1.5957691216057308 + 0.07135481627159996 * x.square()))


@family(
    formula="x sigmoid(1.702 x)",
    reference="Hendrycks & Gimpel 2016; used by CLIP, Radford et al. 2021",
    smooth=True,
    cost="exponential",
)
def quick_gelu(x: Tensor) -> Tensor:
    """The sigmoid approximation of GELU."""
    return x * torch.sigmoid(1.702 * x)


@family(
    formula="k x sigmoid(x)",
    reference="Alcaide 2018, E-swish: adjusting activations to different network depths",
    parameters={"k": Parameter(1.5, 1.0, 2.0, description="scale")},
    smooth=True,
    cost="exponential",
)
def eswish(x: Tensor, k: float | Tensor) -> Tensor:
    """Scaled sigmoid linear unit."""
    return k * F.silu(x)


@family(
    formula="(p1 - p2) x sigmoid(beta (p1 - p2) x) + p2 x",
    reference="Ma et al. 2021, Activate or not: learning customized activation",
    parameters={
        "p1": Parameter(1.0, 0.5, 2.0, learnable=True, description="slope for large inputs"),
        "p2": Parameter(0.0, -0.5, 0.5, learnable=True, description="slope for large negative inputs"),
        "beta": Parameter(1.0, 0.1, 10.0, log=True, learnable=True, description="sharpness; at 0 the unit is linear"),
    },
    smooth=True,
    cost="exponential",
    learned="channel",
)
def acon_c(x: Tensor, p1: float | Tensor, p2: float | Tensor, beta: float | Tensor) -> Tensor:
    """Smooth maximum of two lines."""
    rise = (p1 - p2) * x
    return rise * torch.sigmoid(beta * rise) + p2 * x


@family(
    formula="(alpha + tanh(beta x)) gamma x",
    reference="Kumar 2022, APTx: better activation function than MISH, SWISH, and ReLU's variants",
    parameters={
        "alpha": Parameter(1.0, 0.5, 1.5, description="offset of the gate"),
        "beta": Parameter(1.0, 0.1, 3.0, description="steepness of the gate"),
        "gamma": Parameter(0.5, 0.25, 1.0, description="scale"),
    },
    smooth=True,
    cost="exponential",
)
def aptx(x: Tensor, alpha: float | Tensor, beta: float | Tensor, gamma: float | Tensor) -> Tensor:
    """Tanh-gated unit; with alpha = 1 it is 2 gamma swish(2 beta)."""
    return (alpha + torch.tanh(beta * x)) * gamma * x


@family(
    formula="x min(2, max(0, x + 2)) / 2",
    reference="H-Mish, a piecewise quadratic Mish; timm",
    quantisation_friendly=True,
)
def hardmish(x: Tensor) -> Tensor:
    """Piecewise quadratic mish."""
    return 0.5 * x * F.hardtanh(x + 2, 0.0, 2.0)


@family(
    formula="x (1 + x / sqrt(1 + x^2)) / 2",
    reference="Zhu et al. 2021, PFLU and FPFLU: two novel non-monotonic activation functions",
    smooth=True,
)
def pflu(x: Tensor) -> Tensor:
    """Power-function gated unit: a swish without an exponential."""
    return 0.5 * x * (1 + x * torch.rsqrt(1 + x.square()))


@family(
    formula="((1 + a) x + (1 - a) x erf(mu (1 - a) x)) / 2",
    reference="Biswas et al. 2021, SMU: smooth activation function for deep networks using smoothing maximum technique",
    parameters={
        "a": Parameter(0.25, 0.0, 0.5, learnable=True, description="slope for large negative inputs"),
        "mu": Parameter(1.0, 0.5, 100.0, log=True, learnable=True, description="sharpness of the bend"),
    },
    smooth=True,
    monotone=True,
    cost="exponential",
)
def smu(x: Tensor, a: float | Tensor, mu: float | Tensor) -> Tensor:
    """Smooth maximum of x and a x."""
    return 0.5 * x * (1 + a + (1 - a) * torch.erf(mu * (1 - a) * x))


@family(
    formula="(x + a cos(b x)) sigmoid(x)",
    reference="Pishchik 2023, Trainable activations for image classification",
    parameters={
        "a": Parameter(1.0, 0.1, 2.0, learnable=True, description="height of the ripple"),
        "b": Parameter(1.0, 0.1, 5.0, learnable=True, description="frequency of the ripple"),
    },
    smooth=True,
    cost="composite",
)
def coslu(x: Tensor, a: float | Tensor, b: float | Tensor) -> Tensor:
    """Sigmoid linear unit with a cosine ripple."""
    return (x + a * torch.cos(b * x)) * torch.sigmoid(x)
