"""The networks that `on_complete` is shown."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from actsearch.schemas import Training
from actsearch.training import Cohort, Plan, train

NETWORK = {"channels": 3, "stages": 2, "layers": 1, "norm": "batch", "dropout": 0.2}


@pytest.mark.parametrize("size", [1, 4])
def test_the_network_shown_is_the_trained_one(toy_task: Any, toy_dataset: Any, candidate: Any, size: int) -> None:
    candidates = [candidate(f) for f in ("relu", "elu", "prelu", "relu")[:size]]
    cohort = Cohort("convnet", NETWORK, candidates)
    plan = Plan(Training(epochs=2, batch_size=16, seed=5))
    seen: dict[int, float] = {}

    @torch.no_grad()
    def look(place: int, module: nn.Module) -> dict[str, object]:
        inputs, classes = toy_dataset.test
        seen[place] = float((module(inputs).argmax(1) == classes).float().mean())
        return {"looked_at": place}

    # the third place of four leaves after the first epoch
    outcomes = train(
        cohort, toy_task, toy_dataset, plan, lambda rung: [place != 2 for place in rung.positions], on_complete=look
    )

    assert sorted(seen) == [place for place in range(size) if place != 2]
    for place, accuracy in seen.items():
        assert accuracy == pytest.approx(outcomes[place].metrics["test_accuracy"], abs=0.02)
        assert outcomes[place].metrics["looked_at"] == place


def test_an_architecture_need_not_be_in_the_catalogue(toy_task: Any, toy_dataset: Any, candidate: Any) -> None:
    from actsearch.architectures import Architecture

    def build(spec: Any, sites: Any) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(36, 8), sites("one", stage="one", channels=8), nn.Linear(8, 4))

    cohort = Cohort(Architecture("own", "", build, ("image",), ()), {}, [candidate("relu"), candidate("tanh")])

    outcomes = train(cohort, toy_task, toy_dataset, Plan(Training(epochs=1)), lambda rung: [True, True])

    assert [outcome.state for outcome in outcomes] == ["complete", "complete"]
