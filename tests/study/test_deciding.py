"""Which comparison decides, and on what: baseline and twin, validation and test, and the look that judges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import numpy as np
import pytest

from actsearch.schemas import ActivationSpec, Confirmation, Direction, ObjectiveInfo, Outcome, Trial, TrialState
from actsearch.study.judging.verdict import Entrant, Replicates, judge, looks_of, nothing_to_compare

ACCURACY = ObjectiveInfo(metric="accuracy", direction=Direction.maximize)
LOSS = ObjectiveInfo(metric="loss", direction=Direction.minimize)
PLAN = Confirmation(finalists=1, seeds=10, most_seeds=15)
NONE: frozenset[int] = frozenset()  # no replicate failed
NOISE = np.array([0.01, -0.02, 0.0, 0.015, -0.01, 0.02, -0.015, 0.005, 0.0, -0.005])
GAIN = np.array([0.05, 0.06, 0.04, 0.055, 0.045, 0.05, 0.06, 0.04, 0.05, 0.05])
"""Clear at every look."""
LUCK = np.array([0.09, -0.05, 0.08, -0.04, 0.07, -0.06, 0.05, 0.04, -0.03, 0.06])
"""Positive in the mean, and far from clear."""


def trial(number: int, family: str, value: float = 0.5, **parameters: float) -> Trial:
    return Trial(
        id=uuid4(),
        job_id=uuid4(),
        number=number,
        state=TrialState.complete,
        value=value,
        is_baseline=False,
        family=family,
        activations={"network": ActivationSpec(family=family, parameters=parameters)},
        parameters={},
        metrics={},
        attempt=1,
        worker=None,
        started_at=None,
        finished_at=None,
    )


def arm(number: int, values: np.ndarray, metric: str = "accuracy") -> Replicates:
    """A trial's replicates that gave these values on both parts."""
    metrics: Mapping[int, Mapping[str, Any]] = {
        seed: {f"validation_{metric}": float(v), f"test_{metric}": float(v)} for seed, v in enumerate(values)
    }
    return Replicates(trial(number, f"family{number}"), metrics, NONE)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("seeds", [5, 10])
@pytest.mark.parametrize("doubtful", ["baseline", "twin"])
def test_the_doubtful_comparison_decides_whichever_it_is(sign: int, seeds: int, doubtful: str) -> None:
    """A difference that is clear with one arm and may be chance with the other is shown with neither."""
    ours = 0.8 + NOISE[:seeds]
    clear, unclear = ours - sign * GAIN[:seeds], ours - sign * LUCK[:seeds]
    baseline, twin = (unclear, clear) if doubtful == "baseline" else (clear, unclear)
    found = judge(arm(0, baseline), [Entrant(arm(1, ours), twin=arm(2, twin))], range(seeds), ACCURACY, PLAN)
    test = found.verdict.finalists[0].test
    assert found.verdict.outcome is Outcome.no_difference
    assert test is not None
    assert test.against == ("own" if doubtful == "baseline" else "twin")
    assert test.difference == pytest.approx(sign * LUCK[:seeds].mean())
    both = judge(arm(0, clear), [Entrant(arm(1, ours), twin=arm(2, clear))], range(seeds), ACCURACY, PLAN)
    assert both.verdict.outcome is (Outcome.better if sign > 0 else Outcome.worse)


@pytest.mark.parametrize("seeds", [5, 10])
def test_better_than_one_and_worse_than_the_other_is_no_difference(seeds: int) -> None:
    ours = 0.8 + NOISE[:seeds]
    above, below = arm(2, ours + GAIN[:seeds]), arm(0, ours - GAIN[:seeds])
    for baseline, twin in ((below, above), (above, below)):
        found = judge(baseline, [Entrant(arm(1, ours), twin=twin)], range(seeds), ACCURACY, PLAN)
        assert found.verdict.outcome is Outcome.no_difference
        assert found.verdict.finalists[0].test is not None
        assert found.verdict.finalists[0].test.p_corrected == 1.0


def test_worse_than_both_is_worse_by_the_smaller_loss() -> None:
    found = judge(
        arm(0, 0.9 - NOISE), [Entrant(arm(1, 0.8 + NOISE), twin=arm(2, 0.85 - NOISE))], range(10), ACCURACY, PLAN
    ).verdict
    assert (found.outcome, found.winner, found.chosen) == (Outcome.worse, 0, 1)
    assert found.finalists[0].test is not None
    assert (found.finalists[0].test.against, found.finalists[0].test.difference) == ("twin", pytest.approx(-0.05))


