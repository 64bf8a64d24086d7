"""Verdicts from replicates whose truth is known, and the choice of finalists."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any
from uuid import uuid4

import numpy as np
import pytest

from actsearch.schemas import ActivationSpec, Confirmation, Direction, ObjectiveInfo, Outcome, Trial, TrialState
from actsearch.study.judging.verdict import Entrant, Replicates, choose_finalists, fresh_seed, judge, looks_of

ACCURACY = ObjectiveInfo(metric="accuracy", direction=Direction.maximize)
LOSS = ObjectiveInfo(metric="loss", direction=Direction.minimize)
PLAN = Confirmation(finalists=1, seeds=10, most_seeds=15)


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


def arm(
    number: int, values: np.ndarray, metric: str = "accuracy", failed: Collection[int] = (), **more: Any
) -> Replicates:
    metrics: Mapping[int, Mapping[str, Any]] = {
        seed: {f"validation_{metric}": float(v), f"test_{metric}": float(v), **more}
        for seed, v in enumerate(values)
        if seed not in failed
    }
    return Replicates(trial(number, f"family{number}"), metrics, frozenset(failed))


NOISE = np.array([0.01, -0.02, 0.0, 0.015, -0.01, 0.02, -0.015, 0.005, 0.0, -0.005])


def test_a_finalist_that_beats_the_baseline_and_its_twin_is_better_by_the_smaller_gain() -> None:
    found = judge(
        arm(0, 0.8 + NOISE), [Entrant(arm(1, 0.9 - NOISE), twin=arm(2, 0.85 + NOISE))], range(10), ACCURACY, PLAN
    )
    verdict = found.verdict
    assert found.seeds is None
    assert (verdict.outcome, verdict.winner, verdict.chosen) == (Outcome.better, 1, 1)
    assert verdict.finalists[0].test is not None
    assert verdict.finalists[0].test.against == "twin"
    assert verdict.finalists[0].test.difference == pytest.approx(0.05)


def test_a_lucky_learning_rate_is_not_an_activation() -> None:
    """Better than the baseline's own best, but the baseline with the same settings does as well."""
    found = judge(
        arm(0, 0.8 + NOISE), [Entrant(arm(1, 0.9 + NOISE), twin=arm(2, 0.9 + NOISE))], range(10), ACCURACY, PLAN
    )
    assert found.verdict.outcome is Outcome.no_difference
    assert found.verdict.winner == 0


def test_the_larger_p_of_baseline_and_twin_decides() -> None:
    """Far better than the baseline on every seed, better than its twin by chance."""
    twin = arm(2, 0.89 + 6 * NOISE)
    found = judge(arm(0, 0.8 + NOISE), [Entrant(arm(1, 0.9 - NOISE), twin)], range(10), ACCURACY, PLAN)
    assert found.verdict.outcome is Outcome.no_difference
    told = found.verdict.finalists[0].test
    assert told is not None
    assert told.against == "twin"
    assert told.p_corrected == pytest.approx(told.p_sign_flip or told.p_t, abs=0.2)
    assert told.p_corrected > 0.3


def test_less_is_better_for_a_loss() -> None:
    found = judge(arm(0, 0.8 + NOISE, "loss"), [Entrant(arm(1, 0.7 - NOISE, "loss"))], range(10), LOSS, PLAN)
    assert found.verdict.outcome is Outcome.better
    assert found.verdict.finalists[0].test is not None
    assert found.verdict.finalists[0].test.difference == pytest.approx(0.1)
    assert "better by 0.1 in loss" in found.verdict.words


def test_an_open_answer_asks_for_more_seeds_and_a_clear_or_hopeless_one_does_not() -> None:
    maybe = 0.8 + NOISE + np.array([0.02] * 8 + [-0.02] * 2)
    assert judge(arm(0, 0.8 + NOISE), [Entrant(arm(1, maybe))], range(10), ACCURACY, PLAN).seeds == 15
    assert judge(arm(0, 0.8 + NOISE), [Entrant(arm(1, 0.8 + NOISE))], range(10), ACCURACY, PLAN).seeds is None
    assert judge(arm(0, 0.8 + NOISE), [Entrant(arm(1, 0.9 + NOISE))], range(10), ACCURACY, PLAN).seeds is None
    half = judge(arm(0, 0.8 + NOISE[:5]), [Entrant(arm(1, 0.8 + NOISE[:5]))], range(5), ACCURACY, PLAN)
    assert (half.seeds, half.verdict.ending) == (None, "early")
    half = judge(arm(0, 0.8 + NOISE[:5]), [Entrant(arm(1, 0.82 - NOISE[:5]))], range(5), ACCURACY, PLAN)
    assert half.seeds == 10


