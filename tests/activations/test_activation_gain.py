"""Gains: known special cases, the measured table, and what they are for."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from actsearch.activations import Activation, derivative_second_moment, families, gain, second_moment
from actsearch.activations.declaration import _FAMILIES, family
from actsearch.activations.gain import FALLBACK_GAIN
from actsearch.schemas import ActivationSpec


def spec(name: str, **parameters: float) -> ActivationSpec:
    return ActivationSpec(family=name, parameters=parameters)


def test_he_and_lecun_are_special_cases() -> None:
    assert gain(spec("relu")) == pytest.approx(math.sqrt(2), abs=1e-9)
    assert gain(spec("leaky_relu", slope=0.2)) == pytest.approx(math.sqrt(2 / 1.04), abs=1e-9)
    assert gain(spec("prelu")) == pytest.approx(math.sqrt(2 / (1 + 0.25**2)), abs=1e-9)
    assert gain(spec("selu")) == pytest.approx(1.0, abs=1e-6)
    assert gain(spec("star_relu")) == pytest.approx(1.0, abs=1e-4)


def below(z: float) -> float:
    """P(Z < z) of a standard normal Z."""
    return 0.5 * math.erfc(-z / math.sqrt(2))


@settings(max_examples=40, deadline=None, derandomize=True)
@given(a=st.floats(0.5, 3.0))
def test_second_moments_with_a_closed_form(a: float) -> None:
    """E[f(Z)^2], worked out by hand from the moments of a (truncated) normal and E[cos(aZ)] = exp(-a^2 / 2)."""
    density = math.exp(-0.5 * a * a) / math.sqrt(2 * math.pi)
    elu = 0.5 + a * a * (math.e**2 * below(-2) - 2 * math.exp(0.5) * below(-1) + 0.5)
    hardtanh = 2 * (below(a) - 0.5) - 2 * a * density + 2 * a * a * below(-a)
    snake = 1 + (3 / 8 - math.exp(-2 * a * a) / 2 + math.exp(-8 * a * a) / 8) / (a * a)
    closed = [
        (spec("elu", alpha=a), elu),
        (spec("hardtanh", cap=a), hardtanh),
        (spec("sine", omega=a), (1 - math.exp(-2 * a**2)) / 2),
        (spec("snake", a=a), snake),
        (spec("gaussian", s=a), 1 / math.sqrt(1 + 2 / (a * a))),
        (spec("squared_relu"), 1.5),
        (spec("abs"), 1.0),
        (spec("identity"), 1.0),
        (spec("gcu"), (1 - 3 * math.exp(-2)) / 2),
    ]
    for activation, value in closed:
        assert second_moment(activation) == pytest.approx(value, rel=1e-6), activation


# Measured for the project apart from this code, to three decimals.
@pytest.mark.parametrize(
    ("name", "parameters", "measured"),
    [
        ("rrelu", {}, 1.379),
        ("elu", {}, 1.245),
        ("celu", {"alpha": 2}, 1.155),
        ("gelu", {}, 1.534),
        ("swish", {"beta": 0.5}, 1.86),
        ("swish", {"beta": 2}, 1.51),
        ("swish_relu_mix", {}, 1.549),
        ("mish", {}, 1.487),
        ("telu", {}, 1.375),
        ("serf", {}, 1.412),
        ("logish", {}, 2.268),
        ("smish", {}, 2.513),
        ("phish", {}, 1.664),
        ("aptx", {}, 1.509),
        ("pflu", {}, 1.554),
        ("softplus", {}, 1.04),
        ("shifted_softplus", {}, 1.876),
        ("softsign", {}, 2.338),
        ("tanh", {}, 1.593),
        ("scaled_tanh", {}, 1.154),
        ("penalized_tanh", {}, 2.185),
        ("hardtanh", {}, 1.392),
        ("hardswish", {}, 1.737),
        ("isru", {}, 1.704),
        ("arctan", {}, 1.491),
        ("lisht", {}, 1.149),
        ("smu", {}, 1.424),
        ("squared_relu", {}, 0.816),
        ("xielu", {}, 0.759),
        ("snake", {}, 0.875),
        ("gcu", {}, 1.835),
    ],
)
def test_gain_as_measured(name: str, parameters: dict[str, float], measured: float) -> None:
    assert gain(spec(name, **parameters)) == pytest.approx(measured, abs=0.006)


@pytest.mark.parametrize(
    ("name", "chi"),
    [("relu", 1.0), ("elu", 1.04), ("tanh", 1.18), ("hardtanh", 1.32), ("gcu", 3.37), ("sigmoid", 0.15)],
)
def test_edge_of_chaos_as_measured(name: str, chi: float) -> None:
    assert gain(spec(name)) ** 2 * derivative_second_moment(spec(name)) == pytest.approx(chi, abs=0.006)


def test_moments_agree_with_sampling() -> None:
    z = torch.randn(400_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for name, declared in families().items():
        values = {key: p.default for key, p in declared.parameters.items()}
        sampled = declared.function(z, **values).square()
        error = 6 * float(sampled.std()) / math.sqrt(len(z)) + 1e-9
        assert second_moment(spec(name)) == pytest.approx(float(sampled.mean()), abs=error), name


def test_siren_travels_with_its_own_gain() -> None:
    assert gain(spec("sine", omega=30)) == pytest.approx(math.sqrt(2) / 30)


def test_no_gain_falls_back_to_one() -> None:
    try:
        family(name="zero_for_test", formula="0", reference="-")(lambda x: 0 * x)
        assert gain(spec("zero_for_test")) == FALLBACK_GAIN
    finally:
        _FAMILIES.pop("zero_for_test", None)


def deep_moments(name: str, layers: int = 30, width: int = 400) -> torch.Tensor:
    """Mean and second moment after each layer of a plain network drawn with the gain, (layers, 2)."""
    generator = torch.Generator().manual_seed(3)
    module, factor = Activation(spec(name)), gain(spec(name)) / math.sqrt(width)
    x, rows = torch.randn(256, width, generator=generator), []
    for _ in range(layers):
        x = module(factor * x @ torch.randn(width, width, generator=generator))
        rows.append(torch.stack([x.mean(), x.square().mean()]))
    return torch.stack(rows)


@pytest.mark.parametrize("name", ["relu", "elu", "tanh"])
def test_second_moment_survives_thirty_layers(name: str) -> None:
    carried = gain(spec(name)) ** 2 * deep_moments(name)[:, 1]  # second moment of the next layer's input
    assert float(carried.min()) > 0.5
    assert float(carried.max()) < 2.5


def test_selu_normalises_itself() -> None:
    moments = deep_moments("selu")
    assert moments[:, 0].abs().max() < 0.15
    assert (moments[:, 1] - 1).abs().max() < 0.25