def test_the_choice_is_by_validation_and_the_verdict_by_test_data() -> None:
    def arms(number: int, validation: np.ndarray, test: np.ndarray) -> Replicates:
        pairs = zip(validation, test, strict=True)
        metrics = {i: {"validation_accuracy": float(v), "test_accuracy": float(t)} for i, (v, t) in enumerate(pairs)}
        return Replicates(trial(number, f"family{number}"), metrics, NONE)

    baseline = arms(0, 0.8 + NOISE, 0.8 + NOISE)
    chosen = Entrant(arms(1, 0.95 - NOISE, 0.7 - NOISE))
    passed_over = Entrant(arms(2, 0.85 - NOISE, 0.99 - NOISE))
    found = judge(baseline, [passed_over, chosen], range(10), ACCURACY, PLAN).verdict
    assert (found.chosen, found.outcome, found.winner) == (1, Outcome.worse, 0)
    assert [one.trial for one in found.finalists] == [2, 1]
    parts = [(one.validation.difference, one.test.difference) for one in found.finalists if one.validation and one.test]
    assert parts == [pytest.approx((0.05, 0.19), abs=0.01), pytest.approx((0.15, -0.1), abs=0.01)]


def test_less_is_better_in_the_choice_too() -> None:
    finalists = [Entrant(arm(number, level - NOISE, "loss")) for number, level in ((1, 0.7), (2, 0.6), (3, 0.65))]
    found = judge(arm(0, 0.8 + NOISE, "loss"), finalists, range(10), LOSS, PLAN).verdict
    assert (found.chosen, found.winner) == (2, 2)


@pytest.mark.parametrize("shared", [0, 1, 2])
def test_two_shared_seeds_are_a_comparison_and_fewer_are_none(shared: int) -> None:
    everything = arm(0, 0.8 + NOISE)
    few = Replicates(trial(1, "elu"), {seed: everything.metrics[seed] for seed in range(shared)}, NONE)
    for entrant in (Entrant(few), Entrant(arm(1, 0.9 + NOISE), twin=few)):
        verdict = judge(everything, [entrant], range(10), ACCURACY, PLAN).verdict
        assert (verdict.finalists[0].test is None) == (shared < 2)
        assert verdict.outcome is Outcome.no_difference
        assert ("fewer than two seeds" in verdict.words) == (shared < 2)


def test_a_finalist_without_a_comparison_counts_for_the_correction() -> None:
    nothing = Entrant(Replicates(trial(2, "tanh"), {}, NONE))
    alone, beside = (
        judge(arm(0, 0.8 + NOISE), [Entrant(arm(1, 0.9 - NOISE)), *others], range(10), ACCURACY, PLAN).verdict
        for others in ([], [nothing])
    )
    assert alone.finalists[0].test is not None
    assert beside.finalists[0].test is not None
    assert beside.finalists[0].test.p_corrected == pytest.approx(2 * alone.finalists[0].test.p_corrected)
    assert (beside.finalists[1].completed, beside.finalists[1].failed) == (0, 0)
    assert beside.chosen == 1


def test_more_seeds_are_asked_for_look_by_look_and_judged_at_their_share() -> None:
    levels = {5: "early", 10: "planned", 15: "extended"}
    # The seeds of a slice of work may not end at a look: the next one judges them.
    for seeds, judged_as in ((3, 5), (5, 5), (6, 10), (10, 10), (11, 15), (15, 15), (20, 15)):
        maybe = np.resize(0.8 + NOISE + np.array([0.02] * 8 + [-0.02] * 2), seeds)
        found = judge(arm(0, np.resize(0.8 + NOISE, seeds)), [Entrant(arm(1, maybe))], range(seeds), ACCURACY, PLAN)
        look = next(look for look in looks_of(PLAN, 1) if look.seeds == judged_as)
        assert (found.verdict.ending, found.verdict.alpha) == (levels[judged_as], look.alpha)
        assert found.verdict.seeds == list(range(seeds))
        if judged_as == 15:
            assert found.seeds is None


def test_a_search_without_finalists_has_a_verdict_too() -> None:
    found = nothing_to_compare(trial(4, "relu"), ACCURACY, Confirmation(level=0.9))
    assert (found.outcome, found.winner, found.chosen) == (Outcome.no_difference, 4, None)
    assert (found.alpha, found.level, found.seeds, found.finalists) == (pytest.approx(0.1), 0.9, [], [])
    assert (found.baseline.completed, found.baseline.failed) == (0, 0)


def test_costs_are_means_over_what_was_measured() -> None:
    measured = [{"seconds": 1.0, "parameters": True, "int8_drop": float("nan")}, {"seconds": 3.0}, {}]
    one = Replicates(trial(1, "elu"), dict(enumerate(measured)), NONE)
    verdict = judge(one, [Entrant(arm(1, 0.9 + NOISE))], range(10), ACCURACY, PLAN).verdict
    assert verdict.baseline.costs == {"seconds": 2.0}
