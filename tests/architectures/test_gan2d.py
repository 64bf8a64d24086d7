"""`gan2d`: what it returns and which part each of its outputs trains."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from actsearch.architectures import InputSpec, get_architecture, site_names
from actsearch.schemas import ActivationSpec
from actsearch.training import build_module

SPEC = InputSpec("gan", (4,), 5)
TANH = {"network": ActivationSpec(family="tanh")}


def test_outputs_are_the_verdicts_and_the_points() -> None:
    pair = build_module("gan2d", {"width": 7}, SPEC, TANH, seed=0)
    x = torch.randn(6, 4)
    noise, real = x[:, :2], x[:, 2:]

    out = pair(x)

    generated = pair.generator(noise)
    expected = [pair.discriminator(real), pair.discriminator(generated), pair.discriminator(generated), generated]
    torch.testing.assert_close(out, torch.cat(expected, 1))


@pytest.mark.parametrize(("output", "trained"), [(0, "discriminator"), (1, "discriminator"), (2, "generator")])
def test_each_verdict_trains_one_part_only(output: int, trained: str) -> None:
    pair = build_module("gan2d", {"width": 7}, SPEC, {"network": ActivationSpec(family="prelu")}, seed=0)
    pair(torch.randn(6, 4))[:, output].sum().backward()
    for name in ("generator", "discriminator"):
        part: nn.Module = pair.get_submodule(name)
        gradients = [parameter.grad for parameter in part.parameters()]
        moved = [g is not None and bool(g.any()) for g in gradients]
        assert all(moved[:-1]) if name == trained else not any(moved)


@pytest.mark.parametrize("searched", ["both", "generator", "discriminator"])
def test_only_the_searched_part_has_sites(searched: str) -> None:
    found = site_names(get_architecture("gan2d"), {"depth": 2, "searched": searched}, SPEC)
    everything = [(f"{part}{n}", part) for part in ("generator", "discriminator") for n in (1, 2)]
    assert found == [(site, stage) for site, stage in everything if searched in ("both", stage)]