def test_a_clear_answer_is_given_halfway() -> None:
    default = Confirmation()  # three finalists
    same = [Entrant(arm(number, 0.8 - NOISE[:5])) for number in (2, 3)]
    half = judge(arm(0, 0.8 + NOISE[:5]), [Entrant(arm(1, 0.9 + NOISE[:5] / 2)), *same], range(5), ACCURACY, default)
    assert half.seeds is None
    assert (half.verdict.outcome, half.verdict.winner, half.verdict.ending) == (Outcome.better, 1, "early")
    assert half.verdict.finalists[0].test is not None
    assert half.verdict.finalists[0].test.p_corrected <= half.verdict.alpha == pytest.approx(0.01)


def test_halfway_a_finalist_must_beat_its_twin_as_clearly() -> None:
    twin = arm(2, 0.88 + NOISE[:5])
    half = judge(arm(0, 0.8 + NOISE[:5]), [Entrant(arm(1, 0.9 - NOISE[:5] / 2), twin)], range(5), ACCURACY, PLAN)
    assert (half.seeds, half.verdict.outcome) == (10, Outcome.no_difference)


MANY = np.concatenate([NOISE, NOISE / 2, NOISE / 3])
LONG = Confirmation(finalists=1, seeds=30, most_seeds=30, early_stop=False)


def test_a_finalist_that_failed_more_often_is_passed_over_and_never_better() -> None:
    failing = judge(arm(0, 0.8 + MANY), [Entrant(arm(1, 0.9 - MANY, failed=[3]))], range(30), ACCURACY, LONG).verdict
    test = failing.finalists[0].test
    assert test is not None
    assert test.p_corrected < 0.001  # won on 29 of 30, and yet
    assert (failing.outcome, failing.winner) == (Outcome.no_difference, 0)
    assert "trained on 29 of 30 seeds, the baseline on 30 of 30" in failing.words
    sound = Entrant(arm(2, 0.85 + NOISE))
    both = judge(arm(0, 0.8 + NOISE), [Entrant(arm(1, 0.9 - NOISE, failed=[0])), sound], range(10), ACCURACY, PLAN)
    assert both.verdict.chosen == 2


def test_a_baseline_that_fails_is_not_recommended() -> None:
    """As seen: squared_relu completed 1 of 5 seeds, tanh 5 of 5."""
    plan = Confirmation(finalists=1, seeds=5, most_seeds=5)
    failing = arm(0, 0.9 + NOISE[:5], failed=[0, 1, 2, 4])
    found = judge(failing, [Entrant(arm(1, 0.8 + NOISE[:5]))], range(5), ACCURACY, plan).verdict
    assert found.outcome is Outcome.no_difference  # five seeds cannot show any, whatever they are
    assert found.winner == 1
    assert "use family1: trained on 5 of 5 seeds, the baseline on 1 of 5" in found.words
    assert (found.baseline.failed, found.finalists[0].failed) == (4, 0)
    assert found.finalists[0].test is not None
    assert found.finalists[0].test.difference is None
    assert found.finalists[0].results["test"].seeds == 5


def test_a_baseline_that_always_fails_loses() -> None:
    failing = arm(0, NOISE, failed=range(10))
    found = judge(failing, [Entrant(arm(1, 0.8 + NOISE))], range(10), ACCURACY, PLAN).verdict
    assert (found.outcome, found.winner) == (Outcome.better, 1)
    assert "better: trained on 10 of 10 seeds, the baseline on 0 of 10" in found.words


def test_a_baseline_that_fails_on_half_of_its_seeds_does_not_hide_behind_the_other_half() -> None:
    half = arm(0, 0.95 + NOISE, failed=[0, 2, 4, 6, 8])
    found = judge(half, [Entrant(arm(1, 0.93 + NOISE))], range(10), ACCURACY, PLAN).verdict
    assert (found.outcome, found.winner) == (Outcome.no_difference, 1)
    assert found.baseline.results["test"].mean > found.finalists[0].results["test"].mean


def test_a_twin_that_diverges_on_the_finalists_settings_is_beaten() -> None:
    twin = arm(2, 0.85 + NOISE, failed=range(10))
    found = judge(arm(0, 0.8 + NOISE), [Entrant(arm(1, 0.9 - NOISE), twin)], range(10), ACCURACY, PLAN).verdict
    assert (found.outcome, found.winner) == (Outcome.better, 1)
    assert found.finalists[0].test is not None
    assert found.finalists[0].test.against == "own"


