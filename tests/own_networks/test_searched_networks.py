"""A small search on each network that nobody here wrote, to a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

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


def parts(network: OwnNetwork) -> list[tuple[Any, Tensor]]:
    """The network's data for training, validation and test, inputs as it takes them."""
    inputs, targets = network.lesson.data(sum(SIZES))
    if isinstance(inputs, dict):
        columns = zip(*(value.split(SIZES) for value in inputs.values()), strict=True)
        cut: Sequence[Any] = [dict(zip(inputs, column, strict=True)) for column in columns]
    else:
        cut = inputs.split(SIZES)
    return list(zip(cut, targets.split(SIZES), strict=True))


def test_a_search_ends_with_a_verdict(network: OwnNetwork) -> None:
    torch.manual_seed(0)
    model, lesson = network.build(), network.lesson
    before = {name: value.clone() for name, value in model.state_dict().items()}

    found = actsearch.search(
        model, *parts(network), loss=lesson.loss, outputs=lesson.outputs, forward=lesson.forward, **SMALL
    )

    assert {trial.state for trial in found.trials} == {"complete"}
    assert found.baseline.family == "as given"
    assert counted(found.replaced) == {place: number for place, (number, _) in network.found.items()}
    assert found.verdict is not None
    assert " on test data: " in found.verdict.words
    assert "as given" in found.verdict.words
    assert isinstance(found.winner_module, type(model))
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)
