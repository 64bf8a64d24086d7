"""Every architecture learns a small real task, in a cohort, well above chance."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from actsearch.schemas import Training
from actsearch.tasks import get_task, load
from actsearch.training import Cohort, Plan, train

torch.set_num_threads(1)


@pytest.mark.parametrize(
    ("architecture", "parameters"),
    [
        ("convnet", {"channels": 4, "norm": "batch"}),
        ("resnet", {"channels": 4}),
        ("resnet", {"channels": 4, "norm": "none"}),
        ("convnet", {"channels": 4, "norm": "batch", "unit": "frelu"}),
        ("vit", {"depth": 1, "unit": "glu"}),
        ("mlp_mixer", {"depth": 1}),
    ],
)
def test_digits_are_told_apart(architecture: str, parameters: dict[str, Any], candidate: Any) -> None:
    candidates = [candidate(family, rate=0.005) for family in ("relu", "gelu")]
    plan = Plan(Training(epochs=4, batch_size=32), report_every=4)
    cohort = Cohort(architecture, parameters, candidates)

    outcomes = train(cohort, get_task("digits"), load("digits", {}), plan, lambda rung: [True] * len(rung.positions))

    assert all(outcome.metrics["test_accuracy"] > 0.75 for outcome in outcomes), outcomes  # chance: 0.1


def test_a_language_model_does_better_than_the_frequencies_of_characters(candidate: Any) -> None:
    dataset = load("text", {"characters": 20_000, "context": 16})
    frequencies = torch.bincount(dataset.train[1].flatten(), minlength=dataset.outputs) + 1.0
    by_frequency = (frequencies / frequencies.sum()).log2()
    chance = -by_frequency[dataset.test[1]].mean().item()  # bits a character
    plan = Plan(Training(epochs=4, batch_size=16), report_every=4)
    cohort = Cohort("transformer_lm", {"depth": 1}, [candidate(f, rate=0.005) for f in ("gelu", "relu")])

    outcomes = train(cohort, get_task("text"), dataset, plan, lambda rung: [True] * len(rung.positions))

    assert all(outcome.metrics["test_bits_per_character"] < chance - 0.5 for outcome in outcomes), outcomes