def test_a_twin_with_the_same_failures_is_not_beaten_by_them() -> None:
    twin = arm(2, 0.9 - NOISE, failed=[1, 2])
    found = judge(arm(0, 0.8 + NOISE), [Entrant(arm(1, 0.9 + NOISE, failed=[1, 2]), twin)], range(10), ACCURACY, PLAN)
    assert found.verdict.outcome is Outcome.no_difference


def test_what_a_mean_hides_is_told() -> None:
    collapsing = 0.9 + NOISE / 4
    collapsing[3] = 0.1
    found = judge(arm(0, 0.85 + NOISE), [Entrant(arm(1, collapsing))], range(10), ACCURACY, PLAN).verdict
    results = found.finalists[0].results["test"]
    assert results.median == pytest.approx(np.median(collapsing))
    assert (results.worst, results.collapsed, results.seeds) == (pytest.approx(0.1), pytest.approx(0.1), 10)
    assert found.baseline.results["test"].collapsed == 0
    assert "the median seed says otherwise: 5" in found.words


def test_the_worst_seed_of_a_loss_is_the_largest() -> None:
    found = judge(arm(0, 0.8 + NOISE, "loss"), [Entrant(arm(1, 0.7 + NOISE, "loss"))], range(10), LOSS, PLAN).verdict
    assert found.baseline.results["test"].worst == pytest.approx(0.82)


def test_beside_a_clear_finalist_the_others_are_not_told_to_have_too_few_seeds() -> None:
    others = [Entrant(arm(number, 0.81 - NOISE[:5])) for number in (2, 3)]
    clear = Entrant(arm(1, 0.9 + NOISE[:5] / 2))
    found = judge(arm(0, 0.8 + NOISE[:5]), [clear, *others], range(5), ACCURACY, Confirmation()).verdict
    assert found.outcome is Outcome.better
    words = [finalist.test.words for finalist in found.finalists[1:] if finalist.test]
    assert all("not enough after 5 seeds" in said and "too few" not in said for said in words)


def test_giving_up_is_told_as_the_reason() -> None:
    half = judge(arm(0, 0.8 + NOISE[:5]), [Entrant(arm(1, 0.8 + NOISE[:5]))], range(5), ACCURACY, PLAN)
    assert half.seeds is None
    assert "stopped after 5 seeds: no difference in sight" in half.verdict.words
    assert "too few" not in half.verdict.words


def test_costs_stand_beside_the_arms() -> None:
    arms = arm(0, NOISE, parameters=100, latency_ms=2.0, seed=3), arm(1, NOISE, parameters=120, latency_ms=4.0)
    verdict = judge(arms[0], [Entrant(arms[1])], range(10), ACCURACY, PLAN).verdict
    assert verdict.baseline.costs == {"latency_ms": 2.0, "parameters": 100}
    assert verdict.finalists[0].costs == {"latency_ms": 4.0, "parameters": 120}


def test_finalists_are_of_different_families_while_there_are_enough() -> None:
    ranked = [trial(1, "elu", alpha=1), trial(2, "elu", alpha=2), trial(3, "tanh"), trial(4, "elu", alpha=1)]
    relu = trial(0, "relu")
    assert [t.number for t in choose_finalists(ranked, 2, relu)] == [1, 3]
    assert [t.number for t in choose_finalists(ranked, 3, relu)] == [1, 2, 3]
    assert [t.number for t in choose_finalists(ranked, 9, relu)] == [1, 2, 3]  # 4 is 1 once more
    assert choose_finalists([], 3, relu) == []


def test_one_function_under_two_names_is_one_finalist() -> None:
    ranked = [trial(1, "celu", alpha=1), trial(2, "elu", alpha=1), trial(3, "elu", alpha=2), trial(4, "tanh")]
    assert [t.number for t in choose_finalists(ranked, 9, trial(0, "relu"))] == [1, 3, 4]


def test_the_baseline_under_another_name_is_no_finalist() -> None:
    layers = {f"layer{i}": ActivationSpec(family="celu") for i in (1, 2)}
    mixed = {"layer1": ActivationSpec(family="celu"), "layer2": ActivationSpec(family="tanh")}
    ranked = [trial(1, "celu").model_copy(update={"activations": found}) for found in (layers, mixed)]
    assert choose_finalists(ranked, 9, trial(0, "elu", alpha=1)) == [ranked[1]]


def test_seeds_are_fresh_and_always_the_same() -> None:
    seeds = [fresh_seed(7, replicate) for replicate in range(200)]
    assert len(set(seeds)) == 200
    assert 7 not in seeds
    assert seeds == [fresh_seed(7, replicate) for replicate in range(200)]
    assert looks_of(PLAN, 1)[-1].seeds == 15
