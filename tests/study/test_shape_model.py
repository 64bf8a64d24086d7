"""The Gaussian process against scikit-learn's and against its textbook formulas, written out densely."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import Matern

from actsearch.study.proposing.shape import model
from actsearch.study.proposing.shape.model import Inputs, Scales, Surrogate

Array = np.ndarray
SCALES = [Scales(0.7, 0.5, 0.2, hinted=False), Scales(1.4, 0.2, 0.05, hinted=True), Scales(0.35, 1.2, 0.6, hinted=True)]


def points(seed: int, count: int, shapes: int = 3, plain: int = 2, hints: int = 2) -> Inputs:
    generator = np.random.default_rng(seed)
    return Inputs(
        generator.normal(0, 0.6, (count, shapes)),
        generator.random((count, plain)),
        generator.normal(0, 1, (count, hints)),
    )


def kernel(a: Inputs, b: Inputs, scales: Scales) -> Array:
    """Matern 5/2 of scikit-learn, and the kernel of a weighted sum with weights of variance 0.5 / J each."""
    joined = [np.hstack([one.shapes / scales.shape, one.plain / scales.plain]) for one in (a, b)]
    found = Matern(length_scale=1.0, nu=2.5)(*joined)
    return found + (0.5 / a.hints.shape[1] * a.hints @ b.hints.T if scales.hinted else 0.0)


def expected(given: Inputs, scales: Scales) -> Array:
    """What weights of mean 0.5 / J let expect."""
    return 0.5 * given.hints.mean(1) if scales.hinted else np.zeros(len(given))


def textbook(seen: Inputs, scores: Array, at: Inputs, scales: Scales) -> tuple[Array, Array]:
    """Means and variances at points by inverting the covariance (Rasmussen & Williams 2006, equations 2.25, 2.26)."""
    inverse = np.linalg.inv(kernel(seen, seen, scales) + scales.noise * np.eye(len(seen)))
    across = kernel(seen, at, scales)
    residual = scores - expected(seen, scales)
    mean = residual.mean() + expected(at, scales) + across.T @ inverse @ (residual - residual.mean())
    return mean, np.diag(kernel(at, at, scales) - across.T @ inverse @ across)


@pytest.mark.parametrize("scales", SCALES)
def test_means_and_variances_are_the_textbook_s(scales: Scales) -> None:
    seen, at, scores = points(0, 12), points(1, 7), np.random.default_rng(2).normal(0.3, 1, 12)
    process = model._Process(seen, scores, scales)
    mean, variance = textbook(seen, scores, at, scales)
    belief = process.at(at, 0)
    np.testing.assert_allclose(process.mean(at), mean, atol=1e-9)
    np.testing.assert_allclose(belief.mean, mean, atol=1e-9)
    np.testing.assert_allclose(belief.variance, variance, atol=1e-9)


def test_without_hints_they_are_those_of_scikit_learn() -> None:
    scales, seen, at = SCALES[0], points(3, 15), points(4, 6)
    scores = np.random.default_rng(5).normal(-0.5, 1, 15)
    theirs = GaussianProcessRegressor(Matern(length_scale=1.0, nu=2.5), alpha=scales.noise, optimizer=None)
    theirs.fit(np.hstack([seen.shapes / 0.7, seen.plain / 0.5]), scores - scores.mean())
    mean, deviation = theirs.predict(np.hstack([at.shapes / 0.7, at.plain / 0.5]), return_std=True)
    belief = model._Process(seen, scores, scales).at(at, 0)
    np.testing.assert_allclose(belief.mean, mean + scores.mean(), atol=1e-8)
    np.testing.assert_allclose(belief.variance, deviation**2, atol=1e-8)


@pytest.mark.parametrize("scales", SCALES)
@pytest.mark.parametrize("known", [0, 9])
def test_assuming_points_leaves_the_variances_of_a_process_that_has_seen_them(scales: Scales, known: int) -> None:
    seen, at = points(6, known), points(7, 8)
    scores = np.random.default_rng(8).normal(0, 1, known)
    belief = model._Process(seen, scores, scales).at(at, 3)
    mean = belief.mean.copy()
    for count, place in enumerate((2, 5, 0), start=1):
        belief.assume(place)
        more = seen.followed_by(at.take(np.array([2, 5, 0])[:count]))
        _, variance = textbook(more, np.zeros(len(more)), at, scales)
        np.testing.assert_allclose(belief.variance, variance, atol=1e-9)
    np.testing.assert_array_equal(belief.mean, mean)


def weights_by_likelihood(seen: Inputs, scores: Array, hinted: tuple[bool, ...]) -> dict[tuple[Any, ...], float]:
    """Posterior weights of all scales, by scipy's density of the scores, times the prior for middling ones."""
    found = {}
    for shape, plain, hint in itertools.product((0.35, 0.7, 1.4, 2.8), (0.2, 0.5, 1.2), hinted):
        for noise in (0.05, 0.2, 0.6):
            scales = Scales(shape, plain, noise, hinted=hint)
            residual = scores - expected(seen, scales)
            covariance = kernel(seen, seen, scales) + noise * np.eye(len(seen))
            likelihood = multivariate_normal(cov=covariance).logpdf(residual - residual.mean())
            prior = -0.5 * np.log(shape) ** 2 - 0.5 * np.log(noise / 0.2) ** 2
            found[shape, plain, noise, hint] = np.exp(likelihood + prior)
    most = max(found.values())
    kept = {scales: weight for scales, weight in found.items() if weight >= 0.05 * most}
    return {scales: weight / sum(kept.values()) for scales, weight in kept.items()}


