"""Splitting data into train, validation and test parts, and scaling them with what the training part knows."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from actsearch.schemas import ParameterInfo

Array = NDArray[Any]

SPLIT_SEED = ParameterInfo(
    name="split_seed",
    type="int",
    default=0,
    low=0,
    high=2**31 - 1,
    description="Seed that decides which samples are for training, validation and test.",
)


@dataclass(frozen=True)
class Arrays:
    """Inputs and targets of the three parts, equally long pairs on axis 0."""

    x_train: Array
    y_train: Array
    x_validation: Array
    y_validation: Array
    x_test: Array
    y_test: Array


def split_indices(
    samples: int, fractions: Sequence[float], seed: int, *, labels: Array | None = None
) -> list[NDArray[np.int64]]:
    """Disjoint index sets that cover `range(samples)`, the first taking what the others leave.

    Args:
        samples: number of samples, N.
        fractions: sizes of the second, third ... set relative to N; their sum is below 1.
        seed: of the shuffle.
        labels: classes (N,) to keep in proportion in every set; None for no stratification.

    Returns:
        One more array than `fractions`, each in shuffled order.

    Raises:
        ValueError: if a class has fewer samples than there are sets.
    """
    from sklearn.model_selection import train_test_split

    rest = np.arange(samples)
    taken: list[NDArray[np.int64]] = []
    for position, fraction in enumerate(fractions):
        strata = None if labels is None else labels[rest]
        size = max(1 if strata is None else len(np.unique(strata)), round(fraction * samples))
        rest, part = train_test_split(rest, test_size=size, random_state=seed + position, stratify=strata)
        taken.append(part)
    return [rest, *taken]


def group_indices(groups: Array, sets: int, seed: int, *, labels: Array | None = None) -> list[NDArray[np.int64]]:
    """`split_indices` with no group in two sets; every set but the first takes about a fifth of the samples.

    Whole groups are dealt, in random order, to five folds (fewer where there are fewer groups) that become as equal in
    size, and in their classes, as whole groups allow. Those nearest to a fifth of the samples are held out.

    Args:
        groups: the group of each sample, (N,).
        sets: how many sets beside the first, up to 4.
        seed: of the shuffle.
        labels: classes (N,) to keep in proportion as far as whole groups allow; None for no stratification.

    Raises:
        ValueError: if there are fewer groups than sets, or the first set is left without a sample of some class.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    folds = min(5, len(np.unique(groups)))
    if folds <= sets:
        raise ValueError(f"{folds} groups cannot be split into {sets + 1} parts; give at least {sets + 1} groups")
    strata = np.zeros(len(groups), np.int64) if labels is None else np.unique(labels, return_inverse=True)[1]
    if np.bincount(strata).max() < folds:  # no class is large enough to be in every fold
        strata = np.zeros(len(groups), np.int64)
    splitter = StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)  # type: ignore[no-untyped-call]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class with fewer samples than folds
        folded = [fold for _, fold in splitter.split(groups, strata, groups)]  # type: ignore[no-untyped-call]
    taken = sorted(folded, key=lambda fold: abs(len(fold) - len(groups) / 5))[:sets]
    rest = np.setdiff1d(np.arange(len(groups)), np.concatenate([np.empty(0, np.int64), *taken]))
    if labels is not None and len(lost := np.setdiff1d(labels, labels[rest])):
        message = f"the groups leave {len(lost)} classes without a sample to train on; try another seed"
        raise ValueError(f"{message}, or use larger or more groups of each class")
    shuffle = np.random.default_rng(seed)
    return [shuffle.permutation(part) for part in (rest, *taken)]


def stratified_holdout(
    targets: Array, kind: str, seed: int, *, size: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices of the samples that stay and of `size` that are held out, both rising; a random choice.

    Classes keep their proportions as well as whole numbers allow. One with two samples or more is on both sides where
    there is room; the only sample of a class stays.

    Args:
        targets: (N, ...); of classes, (N,) or (N, 1).
        kind: what they are; only `classification` and `binary` are stratified.
        seed: of the choice.
        size: samples to hold out, below N.
    """
    order = np.asarray(torch.randperm(len(targets), generator=torch.Generator().manual_seed(seed)))
    chosen = order[:size]
    if kind in ("classification", "binary"):
        labels = np.unique(targets.reshape(len(targets), -1)[:, 0], return_inverse=True)[1][order]
        shares = _shares(np.bincount(labels), size)
        rank = np.empty(len(order), dtype=np.int64)  # of a sample among those of its class, in the order of the draw
        for label in range(len(shares)):
            rank[labels == label] = np.arange((labels == label).sum())
        first = order[np.argsort(rank >= shares[labels], kind="stable")]  # then any, where classes are too small
        chosen = first[:size]
    return np.setdiff1d(order, chosen), np.sort(chosen)


def _shares(counts: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """How many samples each class gives up, at most all but one: `size` together, or as many as that allows."""
    exact, most = counts * size / counts.sum(), counts - 1
    shares: NDArray[np.int64] = np.minimum(np.maximum(np.floor(exact).astype(np.int64), 1), most)
    while shares.sum() > size:
        shares[np.argmax(shares - exact)] -= 1
    while shares.sum() < min(size, most.sum()):
        shares[np.argmax(np.where(shares < most, exact - shares, -np.inf))] += 1
    return shares


def split(x: Array, y: Array, seed: int, *, stratify: bool) -> Arrays:
    """60 % training, 20 % validation, 20 % test of samples (N, ...) and targets (N, ...)."""
    parts = split_indices(len(x), (0.2, 0.2), seed, labels=y if stratify else None)
    train, validation, test = parts
    return Arrays(x[train], y[train], x[validation], y[validation], x[test], y[test])


@dataclass(frozen=True)
class Scaler:
    """Mean and standard deviation by axis 1, from whatever array it was fitted on.

    Args:
        near: a value of each feature, which others are taken relative to, so that large ones keep their differences.
        mean: of the values less `near`.
        deviation: standard deviation; 1 where there is none.
    """

    near: Array
    mean: Array
    deviation: Array

    @classmethod
    def fit(cls, values: Array) -> Scaler:
        """Statistics over every axis but the second: by feature for (N, D), by channel for (N, C, ...).

        A constant feature keeps a deviation of 1, so that it becomes 0 and not NaN. Constant is one that deviates by
        no more than rounding does (float64 numbers of its size).
        """
        axes = tuple(axis for axis in range(values.ndim) if axis != 1)
        wide = values.astype(np.float64)
        near = wide[tuple(slice(None) if axis == 1 else slice(0, 1) for axis in range(values.ndim))]
        apart = wide - near
        mean, deviation = apart.mean(axes, keepdims=True), apart.std(axes, keepdims=True)
        constant = deviation <= np.finfo(np.float64).eps * np.abs(wide).max(axes, keepdims=True)
        return cls(near, mean, np.where(constant, 1.0, deviation))

    def __call__(self, values: Array) -> NDArray[np.float32]:
        """Scaled values, same shape."""
        scaled = (values.astype(np.float64) - self.near - self.mean) / self.deviation
        return np.asarray(scaled, dtype=np.float32)
