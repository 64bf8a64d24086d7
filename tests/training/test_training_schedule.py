"""Learning-rate schedules against torch's."""

from __future__ import annotations

import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, OneCycleLR

from actsearch.training.schedule import learning_rate_factor


def rates(scheduler: LRScheduler, steps: int) -> list[float]:
    found = []
    for _ in range(steps):
        found.append(scheduler.get_last_lr()[0])
        scheduler.optimizer.step()
        scheduler.step() if len(found) < steps else None
    return found


@pytest.mark.parametrize("steps", [7, 10, 50, 333])
@pytest.mark.parametrize("schedule", ["constant", "cosine", "one_cycle"])
def test_schedules_are_those_of_torch(schedule: str, steps: int) -> None:
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    theirs = {
        "cosine": lambda: CosineAnnealingLR(optimiser, steps),
        "one_cycle": lambda: OneCycleLR(optimiser, max_lr=1.0, total_steps=steps, cycle_momentum=False),
    }
    expected = [1.0] * steps if schedule == "constant" else rates(theirs[schedule](), steps)
    assert [learning_rate_factor(schedule, step, steps) for step in range(steps)] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("steps", [1, 2, 3, 4])
def test_a_few_steps_are_enough_for_one_cycle(steps: int) -> None:
    assert all(0 < learning_rate_factor("one_cycle", step, steps) <= 1 for step in range(steps))
