"""Units that change the number of channels: gates, maxout and concatenated rectifiers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from actsearch.activations import gain
from actsearch.architectures import InputSpec, initialise
from actsearch.architectures.units import Unit, maxout_gain
from actsearch.schemas import ActivationSpec
from actsearch.training import build_module
from actsearch.training.build import SiteActivation, site_activations

torch.set_num_threads(1)

KINDS = ["plain", "glu", "maxout", "crelu"]
VECTOR = InputSpec("vector", (6,), 3)


def sites_of(family: str) -> Any:
    def sites(site: str, *, stage: str, channels: int, axis: int = 1) -> nn.Module:
        return SiteActivation(ActivationSpec(family=family), site=site, channels=channels, axis=axis)

    return sites


def applied(kind: str, family: str, x: Tensor, *, width: int, axis: int, pieces: int = 2) -> Tensor:
    module, _ = Unit(kind, pieces, match_size=False).at(sites_of(family), "s", stage="t", width=width, axis=axis)
    found: Tensor = module(x)
    return found


@pytest.mark.parametrize("axis", [1, -1])
def test_units_compute_what_their_papers_say(axis: int) -> None:
    u, v, w = torch.randn(3, 2, 5, 4, generator=torch.Generator().manual_seed(0)).movedim(-1, axis)
    two, three = torch.cat([u, v], axis), torch.cat([u, v, w], axis)
    by = {"width": 4, "axis": axis}
    torch.testing.assert_close(applied("glu", "gelu", two, **by), F.gelu(u) * v)
    torch.testing.assert_close(applied("glu", "identity", two, **by), u * v)
    torch.testing.assert_close(applied("maxout", "identity", two, **by), torch.maximum(u, v))
    largest = torch.stack([u, v, w]).amax(0)
    torch.testing.assert_close(applied("maxout", "identity", three, pieces=3, **by), largest)
    torch.testing.assert_close(applied("crelu", "relu", u, **by), torch.cat([F.relu(u), F.relu(-u)], axis))


@pytest.mark.parametrize("kind", ["glu", "maxout", "crelu"])
@given(width=st.integers(20, 300), pieces=st.integers(2, 4))
def test_matched_widths_keep_the_number_of_weights(kind: str, width: int, pieces: int) -> None:
    unit = Unit(kind, pieces, match_size=True)
    chained, between = unit.in_chain(width), unit.between(width)
    assert unit.inputs * chained * unit.outputs * chained == pytest.approx(width**2, rel=0.15)
    size = 10
    assert size * unit.inputs * between + unit.outputs * between * size == pytest.approx(2 * size * width, rel=0.15)
    assert Unit(kind, pieces, match_size=False).between(width) == width


def test_a_gate_takes_two_thirds_of_the_width() -> None:
    assert Unit("glu", 2, match_size=True).between(48) == 32  # Shazeer 2020: 3072 -> 2048


def test_one_layer_may_have_a_gain_for_each_block_of_outputs() -> None:
    torch.manual_seed(0)
    layer = initialise(nn.Linear(500, 600), 3.0, 0.5)
    first, second = layer.weight.chunk(2)
    assert first.std().item() * 500**0.5 == pytest.approx(3.0, rel=0.02)
    assert second.std().item() * 500**0.5 == pytest.approx(0.5, rel=0.02)


@pytest.mark.parametrize("pieces", [2, 3, 4])
@pytest.mark.parametrize("family", ["identity", "relu", "gelu", "sine"])
def test_the_gain_of_maxout_makes_up_for_the_maximum(family: str, pieces: int) -> None:
    activation = sites_of(family)("s", stage="t", channels=1)
    function = activation(torch.randn(400_000, pieces, generator=torch.Generator().manual_seed(0)))
    largest = function.amax(1).square().mean().item()
    added = largest / function.square().mean().item()
    assert maxout_gain(activation, pieces) == pytest.approx(gain(activation.spec) / added**0.5, rel=0.02)


# Gates square the size of the signal in every layer: without a norm only few may follow each other.
@pytest.mark.parametrize(("kind", "depth"), [("plain", 8), ("maxout", 8), ("crelu", 8), ("glu", 1)])
@pytest.mark.parametrize("family", ["relu", "identity", "gelu"])
def test_the_signal_keeps_its_size_through_layers_of_units(kind: str, depth: int, family: str) -> None:
    module = build_module(
        "mlp",
        {"depth": depth, "width": 300, "unit": kind},
        InputSpec("vector", (300,), 300),
        {"network": ActivationSpec(family=family)},
        seed=0,
    )
    with torch.no_grad():
        outputs = module(torch.randn(50, 300, generator=torch.Generator().manual_seed(0)))
    assert 0.2 < outputs.square().mean().item() < 5


@pytest.mark.parametrize("unit", KINDS)
@pytest.mark.parametrize("name", ["mlp", "convnet", "vit", "mlp_mixer"])
def test_sites_and_learned_channels_fit_their_unit(name: str, unit: str) -> None:
    spec = InputSpec("image", (1, 4, 4), 3)
    prelu = {"network": ActivationSpec(family="prelu", learned="channel")}
    module = build_module(name, {"unit": unit, "pieces": 3}, spec, prelu, seed=0)
    module(torch.randn(2, 1, 4, 4)).square().sum().backward()
    for activation in site_activations(module).values():
        (slope,) = activation.parameters()
        assert slope.shape == (activation.channels,)
        assert slope.grad is not None
        assert slope.grad.any()


def test_a_plain_unit_is_the_activation_itself() -> None:
    module = build_module("mlp", {"depth": 1}, VECTOR, {"network": ActivationSpec(family="relu")}, seed=0)
    assert list(site_activations(module)) == ["3"]
