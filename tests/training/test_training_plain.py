"""One trial alone against a training loop written out by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from actsearch.activations import Activation
from actsearch.architectures import InputSpec
from actsearch.schemas import ActivationSpec
from actsearch.tasks.declaration import Dataset, Task
from actsearch.training import Candidate, build_module
from actsearch.training.batches import batches

WIDTH = 12


def by_hand(dataset: Dataset, spec: ActivationSpec, make: Callable[..., torch.optim.Optimizer], **training: Any) -> Any:
    """Three epochs of a two-layer network; the mean training loss of each epoch and the network."""
    start = build_module("mlp", {"depth": 2, "width": WIDTH}, InputSpec("image", (1, 6, 6), 4), {"network": spec}, 5)
    activations = [Activation(spec, channels=WIDTH), Activation(spec, channels=WIDTH)]
    linear = [nn.Linear(36, WIDTH), nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 4)]
    for mine, theirs in zip(linear, [m for m in start.modules() if isinstance(m, nn.Linear)], strict=True):
        mine.load_state_dict(theirs.state_dict())
    network = nn.Sequential(nn.Flatten(), linear[0], activations[0], linear[1], activations[1], linear[2])
    slopes = [p for a in activations for p in a.parameters()]
    optimiser = make(
        [{"params": [p for one in linear for p in one.parameters()]}, {"params": slopes, "weight_decay": 0.0}]
    )
    losses, step, rate = [], 0, optimiser.param_groups[0]["lr"]
    for epoch in (1, 2, 3):
        total = 0.0
        for x, y in batches(dataset.train, 16, 5, epoch):
            if training.get("schedule") == "cosine":
                for group in optimiser.param_groups:
                    group["lr"] = rate * (1 + math.cos(math.pi * step / 30)) / 2
            optimiser.zero_grad()
            loss = nn.functional.cross_entropy(network(x), y)
            loss.backward()
            if "gradient_clip" in training:
                nn.utils.clip_grad_norm_(network.parameters(), training["gradient_clip"])
            optimiser.step()
            total, step = total + loss.item(), step + 1
        losses.append(total / 10)
    return losses, network


@pytest.mark.parametrize("family", ["gelu", "prelu"])
@pytest.mark.parametrize(
    ("training", "make"),
    [
        ({"optimizer": "adamw"}, lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1)),
        ({"optimizer": "sgd"}, lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.8, weight_decay=0.1)),
        (
            {"optimizer": "sgd", "schedule": "cosine", "gradient_clip": 0.5},
            lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.8, weight_decay=0.1),
        ),
    ],
)
def test_one_trial_is_an_ordinary_training_loop(
    train_toy: Any, toy_dataset: Dataset, toy_task: Task, family: str, training: dict[str, Any], make: Any
) -> None:
    spec = ActivationSpec(family=family)

    trained = train_toy([Candidate({"network": spec}, 0.01, 0.1, 0.8)], **training)

    losses, network = by_hand(toy_dataset, spec, make, **training)
    assert [point["train_loss"] for point in trained.curves[0].values()] == pytest.approx(losses, rel=1e-5)
    with torch.no_grad():
        for name in ("validation", "test"):
            part = getattr(toy_dataset, name)
            for metric, value in toy_task.metrics(network(part[0]), part).items():
                assert trained.outcomes[0].metrics[f"{name}_{metric}"] == pytest.approx(value.item(), rel=1e-5)


def test_batches_depend_on_seed_and_epoch_and_hold_each_sample_once() -> None:
    part = (torch.arange(50), torch.arange(50) * 2)

    def order(seed: int, epoch: int) -> list[int]:
        return [int(i) for batch in batches(part, 16, seed, epoch) for i in batch[0]]

    torch.manual_seed(1)
    first = order(0, 1)
    torch.manual_seed(2)
    assert order(0, 1) == first
    assert order(1, 1) != first != order(0, 2)
    assert len(first) == len(set(first)) == 48
    assert all(torch.equal(y, x * 2) for x, y in batches(part, 16, 0, 1))
    assert [len(x) for x, _ in batches(part, 99, 0, 1)] == [50]
