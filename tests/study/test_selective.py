"""What a told difference is worth: by simulation, and against what it must agree with."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from actsearch.schemas import Outcome
from actsearch.study.judging.looks import is_hopeless, is_open, plan_looks
from actsearch.study.judging.selective import told
from actsearch.study.judging.statistics import SLACK, compare, decide, holm

Told = tuple[float, float, float, float]


@pytest.mark.parametrize("true", [0.0, 0.3, 1.0, 2.0])
@pytest.mark.parametrize(("pairs", "p"), [(5, 0.01), (10, 0.05 / 3), (15, 0.005)])
def test_among_what_is_told_it_covers_as_often_as_it_says(true: float, pairs: int, p: float) -> None:
    """Normal differences of deviation 1, told where the t test gives at most p and the mean is above zero."""
    generator = np.random.default_rng(pairs)
    critical = stats.t.isf(p / 2, pairs - 1)
    covered: list[bool] = []
    above: list[bool] = []
    for _ in range(200):
        d = generator.normal(true, 1, (20_000, pairs))
        t = math.sqrt(pairs) * d.mean(1) / d.std(1, ddof=1)
        for one in d[t > critical][:50]:
            estimate, low, high = told(float(one.mean()), float(one.std(ddof=1)), pairs, p, 0.95)
            covered.append(low <= true <= high)
            above.append(estimate > true)
        if len(covered) >= 1000:
            break
    assert sum(covered) >= stats.binom.ppf(0.0005, len(covered), 0.95)
    if true >= 1:  # near zero the estimate ends there
        least, most = stats.binom.ppf([0.0005, 0.9995], len(above), 0.5)
        assert sum(above) <= most
        assert pairs < 10 or least <= sum(above)


@given(
    st.floats(0.01, 100), st.integers(3, 30), st.floats(1e-4, 0.1), st.floats(1.001, 50), st.sampled_from([0.8, 0.95])
)
@settings(max_examples=200)
def test_it_is_below_what_was_seen_and_near_it_far_from_the_bar(
    sd: float, pairs: int, p: float, beyond: float, level: float
) -> None:
    critical = float(stats.t.isf(p / 2, pairs - 1))
    mean = critical * beyond * sd / math.sqrt(pairs)
    estimate, low, high = told(mean, sd, pairs, p, level)
    half = float(stats.t.ppf((1 + level) / 2, pairs - 1)) * sd / math.sqrt(pairs)
    assert 0 <= low <= estimate <= high
    assert estimate <= mean * (1 + 1e-6)
    assert high <= mean + half + 1e-6 * mean
    assert low <= max(0.0, mean - half) + 1e-6 * mean
    again = told(10 * mean, 10 * sd, pairs, p, level)  # in another unit
    assert again[0] == pytest.approx(10 * estimate, rel=1e-5, abs=1e-6 * mean)


def test_without_a_bar_it_is_the_t_interval() -> None:
    differences = np.random.default_rng(0).normal(0.5, 1, 12)
    wanted = stats.ttest_1samp(differences, 0).confidence_interval(0.95)
    mean, sd = float(differences.mean()), float(differences.std(ddof=1))
    found = told(mean + 100, sd, 12, 0.999_999, 0.95)
    assert found == pytest.approx((mean + 100, wanted.low + 100, wanted.high + 100))


def test_just_beyond_the_bar_little_is_left() -> None:
    critical = float(stats.t.isf(0.005, 9))
    estimate, low, high = told(1.0001 * critical / math.sqrt(10), 1.0, 10, 0.01, 0.95)
    assert low == 0
    assert estimate == pytest.approx(0, abs=0.01)
    assert high > 0.5


def test_equal_differences_are_worth_what_they_are() -> None:
    assert told(0.5, 0.0, 10, 0.01, 0.95) == (0.5, 0.5, 0.5)


def _verdict(generator: np.random.Generator, effect: float, together: float) -> tuple[Outcome, float, Told | None]:
    """A confirmation of three finalists, of which the first is better; the outcome, the truth and what is told.

    Results deviate by seed so that differences have deviation 1; those on validation data, by which one is chosen, are
    correlated with those on test data by `together`.
    """
    looks, sd = plan_looks(10, 15, 3, 0.95, early=True), math.sqrt(0.5)
    test = generator.normal(0, sd, (4, 15))
    validation = together * test + math.sqrt(1 - together**2) * generator.normal(0, sd, (4, 15))
    test[1] += effect
    validation[1] += effect
    for place, look in enumerate(looks):
        found = [compare(arm[: look.seeds], test[0, : look.seeds]) for arm in test[1:]]
        deciding = [one.p_early if look.early else one.p for one in found]
        chosen = int(validation[1:, : look.seeds].mean(1).argmax())
        outcome = decide(found[chosen], holm(deciding)[chosen], look.alpha)
        p_values = [one.p for one in found]
        goes_on = outcome is Outcome.no_difference and (
            (place == 0 and not is_hopeless(p_values)) or (place == 1 and is_open(p_values))
        )
        if not goes_on:
            break
    one, true = found[chosen], effect if chosen == 0 else 0.0
    if outcome is Outcome.no_difference or one.difference is None or one.sd is None:
        return outcome, true, None
    sign = 1.0 if outcome is Outcome.better else -1.0
    bar = look.alpha / sum(p >= deciding[chosen] for p in deciding) / (SLACK if look.early else 1)
    worth = told(sign * one.difference, one.sd, one.pairs, bar, 0.95)
    return outcome, sign * true, (one.difference * sign, *worth)


@pytest.mark.parametrize("together", [0.0, 0.8])
@pytest.mark.parametrize("effect", [0.5, 1.0, 1.5, 2.0])
def test_verdicts_tell_the_truth_whatever_it_is(effect: float, together: float) -> None:
    generator = np.random.default_rng(int(10 * effect))
    jobs = 1500 if effect < 1 else 400
    found = [_verdict(generator, effect, together) for _ in range(jobs)]
    better = [(true, worth) for outcome, true, worth in found if outcome is Outcome.better and worth is not None]
    covered = sum(low <= true <= high for true, (_, _, low, high) in better)
    assert covered >= stats.binom.ppf(0.001, len(better), 0.93), (covered, len(better))
    if effect == 0.5:
        seen = np.mean([worth[0] / effect for _, worth in better])
        assert seen > 1.5  # what a plain mean would have told
        assert np.median([worth[1] / effect for _, worth in better]) < 1.25
