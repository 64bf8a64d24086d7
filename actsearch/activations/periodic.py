"""Periodic and localised functions, for signals with fine detail: implicit representations, regression, PDEs."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from actsearch.activations.declaration import Parameter, family
from actsearch.activations.floors import at_least


def siren_gain(omega: float) -> float:
    """Gain of SIREN's weights, U(-sqrt(6 / n) / omega, sqrt(6 / n) / omega): omega x then has variance 1."""
    return math.sqrt(2.0) / omega


@family(
    formula="sin(omega x)",
    reference="Sitzmann et al. 2020, Implicit neural representations with periodic activation functions",
    parameters={"omega": Parameter(1.0, 0.5, 60.0, log=True, description="frequency")},
    smooth=True,
    bounded=True,
    cost="exponential",
    initial_gain=siren_gain,
)
def sine(x: Tensor, omega: float | Tensor) -> Tensor:
    """Sine (SIREN), with SIREN's own gain."""
    return torch.sin(omega * x)


@family(
    formula="sin(omega (|x| + 1) x)",
    reference="Liu et al. 2024, FINER: flexible spectral-bias tuning in implicit neural representation",
    parameters={"omega": Parameter(30.0, 0.5, 60.0, log=True, description="frequency at zero")},
    smooth=True,
    bounded=True,
    cost="exponential",
    initial_gain=siren_gain,
)
def finer(x: Tensor, omega: float | Tensor) -> Tensor:
    """Sine whose frequency grows with the input, with SIREN's gain."""
    return torch.sin(omega * (x.abs() + 1) * x)


@family(
    formula="x + sin(a x)^2 / a",
    reference="Ziyin et al. 2020, Neural networks fail to learn periodic functions and how to fix it",
    parameters={"a": Parameter(1.0, 0.1, 30.0, log=True, learnable=True, description="frequency")},
    smooth=True,
    monotone=True,
    cost="exponential",
)
def snake(x: Tensor, a: float | Tensor) -> Tensor:
    """Identity with a ripple; a learned frequency is kept at 0.1 or more."""
    a = at_least(a, 0.1)
    return x + torch.sin(a * x).square() / a


@family(
    formula="x cos(x)",
    reference="Noel et al. 2021, Growing cosine unit: a novel oscillatory activation function",
    smooth=True,
    cost="exponential",
)
def gcu(x: Tensor) -> Tensor:
    """Growing cosine unit."""
    return x * torch.cos(x)


@family(
    formula="exp(-x^2 / (2 s^2))",
    reference="Ramasinghe & Lucey 2022, Beyond periodicity: towards a unifying framework for coordinate-MLPs",
    parameters={"s": Parameter(1.0, 0.05, 3.0, log=True, description="width")},
    smooth=True,
    bounded=True,
    cost="exponential",
)
def gaussian(x: Tensor, s: float | Tensor) -> Tensor:
    """Bell curve."""
    return torch.exp(-0.5 * (x / s).square())


@family(
    formula="(1 - (x / s)^2) exp(-x^2 / (2 s^2))",
    reference="Ricker wavelet; Zhang & Benveniste 1992, Wavelet networks",
    parameters={"s": Parameter(1.0, 0.05, 3.0, log=True, description="width")},
    smooth=True,
    bounded=True,
    cost="exponential",
)
def ricker(x: Tensor, s: float | Tensor) -> Tensor:
    """Second derivative of the bell curve, turned upside down."""
    square = (x / s).square()
    return (1 - square) * torch.exp(-0.5 * square)


@family(
    formula="tanh(beta sin(omega x))",
    reference="Serrano et al. 2024, HOSC: a periodic activation for preserving sharp features, arXiv 2401.10967",
    parameters={
        "beta": Parameter(4.0, 0.5, 30.0, log=True, description="sharpness: from a sine to a square wave"),
        "omega": Parameter(1.0, 0.5, 60.0, log=True, description="frequency"),
    },
    smooth=True,
    bounded=True,
    cost="composite",
    initial_gain=lambda beta, omega: siren_gain(omega),
)
def hosc(x: Tensor, beta: float | Tensor, omega: float | Tensor) -> Tensor:
    """Hyperbolic oscillator: a sine with edges as sharp as wanted, with SIREN's gain."""
    return torch.tanh(beta * torch.sin(omega * x))
