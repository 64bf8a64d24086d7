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


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("before", [0, 2])
def test_the_rows_that_are_kept_go_on_as_if_nobody_had_left(name: str, before: int) -> None:
    cohort = [
        Candidate(RELU, rate, decay, momentum)
        for rate, decay, momentum in ((0.1, 0.0, 0.9), (0.2, 0.3, 0.5), (0.05, 0.1, 0.0), (0.3, 0.0, 0.7))
    ]
    rows = torch.tensor([3, 1, 2])
    generator = torch.Generator().manual_seed(before)
    start = torch.randn(4, 6, dtype=torch.float64, generator=generator)
    gradients = torch.randn(5, 4, 6, dtype=torch.float64, generator=generator)
    whole, part = start.clone(), start.clone()
    stays, shrinks = (stacked_optimiser(name, cohort, parameters, decayed=4) for parameters in (whole, part))

    for gradient in gradients[:before]:
        stays.step(whole, [gradient], 1.0)
        shrinks.step(part, [gradient], 1.0)
    shrinks.keep(rows)
    part = part[rows]
    for gradient in gradients[before:]:
        stays.step(whole, [gradient], 0.5)
        shrinks.step(part, [gradient[rows]], 0.5)

    torch.testing.assert_close(part, whole[rows], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_a_cohort_in_which_one_decays_is_not_one_in_which_none_does(name: str) -> None:
    still = torch.zeros(2, 3, dtype=torch.float64)
    parameters = torch.ones(2, 3, dtype=torch.float64)
    cohort = [Candidate(RELU, 0.1, 0.0, 0.0), Candidate(RELU, 0.1, 0.5, 0.0)]
    stacked_optimiser(name, cohort, parameters, decayed=2).step(parameters, [still], 1.0)
    assert parameters[0].tolist() == [1, 1, 1]
    assert (parameters[1, :2] < 1).all()
    assert parameters[1, 2] == 1


@pytest.mark.parametrize(("size", "norm"), [(0.1, 0.1), (1.0, 1.0), (10.0, 1.0)])
def test_only_long_gradients_are_shortened_each_row_by_itself(size: float, norm: float) -> None:
    short = torch.full((1, 4), 1e-3, dtype=torch.float64)
    long = torch.full((1, 4), size / 2, dtype=torch.float64)  # of norm `size`
    found = torch.cat(clipped(torch.cat([long, short]).split([1, 3], dim=1), 1.0), dim=1)
    assert torch.linalg.vector_norm(found[0]).item() == pytest.approx(norm, rel=1e-5)
    torch.testing.assert_close(found[1:], short)
