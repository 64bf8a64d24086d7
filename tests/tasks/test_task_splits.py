"""Splits are disjoint, complete, stratified and repeatable; scaling knows the training part only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from actsearch.tasks import Dataset, InputKind, load
from actsearch.tasks.classification import classification_dataset
from actsearch.tasks.regression import regression_dataset
from actsearch.tasks.splits import Arrays, Scaler, split, split_indices


@settings(deadline=None, max_examples=60)
@given(
    counts=st.lists(st.integers(3, 60), min_size=2, max_size=6),
    fractions=st.sampled_from([(0.2,), (0.2, 0.2), (0.1, 0.3)]),
    seed=st.integers(0, 2**31 - 1),
)
def test_stratified_sets_are_disjoint_complete_and_proportional(
    counts: list[int], fractions: tuple[float, ...], seed: int
) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    sets = split_indices(len(labels), fractions, seed, labels=labels)
    assert sorted(np.concatenate(sets)) == list(range(len(labels)))
    for part in sets[1:]:
        due = np.array(counts) * len(part) / len(labels)
        assert np.abs(np.bincount(labels[part], minlength=len(counts)) - due).max() <= len(fractions)
    again = split_indices(len(labels), fractions, seed, labels=labels)
    assert all((a == b).all() for a, b in zip(sets, again, strict=True))


@given(samples=st.integers(10, 500), seed=st.integers(0, 1000))
def test_plain_sets_have_their_sizes(samples: int, seed: int) -> None:
    train, validation, test = split_indices(samples, (0.2, 0.2), seed)
    assert len(validation) == len(test) == max(1, round(0.2 * samples))
    assert sorted([*train, *validation, *test]) == list(range(samples))


def test_another_seed_is_another_split() -> None:
    assert (split_indices(100, (0.2,), 0)[1] != split_indices(100, (0.2,), 1)[1]).any()


def test_inputs_and_targets_stay_together() -> None:
    x = np.arange(90.0)[:, None]
    parts = split(x, np.arange(90) % 3, 7, stratify=True)
    for inputs, targets in (
        (parts.x_train, parts.y_train),
        (parts.x_validation, parts.y_validation),
        (parts.x_test, parts.y_test),
    ):
        assert (inputs[:, 0] % 3 == targets).all()


@pytest.mark.parametrize(("shape", "axes"), [((50, 4), (0,)), ((50, 3, 7), (0, 2)), ((50, 3, 5, 6), (0, 2, 3))])
def test_scaler_gives_mean_zero_and_deviation_one_by_feature_or_channel(
    shape: tuple[int, ...], axes: tuple[int, ...]
) -> None:
    values = np.random.default_rng(0).normal(5, 3, shape)
    scaled = Scaler.fit(values)(values)
    np.testing.assert_allclose(scaled.mean(axes), 0, atol=1e-5)
    np.testing.assert_allclose(scaled.std(axes), 1, atol=1e-5)


def test_a_constant_feature_becomes_zero() -> None:
    values = np.full((20, 2), 0.1)
    assert np.abs(Scaler.fit(values)(values)).max() < 1e-12


@pytest.mark.parametrize("name", ["digits", "mnist1d", "breast_cancer", "wine", "diabetes"])
def test_the_training_part_is_standardised(name: str) -> None:
    data = load(name)
    axes = tuple(axis for axis in range(data.train[0].ndim) if axis != 1)
    train = data.train[0].double()
    assert train.mean(axes).abs().max() < 1e-5
    assert (train.std(axes, correction=0) - 1).abs().max() < 1e-5


@pytest.mark.parametrize("build", [classification_dataset, regression_dataset])
def test_scaling_knows_the_training_part_alone(build: Callable[[Arrays, InputKind], Dataset]) -> None:
    """Wild values in the other parts change nothing in the training part, and stay wild."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 4)), rng.integers(0, 2, 60)
    y = y if build is classification_dataset else y[:, None]
    tame = split(x, y, 0, stratify=False)
    wild = replace(tame, x_validation=tame.x_validation + 1000, x_test=tame.x_test * 1000)
    usual, other = build(tame, "vector"), build(wild, "vector")
    assert all(torch.equal(a, b) for a, b in zip(usual.train, other.train, strict=True))
    assert other.validation[0].min() > 100
    assert other.test[0].abs().max() > 100


@pytest.mark.parametrize("name", ["digits", "mnist1d", "breast_cancer", "wine"])
def test_parts_keep_the_proportions_of_the_classes(name: str) -> None:
    data = load(name)
    shares = [part[1].bincount(minlength=data.outputs) / len(part[1]) for part in (data.train, data.validation)]
    assert (shares[0] - shares[1]).abs().max() < 0.02
