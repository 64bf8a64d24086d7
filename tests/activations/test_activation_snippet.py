"""Snippets run on their own and compute the same values."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from actsearch.activations import Activation, Family, snippet
from actsearch.schemas import ActivationSpec

X = torch.randn(4, 64, 3, generator=torch.Generator().manual_seed(0))


def run(source: str) -> nn.Module:
    scope: dict[str, Any] = {"__name__": "snippet"}
    exec(compile(source, "<snippet>", "exec"), scope)
    return scope["activation"]


def test_snippet_equals_the_module(family: Family, setting: Any) -> None:
    modes = ["fixed", "scalar", "channel"] if "learnable" in family.tags else ["fixed"]
    values = setting(family, 0.4)
    for learned in modes:
        spec = ActivationSpec.model_validate({"family": family.name, "parameters": values, "learned": learned})
        source = snippet(spec)
        assert "actsearch" not in source
        theirs, ours = run(source).eval(), Activation(spec, channels=64).eval()
        torch.testing.assert_close(theirs(X), ours(X))
        assert [p.shape for p in theirs.parameters()] == [p.shape for p in ours.parameters()]


def test_torch_is_used_where_it_has_the_function() -> None:
    assert snippet(ActivationSpec(family="leaky_relu", parameters={"slope": 0.2})) == (
        "from torch import nn\n\nactivation = nn.LeakyReLU(0.2)\n"
    )
    assert "nn.PReLU(channels, init=0.25)" in snippet(ActivationSpec(family="prelu"))


def test_a_learned_value_is_not_handed_to_a_torch_module_that_fixes_it() -> None:
    assert "nn.ELU" not in snippet(ActivationSpec(family="elu", learned="scalar"))


@pytest.mark.parametrize("training", [True, False])
def test_random_slopes_stay_random(training: bool) -> None:
    made = run(snippet(ActivationSpec(family="rrelu"))).train(training)
    slopes = made(-torch.ones(100))
    assert (slopes.unique().numel() > 1) == training
