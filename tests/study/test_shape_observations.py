"""Scores of trials: what failed is the worst, what was pruned stands by its last value and what others gained after."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial
from scipy.stats import norm

from actsearch.study.proposing.shape.observations import normal_scores, scored

UP, DOWN = StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE
ONE = np.ones(1)


def complete(*values: float, curve: dict[int, float] | None = None) -> FrozenTrial:
    return create_trial(state=TrialState.COMPLETE, values=list(values), intermediate_values=curve or {})


def pruned(curve: dict[int, float]) -> FrozenTrial:
    return create_trial(state=TrialState.PRUNED, intermediate_values=curve)


def failed() -> FrozenTrial:
    found = create_trial(state=TrialState.FAIL)
    found.datetime_complete = datetime(2026, 1, 1)  # noqa: DTZ001 - as Optuna has it
    return found


def order(trials: list[FrozenTrial], direction: StudyDirection = UP) -> list[int]:
    """Trials by score, the best first."""
    return [int(i) for i in np.argsort(-scored(trials, [direction], ONE), kind="stable")]


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20, unique=True))
def test_scores_are_quantiles_of_the_normal_distribution_by_rank(values: list[float]) -> None:
    found = normal_scores(np.array(values))
    ranks = [sum(other < value for other in values) for value in values]
    assert found == pytest.approx([norm.ppf((rank + 0.5) / len(values)) for rank in ranks])


def test_ties_share_their_rank_and_nan_is_the_worst() -> None:
    found = normal_scores(np.array([1.0, np.nan, 1.0, 2.0]))
    assert found == pytest.approx(norm.ppf(np.array([2, 0.5, 2, 3.5]) / 4))


def test_more_or_less_is_better() -> None:
    trials = [complete(0.1), complete(0.3), complete(0.2)]
    assert order(trials) == [1, 2, 0]
    assert order(trials, DOWN) == [0, 2, 1]


@pytest.mark.parametrize("direction", [UP, DOWN])
def test_a_failed_trial_is_the_worst_whatever_the_direction(direction: StudyDirection) -> None:
    assert order([failed(), complete(-5.0), complete(5.0)], direction)[-1] == 0


def test_a_pruned_trial_stands_by_its_last_value_and_the_median_gain_of_others_after_that_step() -> None:
    others = [
        complete(0.5, curve={1: 0.3, 2: 0.4}),
        complete(0.9, curve={1: 0.5, 2: 0.8}),
        complete(0.6, curve={2: 0.5}),
    ]
    # At step 1 the others gained 0.2 and 0.4 after: 0.45 + 0.3 = 0.75; at step 2 0.1 each: 0.45 + 0.1 = 0.55.
    assert order([*others, pruned({1: 0.45})]) == [1, 3, 2, 0]
    assert order([*others, pruned({1: 0.45, 2: 0.45})]) == [1, 2, 3, 0]
    # At step 3 nobody was seen: nothing is added.
    assert order([*others, pruned({1: 0.9, 3: 0.55})]) == [1, 2, 3, 0]


def test_less_is_better_for_pruned_trials_too() -> None:
    others = [complete(0.5, curve={1: 0.9}), complete(0.2, curve={1: 0.8})]
    # The others sank by 0.4 and 0.6 after step 1: 0.9 - 0.5 = 0.4.
    assert order([*others, pruned({1: 0.9})], DOWN) == [1, 2, 0]


def test_a_pruned_trial_without_a_value_is_as_bad_as_a_failed_one() -> None:
    found = scored([pruned({}), failed(), complete(0.1)], [UP], ONE)
    assert found[0] == found[1] < found[2]


def test_several_objectives_count_by_their_weights() -> None:
    trials = [complete(1.0, 9.0), complete(2.0, 5.0), complete(3.0, 1.0)]
    for weights, best in (((0.9, 0.1), [2, 1, 0]), ((0.1, 0.9), [0, 1, 2])):
        found = scored(trials, [UP, UP], np.array(weights))
        assert list(np.argsort(-found)) == best
        assert found == pytest.approx(norm.ppf((np.argsort(np.argsort(found)) + 0.5) / 3))
    assert list(np.argsort(-scored(trials, [UP, DOWN], np.array([0.5, 0.5])))) == [2, 1, 0]


def test_a_pruned_trial_says_nothing_of_a_second_objective() -> None:
    trials = [complete(0.1, 1.0), complete(0.2, 2.0), pruned({1: 0.9})]
    first = scored(trials, [UP, UP], np.array([1.0, 0.0]))
    second = scored(trials, [UP, UP], np.array([0.0, 1.0]))
    assert first.argmax() == 2
    assert second.argmin() == 2
