"""Hidden units of more than one number: gates, maxout, concatenated rectifiers; what all units share."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from actsearch.activations import gain
from actsearch.architectures import InputSpec, architectures, describe, get_architecture, initialise
from actsearch.architectures.units import Unit, maxout_gain
from actsearch.schemas import ActivationSpec
from actsearch.training import build_module
from actsearch.training.build import SiteActivation, site_activations

torch.set_num_threads(1)

TOKEN_KINDS = ["plain", "glu", "maxout", "crelu", "gabor", "polynorm"]
KINDS = {
    "mlp": [*TOKEN_KINDS, "meta_acon", "dy_relu"],
    "convnet": [*TOKEN_KINDS, "meta_acon", "dy_relu", "frelu"],
    "resnet": [*TOKEN_KINDS, "meta_acon", "dy_relu", "frelu"],
    "vit": TOKEN_KINDS,
    "mlp_mixer": TOKEN_KINDS,
    "transformer_lm": TOKEN_KINDS,
}
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
    torch.testing.assert_close(applied("gabor", "sine", two, **by), torch.sin(u) * torch.exp(-v * v))


@pytest.mark.parametrize("axis", [1, -1])
@pytest.mark.parametrize(("family", "f"), [("identity", lambda u: u), ("relu", F.relu)])
def test_polynorm_is_a_polynomial_of_powers_of_one_size(axis: int, family: str, f: Any) -> None:
    u = torch.randn(3, 4, 5, 4, generator=torch.Generator().manual_seed(0))
    h = f(u)
    powers = [h**i / ((h**i).square().mean(axis, keepdim=True) + 1e-6).sqrt() for i in (1, 2, 3)]
    torch.testing.assert_close(applied("polynorm", family, u, width=4, axis=axis), sum(powers) / 3)


@pytest.mark.parametrize("kind", ["glu", "maxout", "crelu", "gabor", "polynorm"])
@given(width=st.integers(20, 300), pieces=st.integers(2, 4))
def test_matched_widths_keep_the_number_of_weights(kind: str, width: int, pieces: int) -> None:
    unit = Unit(kind, pieces, match_size=True)
    chained, between = unit.in_chain(width), unit.between(width)
    assert unit.inputs * chained * unit.outputs * chained == pytest.approx(width**2, rel=0.15)
    size = 10
    assert size * unit.inputs * between + unit.outputs * between * size == pytest.approx(2 * size * width, rel=0.15)
    assert Unit(kind, pieces, match_size=False).between(width) == width


@pytest.mark.parametrize("kind", ["meta_acon", "dy_relu"])
@pytest.mark.parametrize("kernel", [1, 9])
@given(width=st.integers(20, 300))
def test_matched_widths_make_up_for_weights_of_the_units_own(kind: str, kernel: int, width: int) -> None:
    fewer = Unit(kind, 2, match_size=True).in_chain(width, kernel)
    module, _ = Unit(kind, 2, match_size=True).at(sites_of("relu"), "s", stage="t", width=fewer)
    own = sum(p.numel() for p in module.parameters() if p.dim() > 1)
    assert kernel * fewer**2 + own == pytest.approx(kernel * width**2, rel=0.1)


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
@pytest.mark.parametrize(
    ("kind", "depth"),
    [
        ("plain", 8),
        ("maxout", 8),
        ("crelu", 8),
        ("gabor", 4),
        ("polynorm", 8),
        ("glu", 1),
        ("meta_acon", 4),
        ("dy_relu", 8),
    ],
)
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


@pytest.mark.parametrize(("name", "unit"), [(n, k) for n, kinds in KINDS.items() for k in kinds if "lm" not in n])
def test_sites_and_learned_channels_fit_their_unit(name: str, unit: str) -> None:
    spec = InputSpec("image", (1, 4, 4), 3)
    prelu = {"network": ActivationSpec(family="prelu", learned="channel")}
    module = build_module(name, {"unit": unit, "pieces": 3}, spec, prelu, seed=0)
    x = torch.randn(32, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    module(x).square().sum().backward()
    for activation in site_activations(module).values():
        (slope,) = activation.parameters()
        assert slope.shape == (activation.channels,)
        assert slope.grad is not None
        assert slope.grad.any()


def test_a_plain_unit_is_the_activation_itself() -> None:
    module = build_module("mlp", {"depth": 1}, VECTOR, {"network": ActivationSpec(family="relu")}, seed=0)
    assert list(site_activations(module)) == ["3"]


@pytest.mark.parametrize("name", architectures())
def test_each_architecture_offers_the_units_that_it_can_have(name: str) -> None:
    schema = describe(get_architecture(name)).parameter_schema["properties"]
    assert schema.get("unit", {}).get("enum", []) == KINDS.get(name, [])


@pytest.mark.parametrize(("name", "unit"), [(n, k) for n, kinds in KINDS.items() for k in kinds if "lm" not in n])
def test_a_network_of_any_unit_keeps_its_state(name: str, unit: str) -> None:
    spec, one = InputSpec("image", (1, 4, 4), 3), {"network": ActivationSpec(family="swish", learned="channel")}
    trained, other = (build_module(name, {"unit": unit}, spec, one, seed=seed) for seed in (0, 1))
    x = torch.randn(6, 1, 4, 4)
    trained.train()(x).square().sum().backward()
    with torch.no_grad():
        for p in trained.parameters():
            p.sub_(0.01 * p.grad if p.grad is not None else 0.0)
    assert not torch.equal(other.eval()(x), trained.eval()(x))
    other.load_state_dict(trained.state_dict())
    assert torch.equal(other(x), trained(x))


@pytest.mark.parametrize("order", ["pre", "post"])
@pytest.mark.parametrize("unit", KINDS["resnet"])
def test_a_residual_network_has_about_as_many_weights_with_any_unit(unit: str, order: str) -> None:
    spec, relu = InputSpec("image", (1, 8, 8), 10), {"network": ActivationSpec(family="relu")}
    plain, found = (
        sum(p.numel() for p in build_module("resnet", {"unit": u, "order": order}, spec, relu, seed=0).parameters())
        for u in ("plain", unit)
    )
    assert found == pytest.approx(plain, rel=0.12)
