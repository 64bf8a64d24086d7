"""The stacked optimisers against torch.optim, trial by trial."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from actsearch.schemas import ActivationSpec
from actsearch.training import Candidate
from actsearch.training.optimisers import clipped, stacked_optimiser

RELU = {"network": ActivationSpec(family="relu")}
candidates = st.builds(
    Candidate,
    st.just(RELU),
    st.floats(1e-5, 1.0),
    st.sampled_from([0.0, 0.01, 0.5]),
    st.sampled_from([0.0, 0.5, 0.99]),
)


def reference(name: str, candidate: Candidate, weights: torch.Tensor, slots: torch.Tensor) -> Any:
    groups = [{"params": [weights], "weight_decay": candidate.weight_decay}, {"params": [slots], "weight_decay": 0.0}]
    if name == "sgd":
        return torch.optim.SGD(groups, lr=candidate.learning_rate, momentum=candidate.momentum)
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[name]
    return kind(groups, lr=candidate.learning_rate)


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
@given(cohort=st.lists(candidates, min_size=1, max_size=4), seed=st.integers(0, 99), clip=st.booleans())
def test_each_row_takes_the_steps_of_torch(name: str, cohort: list[Candidate], seed: int, clip: bool) -> None:
    generator = torch.Generator().manual_seed(seed)
    start = torch.randn(len(cohort), 6, dtype=torch.float64, generator=generator)
    gradients = torch.randn(4, len(cohort), 6, dtype=torch.float64, generator=generator)
    stacked, rows = start.clone(), [(r[:4].clone().requires_grad_(), r[4:].clone().requires_grad_()) for r in start]
    mine = stacked_optimiser(name, cohort, stacked, decayed=4)
    theirs = [reference(name, c, *row) for c, row in zip(cohort, rows, strict=True)]

    for step, gradient in enumerate(gradients):
        factor = 1 / (1 + step)
        for row, (candidate, optimiser, (weights, slots)) in enumerate(zip(cohort, theirs, rows, strict=True)):
            weights.grad, slots.grad = gradient[row, :4].clone(), gradient[row, 4:].clone()
            if clip:
                torch.nn.utils.clip_grad_norm_([weights, slots], 1.0)
            for group in optimiser.param_groups:
                group["lr"] = candidate.learning_rate * factor
            optimiser.step()
        columns = gradient.split([1, 3, 2], dim=1)
        mine.step(stacked, clipped(columns, 1.0) if clip else columns, factor)

    expected = torch.stack([torch.cat(row).detach() for row in rows])
    torch.testing.assert_close(stacked, expected, rtol=1e-9, atol=1e-12)
