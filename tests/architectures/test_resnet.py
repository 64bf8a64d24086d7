"""Residual networks of the CIFAR kind."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from actsearch.architectures import InputSpec, get_architecture, site_names
from actsearch.architectures.resnet import ResidualBlock
from actsearch.schemas import ActivationSpec
from actsearch.training import build_module

torch.set_num_threads(1)

CIFAR = InputSpec("image", (3, 32, 32), 10)


def built(family: str = "relu", spec: InputSpec = CIFAR, **parameters: Any) -> nn.Module:
    return build_module("resnet", parameters, spec, {"network": ActivationSpec(family=family)}, seed=0)


@pytest.mark.parametrize("order", ["pre", "post"])
@pytest.mark.parametrize("blocks", [1, 5])
def test_depth_and_weights_are_those_of_the_paper(order: str, blocks: int) -> None:
    module = built(blocks=blocks, order=order)
    layers = [part for part in module.modules() if isinstance(part, nn.Conv2d | nn.Linear)]
    assert len(layers) == 6 * blocks + 2
    # He et al. 2015, table 6: 0.46 million for ResNet-32.
    if blocks == 5:
        assert sum(p.numel() for p in module.parameters()) == pytest.approx(0.464e6, rel=0.01)


@pytest.mark.parametrize("space", [(1,), (5,), (8, 8), (7, 3)])
@pytest.mark.parametrize("widens", [False, True])
def test_a_block_without_a_branch_is_its_shortcut(space: tuple[int, ...], widens: bool) -> None:
    x = torch.randn(2, 3, *space)
    shape = (2, 6, *((length + 1) // 2 for length in space)) if widens else x.shape

    class Nothing(nn.Module):
        def forward(self, x: Any) -> Any:
            return torch.zeros(shape)

    found = ResidualBlock(Nothing(), nn.Identity(), added=3 if widens else 0, scale=0.7)(x)
    every = x[:, :, ::2] if len(space) == 1 else x[:, :, ::2, ::2]
    assert torch.equal(found[:, :3], every if widens else x)
    assert not found[:, 3:].any()


def test_branches_have_a_trained_factor_only_without_a_norm() -> None:
    factors = [name for name, _ in built(norm="none").named_parameters() if name.endswith("scale")]
    assert len(factors) == 3
    assert not [name for name, _ in built(norm="batch").named_parameters() if name.endswith("scale")]


@pytest.mark.parametrize("family", ["relu", "gelu", "tanh"])
def test_gradients_reach_the_first_layer_of_110_without_a_norm(family: str) -> None:
    module = built(family, InputSpec("image", (1, 8, 8), 10), blocks=18, channels=4, norm="none")
    x, y = torch.randn(8, 1, 8, 8), torch.arange(8)
    nn.functional.cross_entropy(module(x), y).backward()
    weights = [p for p in module.parameters() if p.dim() > 1 and p.grad is not None]
    first, last = (p.grad.norm().item() for p in (weights[0], weights[-1]))  # type: ignore[union-attr]
    assert 0.02 < first / last < 50


def test_sites_of_both_orders() -> None:
    resnet = get_architecture("resnet")
    pre = site_names(resnet, {"order": "pre"}, CIFAR)
    assert pre[:3] == [("block1_1", "stage1"), ("block1_2", "stage1"), ("block2_1", "stage2")]
    assert pre[-1] == ("last", "stage3")
    post = site_names(resnet, {"order": "post"}, CIFAR)
    assert post[:2] == [("stem", "stage1"), ("block1_1", "stage1")]
    assert post[-1] == ("block3_2", "stage3")
