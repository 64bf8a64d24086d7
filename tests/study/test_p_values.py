"""P values: their floors, their ties, and which of two decides."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from actsearch.schemas import Outcome
from actsearch.study.judging.statistics import compare, decide


@pytest.mark.parametrize("sign", [1, -1])
def test_a_p_value_of_sampled_signs_is_never_zero_or_less(sign: int) -> None:
    found = compare(sign * np.linspace(1, 2, 40), np.zeros(40))
    assert found.p_sign_flip == 1 / 10_001  # none of 10,000 patterns goes as far, and the observed one counts


@pytest.mark.parametrize("pairs", [13, 14])
def test_sampled_signs_begin_where_all_patterns_become_too_many(pairs: int) -> None:
    differences = np.random.default_rng(pairs).normal(0.4, 1, pairs)
    exact = stats.permutation_test(
        (differences,), lambda x, axis: x.sum(axis), permutation_type="samples", vectorized=True, n_resamples=np.inf
    ).pvalue
    found = compare(differences, np.zeros(pairs)).p_sign_flip
    assert found == pytest.approx(exact, rel=1e-9 if pairs == 13 else 0.2)
    assert (found == pytest.approx(exact, rel=1e-9)) == (pairs == 13)


def test_zeros_change_no_sign_flip_p() -> None:
    moved = np.array([0.3, 0.1, 0.2, -0.05])
    padded = np.concatenate([moved, np.zeros(12)])
    assert compare(padded, np.zeros(16)).p_sign_flip == compare(moved, np.zeros(4)).p_sign_flip
    assert compare([0.3, 0.0, 0.0], np.zeros(3)).p_sign_flip == 1.0
    assert compare([0.3, 0.2, 0.0], np.zeros(3)).p_sign_flip == 0.5


def test_of_two_p_values_the_larger_decides() -> None:
    for differences in ([0.5] * 4, [1.0, 1.1, 0.9, 1.0], [5.0, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1]):
        found = compare(differences, np.zeros(len(differences)))
        assert found.p == max(found.p_t, found.p_sign_flip)
    assert compare([0.5] * 4, np.zeros(4)).p == 0.125  # where the t test's is 0
    skewed = compare([5.0, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1], np.zeros(7))
    assert skewed.p == skewed.p_t > skewed.p_sign_flip


def test_an_early_p_value_is_stretched_and_has_a_floor() -> None:
    clear, unclear = compare([0.5] * 5, np.zeros(5)), compare([0.3, 0.1, 0.2, 0.1, -0.1], np.zeros(5))
    assert clear.p_early == 2 / 4**5
    assert unclear.p_early == pytest.approx(1.5 * unclear.p_t)
    assert compare([0.1, -0.1, 0.1, -0.1], np.zeros(4)).p_early == 1.0


def test_a_corrected_p_value_at_the_level_is_enough_and_above_it_is_not() -> None:
    up, down = compare([0.5, 0.6], [0.1, 0.1]), compare([0.1, 0.1], [0.5, 0.6])
    assert decide(up, 0.05, 0.05) is Outcome.better
    assert decide(down, 0.05, 0.05) is Outcome.worse
    assert decide(up, 0.0500001, 0.05) is decide(down, 0.0500001, 0.05) is Outcome.no_difference
    assert decide(compare([1.0, 3.0], [2.0, 2.0]), 0.0, 0.05) is Outcome.no_difference