@pytest.mark.parametrize(("hints", "hinted"), [(2, (True, False)), (0, (False,))])
def test_scales_are_weighted_by_how_likely_they_make_the_scores(hints: int, hinted: tuple[bool, ...]) -> None:
    seen = points(9, 14, hints=hints)
    scores = np.sin(3 * seen.shapes[:, 0]) + 0.3 * np.random.default_rng(10).normal(0, 1, 14)
    found = {(s.shape, s.plain, s.noise, s.hinted): weight for s, weight in model._plausible(seen, scores)}
    assert found == pytest.approx(weights_by_likelihood(seen, scores, hinted), rel=1e-6)
    assert 1 < len(found) < 36 * len(hinted)


def test_only_lengths_of_what_there_is_are_weighted() -> None:
    scores = np.random.default_rng(11).normal(0, 1, 10)
    assert {s.shape for s, _ in model._plausible(points(12, 10, shapes=0), scores)} == {1.0}
    assert {s.plain for s, _ in model._plausible(points(12, 10, plain=0), scores)} == {1.0}


def test_predictions_are_the_processes_weighted() -> None:
    seen, at, scores = points(13, 10), points(14, 5), np.random.default_rng(15).normal(0, 1, 10)
    wanted = sum(weight * textbook(seen, scores, at, scales)[0] for scales, weight in model._plausible(seen, scores))
    np.testing.assert_allclose(Surrogate(seen, scores).predict(at), wanted, atol=1e-9)


def believed(seen: Inputs, scores: Array, at: Inputs, count: int, under_way: Inputs) -> list[int]:
    """The kriging believer, refitted for each pick."""
    plausible = model._plausible(seen, scores)
    weights = np.array([weight for _, weight in plausible])
    means = np.stack([textbook(seen, scores, at, scales)[0] for scales, _ in plausible])
    mean = weights @ means
    dissent = weights @ (means - mean) ** 2
    known, chosen = seen.followed_by(under_way), list[int]()
    for _ in range(count):
        variances = [textbook(known, np.zeros(len(known)), at, scales)[1] for scales, _ in plausible]
        bound = mean + np.sqrt(weights @ np.stack(variances) + dissent)
        bound[chosen] = -np.inf
        chosen.append(int(bound.argmax()))
        known = known.followed_by(at.take(np.array(chosen[-1:])))
    return chosen


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000), begun=st.integers(0, 4))
def test_a_cohort_is_chosen_as_if_each_pick_were_known(seed: int, begun: int) -> None:
    seen, at, under_way = points(seed, 8), points(seed + 1, 15), points(seed + 2, begun)
    scores = np.random.default_rng(seed).normal(0, 1, 8)
    assert Surrogate(seen, scores).choose(at, 5, under_way) == believed(seen, scores, at, 5, under_way)


def test_all_points_are_chosen_once_where_more_are_asked_for() -> None:
    seen, at = points(16, 6), points(17, 4)
    found = Surrogate(seen, np.arange(6.0)).choose(at, 9, points(18, 2))
    assert sorted(found) == [0, 1, 2, 3]


def test_before_any_trial_it_spreads_out() -> None:
    none, at = points(19, 0, hints=0), points(20, 40, hints=0)
    at = Inputs(
        np.vstack([at.shapes[:1]] * 20 + [at.shapes[20:]]), np.vstack([at.plain[:1]] * 20 + [at.plain[20:]]), at.hints
    )
    surrogate = Surrogate(none, np.zeros(0))
    np.testing.assert_array_equal(surrogate.predict(at), np.zeros(40))
    chosen = surrogate.choose(at, 6, none)
    assert sum(place < 20 for place in chosen) <= 1  # twenty of the forty are one point


def test_a_fit_to_many_trials_takes_some_of_them_for_the_scales_but_all_for_the_means() -> None:
    seen, at = points(21, 150, hints=0), points(22, 5, hints=0)
    scores = np.random.default_rng(23).normal(0, 1, 150)
    some = np.linspace(0, 149, 120).astype(int)
    plausible = model._plausible(seen.take(some), scores[some])
    wanted = sum(weight * model._Process(seen, scores, scales).mean(at) for scales, weight in plausible)
    np.testing.assert_allclose(Surrogate(seen, scores).predict(at), wanted, atol=1e-9)
