"""Paired comparisons: agreement with scipy, invariances, and above all the promised error level."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from actsearch.schemas import Outcome
from actsearch.study.judging.looks import Look, is_hopeless, plan_looks
from actsearch.study.judging.statistics import compare, decide, holm
from actsearch.study.judging.words import in_words

Sampler = Callable[[np.random.Generator, int], np.ndarray]

# Accuracies on a grid so coarse that ties abound, as small test parts give them.
coarse = st.lists(st.integers(0, 20).map(lambda x: x / 20), min_size=3, max_size=11)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=4, max_size=12))
def test_agrees_with_scipy(pairs: list[tuple[float, float]]) -> None:
    a, b = np.array(pairs).T
    if np.ptp(a - b) < 1e-6:
        return
    found, wanted = compare(a, b, level=0.9), stats.ttest_rel(a, b)
    assert found.p_t == pytest.approx(wanted.pvalue, abs=1e-12)
    assert found.interval == pytest.approx(tuple(wanted.confidence_interval(0.9)), abs=1e-9)
    assert found.p_wilcoxon == pytest.approx(stats.wilcoxon(a - b).pvalue)
    assert found.wins + found.losses + found.ties == len(pairs)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=3, max_size=9))
def test_the_sign_flip_test_agrees_with_scipy(values: list[float]) -> None:
    differences = np.round(np.array(values), 3)
    wanted = stats.permutation_test(
        (differences,), lambda x, axis: x.sum(axis), permutation_type="samples", vectorized=True, n_resamples=np.inf
    )
    assert compare(differences, np.zeros(len(values))).p_sign_flip == pytest.approx(wanted.pvalue)


def test_beyond_all_patterns_the_sign_flip_test_is_near_the_t_test() -> None:
    found = compare(np.random.default_rng(2).normal(0.3, 1, 40), np.zeros(40))
    assert found.p_sign_flip == pytest.approx(found.p_t, abs=0.01)


def test_the_bootstrap_interval_is_near_the_t_interval_on_many_seeds() -> None:
    found = compare(np.random.default_rng(1).normal(1, 1, 400), np.zeros(400))
    assert found.bootstrap == pytest.approx(found.interval, abs=0.02)


@settings(max_examples=30, deadline=None)
@given(coarse, st.data())
def test_does_not_depend_on_shift_scale_or_order(values: list[float], data: st.DataObject) -> None:
    other = data.draw(st.lists(st.sampled_from(values), min_size=len(values), max_size=len(values)))
    order = data.draw(st.permutations(range(len(values))))
    a, b = np.array(values), np.array(other)
    found = compare(a, b)
    moved = compare(4 * a[order] + 2, 4 * b[order] + 2)  # exact in floating point
    turned = compare(b, a)
    assert moved.difference == pytest.approx(4 * found.difference)
    assert (moved.wins, moved.losses, moved.ties) == (found.wins, found.losses, found.ties)
    assert moved.p == pytest.approx(found.p)
    assert turned.p == pytest.approx(found.p)
    assert turned.interval == pytest.approx((-found.interval[1], -found.interval[0]))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_holm_is_the_closed_bonferroni_test(p_values: list[float]) -> None:
    """A hypothesis is rejected when every intersection that contains it is, each judged by Bonferroni."""
    places = range(len(p_values))
    subsets = [chosen for size in places for chosen in combinations(places, size + 1)]
    wanted = [
        min(1.0, max(len(chosen) * min(p_values[i] for i in chosen) for chosen in subsets if place in chosen))
        for place in places
    ]
    assert holm(p_values) == pytest.approx(wanted)


def _normal(generator: np.random.Generator, n: int) -> np.ndarray:
    return generator.normal(0.9, 0.02, n)


def _coarse_accuracy(generator: np.random.Generator, n: int) -> np.ndarray:
    return generator.binomial(40, 0.97, n) / 40  # bounded, and mostly ties


def _two_points(generator: np.random.Generator, n: int) -> np.ndarray:
    return generator.integers(0, 2, n) / 100


def _heavy_tails(generator: np.random.Generator, n: int) -> np.ndarray:
    return generator.standard_t(1.5, n)


def _collapses(generator: np.random.Generator, n: int) -> np.ndarray:
    return np.where(generator.random(n) < 0.2, 0.1, generator.normal(0.9, 0.01, n))  # a run in five learns nothing


@pytest.mark.parametrize("sample", [_normal, _coarse_accuracy, _two_points, _heavy_tails, _collapses])
@pytest.mark.parametrize("seeds", [5, 10])
def test_one_comparison_keeps_its_level(sample: Sampler, seeds: int) -> None:
    generator, runs, alpha = np.random.default_rng(seeds), 300, 0.1
    false = sum(compare(sample(generator, seeds), sample(generator, seeds)).p <= alpha for _ in range(runs))
    assert false <= stats.binom.ppf(0.999, runs, alpha)


def _three_values(generator: np.random.Generator, n: int) -> np.ndarray:
    return generator.choice([0.45, 0.93, 1.64], size=n, p=[0.2, 0.46, 0.34])  # about the t test's worst


@pytest.mark.parametrize("sample", [_normal, _coarse_accuracy, _two_points, _three_values, _heavy_tails, _collapses])
def test_an_early_look_at_five_seeds_claims_no_more_than_its_share(sample: Sampler) -> None:
    """Of 4,000 jobs whose three finalists do what the baseline does; on each seed all are better or worse together."""
    generator, jobs, finalists = np.random.default_rng(5), 4000, 3
    (look, *_) = plan_looks(10, 15, finalists, 0.95, early=True)
    arms = sample(generator, jobs * (finalists + 1) * look.seeds).reshape(jobs, finalists + 1, look.seeds)
    arms += generator.normal(0, 0.1, (jobs, 1, look.seeds)).round(2)
    found = [[compare(one, baseline).p_early for one in others] for baseline, *others in np.round(arms, 6)]
    false = sum(min(holm(p_values)) <= look.alpha for p_values in found)
    assert false <= stats.binom.ppf(0.999, jobs, look.alpha)


def test_eight_points_are_seen_after_five_seeds() -> None:
    """The twelve-layer network of docs/reports: ELU better by 8.4 points, the differences' standard deviation 2.7."""
    generator, (look, *_) = np.random.default_rng(1), plan_looks(10, 15, 3, 0.95, early=True)
    shown = 0
    for _ in range(200):
        p_values = [compare(generator.normal(mean, 0.027, 5), np.zeros(5)).p_early for mean in (0.084, 0, 0)]
        shown += holm(p_values)[0] <= look.alpha
    assert shown > 80


