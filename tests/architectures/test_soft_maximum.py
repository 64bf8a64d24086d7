"""Units that put an activation between two signals: meta-ACON, dynamic ReLU, the funnel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from actsearch.architectures.soft_maximum import DynamicReLU, FunnelReLU, MetaACON
from actsearch.schemas import ActivationSpec
from actsearch.training.build import SiteActivation

torch.set_num_threads(1)

C = 24
SHAPES = {"vector": (5, C), "sequence": (5, C, 7), "image": (5, C, 4, 6)}


def site(family: str) -> SiteActivation:
    return SiteActivation(ActivationSpec(family=family), site="s", channels=C, axis=1)


def trained(unit: nn.Module) -> nn.Module:
    """The unit with weights that are no longer those of the start, in double precision."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in unit.parameters():
            p.copy_(0.5 * torch.randn(p.shape, generator=generator))
    return unit.double()


def signal(kind: str) -> Tensor:
    return torch.randn(SHAPES[kind], generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def pooled(x: Tensor) -> Tensor:
    """The mean over space, (B, C)."""
    return x.mean(tuple(range(2, x.dim()))) if x.dim() > 2 else x


def spread(value: Tensor, x: Tensor) -> Tensor:
    return value.view(*value.shape, *[1] * (x.dim() - 2))


@pytest.mark.parametrize("kind", SHAPES)
def test_meta_acon_is_the_published_formula_around_silu(kind: str) -> None:
    unit, x = trained(MetaACON(site("silu"), C)), signal(kind)
    weights = {name: value.detach() for name, value in unit.named_parameters()}
    hidden = pooled(x) @ weights["enter.weight"].T + weights["enter.bias"]
    beta = spread(torch.sigmoid(hidden @ weights["leave.weight"].T + weights["leave.bias"]), x)
    p1, p2 = (spread(weights[name][None], x) for name in ("p1", "p2"))
    published = (p1 - p2) * x * torch.sigmoid(beta * (p1 - p2) * x) + p2 * x
    torch.testing.assert_close(unit(x), published, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kind", SHAPES)
def test_dynamic_relu_is_the_larger_of_two_lines_around_relu(kind: str) -> None:
    unit, x = trained(DynamicReLU(site("relu"), C)), signal(kind)
    weights = {name: value.detach() for name, value in unit.named_parameters()}
    hidden = F.relu(F.linear(pooled(x), weights["enter.weight"], weights["enter.bias"]))
    theta = 2 * torch.sigmoid(F.linear(hidden, weights["leave.weight"], weights["leave.bias"])) - 1
    a1, a2, b1, b2 = (spread(part, x) for part in theta.split(C, 1))
    lines = [(1.0 + 1.0 * a1) * x + 0.5 * b1, (0.0 + 1.0 * a2) * x + 0.5 * b2]
    torch.testing.assert_close(unit(x), torch.maximum(*lines), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kind", ["sequence", "image"])
def test_the_funnel_is_the_larger_of_a_number_and_its_surroundings_around_relu(kind: str) -> None:
    x = signal(kind)
    unit = trained(FunnelReLU(site("relu"), C, x.dim() - 2)).train()
    weights = {name: value.detach() for name, value in unit.named_parameters()}
    convolve = F.conv1d if kind == "sequence" else F.conv2d
    around = F.batch_norm(
        convolve(x, weights["convolution.weight"], padding=1, groups=C),
        None,
        None,
        weights["norm.weight"],
        weights["norm.bias"],
        training=True,
    )
    torch.testing.assert_close(unit(x), torch.maximum(x, around), rtol=1e-6, atol=1e-6)


def test_dynamic_and_funnel_units_begin_as_their_activation_and_meta_acon_as_it_stretched() -> None:
    x = signal("image").float()
    for family, function in {"relu": F.relu, "silu": F.silu, "tanh": torch.tanh}.items():
        torch.testing.assert_close(DynamicReLU(site(family), C)(x), function(x))
        torch.testing.assert_close(FunnelReLU(site(family), C, 2)(x), function(x))
        torch.testing.assert_close(MetaACON(site(family), C)(x), 2 * function(x / 2))


UNITS: dict[str, Callable[[str], nn.Module]] = {
    "meta_acon": lambda family: MetaACON(site(family), C),
    "dy_relu": lambda family: DynamicReLU(site(family), C),
    "frelu": lambda family: FunnelReLU(site(family), C, 2),
}


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("family", ["gelu", "tanh"])
def test_gradients_agree_with_finite_differences(unit: str, family: str) -> None:
    module, x = trained(UNITS[unit](family)), signal("image")[:2, :, :2, :2].clone().requires_grad_()
    names, values = zip(*module.named_parameters(), strict=True)

    def value(x: Tensor, *given: Tensor) -> Any:
        return torch.func.functional_call(module, dict(zip(names, given, strict=True)), (x,))[:, ::7]

    assert torch.autograd.gradcheck(value, (x, *values), fast_mode=True)


@pytest.mark.parametrize("unit", UNITS)
def test_every_weight_learns(unit: str) -> None:
    module, x = UNITS[unit]("gelu"), signal("image").float()
    optimiser = torch.optim.Adam(module.parameters(), lr=0.01)
    before = {name: value.detach().clone() for name, value in module.named_parameters()}
    for _ in range(3):  # weights behind those that begin at zero have no gradient at first
        optimiser.zero_grad()
        (module(x) - x.roll(1, 0)).square().mean().backward()
        optimiser.step()
    still = [name for name, value in module.named_parameters() if torch.equal(value, before[name])]
    assert not still


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
def test_meta_acon_is_finite_where_its_sharpness_vanishes(size: float) -> None:
    unit, x = MetaACON(site("silu"), C), size * signal("image").float()
    with torch.no_grad():
        unit.leave.bias.fill_(-1e4)
    y = unit(x.requires_grad_())
    y.sum().backward()
    assert y.isfinite().all()
    assert x.grad is not None
    assert x.grad.isfinite().all()
