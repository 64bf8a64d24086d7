"""Networks on tokens: patches, attention and what must not reach where."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from actsearch.architectures import InputSpec
from actsearch.architectures.patches import Patches
from actsearch.architectures.transformer import Attention, MeanToken, TokenLinear
from actsearch.schemas import ActivationSpec
from actsearch.training import build_module

torch.set_num_threads(1)

GELU = {"network": ActivationSpec(family="gelu")}


@pytest.mark.parametrize(
    ("space", "patch", "chosen", "counts"),
    [
        ((8, 8), 0, 2, [4, 4]),
        ((28, 28), 0, 7, [4, 4]),
        ((32, 32), 4, 4, [8, 8]),
        ((1, 1), 0, 1, [1, 1]),
        ((8, 8), 64, 8, [1, 1]),
        ((40,), 0, 3, [14]),
        ((7, 5), 3, 3, [3, 2]),
    ],
)
def test_patches_fit_the_input(space: tuple[int, ...], patch: int, chosen: int, counts: list[int]) -> None:
    cut = Patches(space, patch)
    assert (cut.patch, cut.counts) == (chosen, counts)


@given(channels=st.integers(1, 3), height=st.integers(1, 9), width=st.integers(1, 9), patch=st.integers(1, 4))
def test_patches_are_the_blocks_that_unfold_finds(channels: int, height: int, width: int, patch: int) -> None:
    x = torch.randn(2, channels, height, width)
    cut = Patches((height, width), patch)
    h, w = (count * cut.patch for count in cut.counts)
    padded = F.pad(x, (0, w - width, 0, h - height))
    expected = F.unfold(padded, kernel_size=cut.patch, stride=cut.patch).mT  # (B, T, C p p)
    assert torch.equal(cut(x), expected)


def test_a_sequence_is_cut_along_its_length() -> None:
    x = torch.arange(10.0).view(1, 2, 5)
    assert Patches((5,), 2)(x).tolist() == [[[0, 1, 5, 6], [2, 3, 7, 8], [4, 0, 9, 0]]]


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("width", "heads"), [(12, 3), (7, 2), (2, 5)])
def test_attention_is_torchs(width: int, heads: int, causal: bool) -> None:
    x = torch.randn(2, 5, width, generator=torch.Generator().manual_seed(0))
    attention = Attention(width, heads, causal=causal, scale=1.0)
    query, key, value = attention.enter(x).view(2, 5, 3, heads, -1).permute(2, 0, 3, 1, 4)
    gathered = F.scaled_dot_product_attention(query, key, value, is_causal=causal)
    expected = attention.leave(gathered.transpose(1, 2).reshape(2, 5, -1))
    torch.testing.assert_close(attention(x), expected)


def test_a_token_layer_is_a_linear_layer() -> None:
    layer, x = TokenLinear(4, 3), torch.randn(2, 5, 4)
    torch.testing.assert_close(layer(x), F.linear(x, layer.weight, layer.bias))
    torch.testing.assert_close(layer(x[0]), layer(x)[0])


@settings(max_examples=10, deadline=None)
@given(
    place=st.integers(0, 7),
    depth=st.integers(1, 3),
    heads=st.integers(1, 5),
    unit=st.sampled_from(["plain", "glu", "maxout", "crelu"]),
)
def test_what_comes_later_does_not_change_what_was_predicted(place: int, depth: int, heads: int, unit: str) -> None:
    parameters: dict[str, Any] = {"depth": depth, "heads": heads, "width": 10, "unit": unit}
    module = build_module("transformer_lm", parameters, InputSpec("tokens", (8,), 11), GELU, seed=0).eval()
    tokens = torch.randint(0, 11, (4, 8), generator=torch.Generator().manual_seed(place))
    changed = tokens.clone()
    changed[:, place] = (tokens[:, place] + 3) % 11
    before, after = module(tokens), module(changed)
    torch.testing.assert_close(before[:, :place], after[:, :place])
    assert not torch.isclose(before[:, place:], after[:, place:]).all(-1).any(0).any()
    torch.testing.assert_close(module(tokens[:, : place + 1]), before[:, : place + 1])  # a shorter context will do


def test_a_vit_sees_where_patches_are_by_its_positions_only() -> None:
    spec = InputSpec("image", (1, 8, 8), 4)
    module = build_module("vit", {"depth": 2}, spec, GELU, seed=0).eval()
    assert isinstance(module, nn.Sequential)
    x = torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    swapped = torch.cat([x[..., 4:], x[..., :4]], -1)  # whole patches change places
    assert not torch.isclose(module(x), module(swapped), atol=1e-3).all()
    without = nn.Sequential(*(part for part in module if type(part).__name__ != "Positions"))
    torch.testing.assert_close(without(x), without(swapped), rtol=1e-4, atol=1e-5)


def test_a_mixer_mixes_patches_and_channels() -> None:
    module = build_module("mlp_mixer", {"depth": 1}, InputSpec("image", (1, 8, 8), 4), GELU, seed=0).eval()
    assert isinstance(module, nn.Sequential)
    before = nn.Sequential(*list(module)[: [isinstance(p, MeanToken) for p in module].index(True)])  # (B, T, D)
    x = torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(0)).requires_grad_()
    (gradient,) = torch.autograd.grad(before(x)[0, 0].square().sum(), x)
    assert (gradient != 0).all()  # the first patch heard of every pixel