@pytest.mark.parametrize("sample", [_normal, _coarse_accuracy, _two_points])
@pytest.mark.parametrize("level", [0.8, 0.95])
def test_a_family_of_finalists_judged_at_every_look_keeps_the_level(sample: Sampler, level: float) -> None:
    generator, runs, finalists = np.random.default_rng(5), 250, 3
    looks = plan_looks(10, 15, finalists, level, early=True)

    def errs() -> bool:
        baseline = sample(generator, 15)
        arms = [sample(generator, 15) for _ in range(finalists)]
        for look in looks:  # goes on whatever it sees: the worst case
            found = [compare(arm[: look.seeds], baseline[: look.seeds]) for arm in arms]
            corrected = holm([c.p_early if look.early else c.p for c in found])
            if any(
                decide(c, p, look.alpha) is not Outcome.no_difference for c, p in zip(found, corrected, strict=True)
            ):
                return True
        return False

    assert sum(errs() for _ in range(runs)) <= stats.binom.ppf(0.999, runs, 1 - level)


def test_a_clear_difference_is_found() -> None:
    generator = np.random.default_rng(3)
    # The published spread of SqueezeNet on CIFAR-10: half a point. Two standard deviations, ten seeds, three finalists.
    shown = 0
    for _ in range(100):
        baseline = generator.normal(0.870, 0.005, 10)
        found = [compare(generator.normal(mean, 0.005, 10), baseline) for mean in (0.880, 0.870, 0.870)]
        shown += decide(found[0], holm([c.p for c in found])[0], 0.05) is Outcome.better
    assert shown >= 80


@pytest.mark.parametrize(("seeds", "most", "finalists"), [(10, 15, 3), (10, 10, 3), (5, 8, 1), (40, 60, 2), (2, 2, 1)])
def test_looks_spend_the_level_and_no_more(seeds: int, most: int, finalists: int) -> None:
    looks = plan_looks(seeds, most, finalists, 0.95, early=True)
    assert sum(look.alpha for look in looks) == pytest.approx(0.05)
    assert [look.seeds for look in looks] == sorted({look.seeds for look in looks})
    assert looks[-1].seeds == most


