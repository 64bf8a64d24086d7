"""Leaderboards: jobs are pooled, nulls stay nulls, and what is told holds its coverage."""

from __future__ import annotations

import math
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import pytest

from actsearch.schemas import ActivationSpec, Confirmation, Direction, ObjectiveInfo, Outcome, Trial, TrialState
from actsearch.schemas.rankings import SearchGain, VerdictOfJob
from actsearch.study.judging.leaderboard import leaders
from actsearch.study.judging.pooling import Evidence, Pooled, pool
from actsearch.study.judging.verdict import Entrant, Replicates, judge


def evidence(generator: np.random.Generator, truth: float, between: float, seeds: int = 10) -> Evidence:
    differences = generator.normal(truth + generator.normal(0, between), 0.02, seeds)
    return Evidence(float(differences.mean()), float(differences.std(ddof=1) / math.sqrt(seeds)), seeds)


def board(generator: np.random.Generator, truths: list[float], jobs: int, between: float = 0.0) -> dict[str, Pooled]:
    return pool({f"f{i}": [evidence(generator, t, between) for _ in range(jobs)] for i, t in enumerate(truths)})


@pytest.mark.parametrize(("jobs", "between"), [(1, 0.0), (3, 0.0), (8, 0.0), (8, 0.01)])
def test_over_null_boards_the_first_entry_is_rarely_called_better(jobs: int, between: float) -> None:
    """It was on 6 of 8 boards when the largest of all jobs led."""
    generator, runs = np.random.default_rng(3), 400
    wrong = 0
    for _ in range(runs):
        found = board(generator, [0.0] * 6, jobs, between)
        first = max(found.values(), key=lambda one: one.gain)
        wrong += first.interval[0] > 0
    assert wrong / runs <= 0.025 + 3 * (0.025 * 0.975 / runs) ** 0.5


def test_intervals_of_all_families_hold_together() -> None:
    generator, runs, truths = np.random.default_rng(4), 300, [0.0, 0.01, 0.02, -0.01]
    held = 0
    for _ in range(runs):
        found = board(generator, truths, 5, 0.005)
        held += all(
            low <= t <= high for t, (low, high) in zip(truths, (o.interval for o in found.values()), strict=True)
        )
    assert held / runs >= 0.93


def test_a_real_gain_is_found_and_told_without_exaggeration() -> None:
    generator = np.random.default_rng(5)
    told = [board(generator, [0.03, 0.0, 0.0, 0.0], 5)["f0"] for _ in range(100)]
    assert np.mean([one.interval[0] > 0 for one in told]) > 0.95
    assert np.mean([one.gain for one in told]) == pytest.approx(0.03, rel=0.15)


def test_equal_families_are_drawn_together_and_different_ones_are_not() -> None:
    alike = pool({"a": [Evidence(0.02, 0.02, 10)], "b": [Evidence(-0.02, 0.02, 10)]})
    assert alike["a"].gain == pytest.approx(alike["b"].gain)
    apart = pool({"a": [Evidence(0.02, 1e-4, 10)], "b": [Evidence(-0.02, 1e-4, 10)]})
    assert apart["a"].gain == pytest.approx(0.02, rel=0.01)
    assert pool({}) == {}


def arm(number: int, family: str, values: np.ndarray) -> Replicates:
    spec = {"network": ActivationSpec(family=family)}
    trial = Trial(
        id=uuid4(), job_id=uuid4(), number=number, state=TrialState.complete, value=0.5, is_baseline=not number,
        family=family, activations=spec, parameters={}, metrics={}, attempt=1, worker=None, started_at=None,
        finished_at=None,
    )  # fmt: skip
    return Replicates(trial, {i: {"validation_accuracy": v, "test_accuracy": v} for i, v in enumerate(values.tolist())})


def verdict(family: str, gain: float, job: UUID) -> VerdictOfJob:
    noise = np.linspace(-0.01, 0.01, 10)
    accuracy = ObjectiveInfo(metric="accuracy", direction=Direction.maximize)
    plan = Confirmation(finalists=1, seeds=10, most_seeds=10)
    arms = arm(0, "relu", 0.8 + noise), arm(1, family, 0.8 + gain + noise[::-1])
    return VerdictOfJob(job_id=job, verdict=judge(arms[0], [Entrant(arms[1])], range(10), accuracy, plan).verdict)


def search(family: str, gain: float, **more: Any) -> SearchGain:
    spec = {"network": ActivationSpec(family=family)}
    return SearchGain(job_id=uuid4(), metric="accuracy", family=family, activations=spec, trial=2, gain=gain, **more)


def test_verdicts_lead_and_tell_how_many_speak() -> None:
    jobs = [uuid4() for _ in range(3)]
    found = leaders(
        [verdict("elu", 0.05, jobs[0]), verdict("elu", 0.06, jobs[1]), verdict("selu", -0.04, jobs[2])],
        [search("elu", 0.9), search("mish", 0.2, jobs=2), search("tanh", 0.25)],
    )
    assert [(e.rank, e.family, e.evidence, e.jobs, e.seeds) for e in found] == [
        (1, "elu", "verdict", 2, 20),
        (2, "selu", "verdict", 1, 10),
        (3, "tanh", "search", 1, 0),
        (4, "mish", "search", 2, 0),
    ]
    assert found[0].job_id == jobs[1]
    assert (found[1].outcome, found[3].gain) == (Outcome.worse, pytest.approx(0.2))


def test_a_finalist_without_a_mean_difference_is_left_out() -> None:
    one = verdict("elu", 0.05, uuid4())
    test = one.verdict.finalists[0].test
    assert test is not None
    bare = test.model_copy(update={"difference": None, "sd": None})
    finalist = one.verdict.finalists[0].model_copy(update={"test": bare})
    changed = one.verdict.model_copy(update={"finalists": [finalist]})
    assert leaders([one.model_copy(update={"verdict": changed})], []) == []
