"""A small search on each network that nobody here wrote, to a verdict."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import actsearch
from zoo import OwnNetwork, counted

torch.set_num_threads(1)
pytestmark = pytest.mark.usefixtures("torchvision")

SIZES = (8, 4, 4)
"""Samples for training, validation and test."""

SMALL: dict[str, Any] = {
    "families": ["tanh"],
    "trials": 2,
    "epochs": 1,
    "batch_size": 4,
    "learning_rate": 1e-2,
    "seed": 0,
    "confirmation": {"finalists": 1, "seeds": 2, "most_seeds": 2, "early_stop": False},
}


class Called(nn.Module):
    """A network as its lesson calls it: one tensor in, one out."""

    def __init__(self, network: nn.Module, forward: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__()
        self.network, self.call = network, forward

    def forward(self, x: Tensor) -> Tensor:
        return self.call(self.network, x)


def parts(network: OwnNetwork) -> list[tuple[Tensor, Tensor]]:
    """The network's data for training, validation and test."""
    inputs, targets = network.lesson.data(sum(SIZES))
    return list(zip(inputs.split(SIZES), targets.split(SIZES), strict=True))


def test_a_search_ends_with_a_verdict(network: OwnNetwork) -> None:
    torch.manual_seed(0)
    model = Called(network.build(), network.lesson.forward)
    before = {name: value.clone() for name, value in model.state_dict().items()}

    found = actsearch.search(model, *parts(network), loss=network.lesson.loss, **SMALL)

    assert {trial.state for trial in found.trials} == {"complete"}
    assert counted(found.replaced) == {f"network.{place}": number for place, (number, _) in network.found.items()}
    assert found.verdict is not None
    assert " on test data: " in found.verdict.words
    assert type(found.winner_module) is Called
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)