def test_few_seeds_cannot_decide_early_but_five_can_and_many_by_the_exact_test() -> None:
    assert plan_looks(7, 7, 3, 0.95, early=True)[0] == Look(4, 0.0, early=False)
    assert plan_looks(10, 10, 3, 0.95, early=True)[0] == Look(5, pytest.approx(0.01), early=True)
    assert plan_looks(40, 40, 3, 0.95, early=True)[0] == Look(20, pytest.approx(0.01), early=False)


def test_equal_samples_differ_in_nothing() -> None:
    values = [0.9, 0.91, 0.9, 0.92]
    found = compare(values, values)
    assert (found.p, found.p_wilcoxon, found.interval, found.ties) == (1.0, 1.0, (0.0, 0.0), 4)
    assert is_hopeless([found.p])


def test_a_constant_difference_is_certain_only_as_far_as_seeds_are_many() -> None:
    few, many = compare([0.5] * 3, [0.4] * 3), compare([0.5] * 10, [0.4] * 10)
    assert few.p == pytest.approx(2 / 2**3)
    assert many.p == pytest.approx(2 / 2**10)


@pytest.mark.parametrize(("a", "b"), [([1.0], [1.0]), ([1.0, 2.0], [1.0]), ([1.0, math.inf], [1.0, 2.0])])
def test_what_cannot_be_compared_is_refused(a: list[float], b: list[float]) -> None:
    with pytest.raises(ValueError, match=r"compare (needs|takes)"):
        compare(a, b)


def test_words() -> None:
    step = np.array([0.02, 0.022, 0.018, 0.021, 0.019, 0.02, 0.023, 0.017, 0.02, 0.021])
    better, worse = compare(0.9 + step, [0.9] * 10), compare(0.9 - step, [0.9] * 10)
    noise = compare([1.0, 2.0, 3.0], [2.0, 1.0, 3.5])
    assert (
        in_words(better, Outcome.better, "accuracy", 0.95) == "better by 2.0 points, 95% 1.9 to 2.1, on 10 of 10 seeds"
    )
    assert in_words(worse, Outcome.worse, "accuracy", 0.95) == "worse by 2.0 points, 95% 1.9 to 2.1, on 10 of 10 seeds"
    assert in_words(noise, Outcome.no_difference, "mse", 0.9).startswith("no difference shown (-0.167 in mse, 90% -")


def test_words_say_why_nothing_is_shown_where_the_interval_would_have_shown_it() -> None:
    few = compare([0.62, 0.63, 0.61], [0.6, 0.6, 0.6])
    unsure = compare([0.6 + step for step in (0.01, 0.02, 0.012, 0.03, 0.015, -0.001)], [0.6] * 6)
    around_zero = compare([0.6 + step for step in (0.01, -0.02, 0.012, -0.03, 0.015, -0.01)], [0.6] * 6)

    said = [in_words(found, Outcome.no_difference, "accuracy", 0.95) for found in (few, unsure, around_zero)]

    assert said[0].endswith("better on 3 of 3 seeds; 3 seeds are too few to show any)")
    assert said[1].endswith("better on 5 of 6 seeds; not enough, corrected for several comparisons and looks)")
    assert said[2].endswith("better on 3 of 6 seeds)")


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_failures_that_come_by_chance_show_no_difference(rate: float) -> None:
    """A null: both arms fail independently at one rate and are equal otherwise."""
    generator, runs = np.random.default_rng(7), 1000
    wrong = 0
    for _ in range(runs):
        values = np.where(generator.random((2, 10)) < rate, np.nan, generator.normal(0.8, 0.02, (2, 10)))
        found = compare(*values)
        wrong += decide(found, found.p, 0.05) is not Outcome.no_difference
    assert wrong / runs <= 0.05 + 2 * (0.05 * 0.95 / runs) ** 0.5


def test_a_failure_counts_more_than_any_difference() -> None:
    found = compare([0.9, 0.9, 0.9, np.nan], [0.1, 0.2, 0.3, 0.4])
    assert list(found.scores) == [3, 2, 1, -4]
    assert (found.pairs, found.seeds, found.candidate_failed, found.baseline_failed) == (3, 4, 1, 0)
    assert found.leaning == pytest.approx(0.2)
    both = compare([np.nan, 0.5, 0.6], [np.nan, 0.4, 0.4])
    assert list(both.scores) == [0, 2, 3]
