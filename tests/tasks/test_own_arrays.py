"""Which axis holds the channels is known, or asked for; groups stay whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actsearch.errors import InvalidRequest
from actsearch.tasks import get_task, load
from actsearch.tasks.own_data.faults import DataFault
from actsearch.tasks.own_data.layouts import channels_first, layout_of
from actsearch.tasks.splits import Scaler, group_indices

if TYPE_CHECKING:
    from conftest import OwnData

RNG = np.random.default_rng(0)
Y = np.arange(30) % 2


@pytest.mark.parametrize(
    ("shape", "dtype", "layout", "input_shape"),
    [
        ((32, 32, 3), "float32", "NHWC", (3, 32, 32)),
        ((3, 32, 32), "float32", "NCHW", (3, 32, 32)),
        ((28, 28, 1), "uint8", "NHWC", (1, 28, 28)),
        ((5, 7, 2), "float32", "NHWC", (2, 5, 7)),
        ((16, 8, 8), "float32", "NCHW", (16, 8, 8)),
        ((8, 8, 16), "float32", "NHWC", (16, 8, 8)),
        ((4, 4, 3), "float32", "NHWC", (3, 4, 4)),
        ((28, 28), "uint8", "NHW", (1, 28, 28)),
        ((3, 100), "float32", "NCL", (3, 100)),
        ((100, 3), "float32", "NLC", (3, 100)),
        ((100, 1), "float32", "NLC", (1, 100)),
    ],
)
def test_what_can_be_known_is_said(
    own: OwnData, shape: tuple[int, ...], dtype: str, layout: str, input_shape: tuple[int, ...]
) -> None:
    own.npz("a", x=RNG.integers(0, 255, (30, *shape)).astype(dtype), y=Y)
    assert layout_of(np.zeros((30, *shape), dtype), "auto")[0] == layout
    assert load("data:a").input_shape == input_shape
    assert any("say `layout` if it is not" in note for note in get_task("data:a").notes)
    said = {"layout": layout}
    assert not any("layout" in note for note in get_task("data:a", said).notes)
    assert load("data:a", said).train[0].equal(load("data:a").train[0])


@pytest.mark.parametrize(
    "shape", [(28, 28), (128, 9), (6, 24), (3, 4), (3, 3, 3), (3, 3, 8), (3, 8, 3), (5, 7, 9), (4, 300, 2)]
)
def test_what_cannot_be_known_is_asked_for(own: OwnData, shape: tuple[int, ...]) -> None:
    own.npz("a", x=RNG.normal(size=(30, *shape)), y=Y)
    with pytest.raises(InvalidRequest, match="the channel axis cannot be told; say `layout`") as caught:
        get_task("data:a")
    for layout in caught.value.problems[0].allowed:
        assert load("data:a", {"layout": layout}).train[0].ndim >= 3


def test_a_layout_says_which_axis_is_which(own: OwnData) -> None:
    """The channel with the ramp stays one channel."""
    x = RNG.normal(size=(30, 9, 6))
    own.npz("a", x=x, y=Y)
    assert load("data:a", {"layout": "NLC"}).input_shape == (6, 9)
    assert load("data:a", {"layout": "NCL"}).input_shape == (9, 6)
    assert load("data:a", {"layout": "NHW"}).input_shape == (1, 9, 6)
    for layout, expected in (("NLC", x.transpose(0, 2, 1)), ("NCL", x), ("NHW", x[:, None])):
        np.testing.assert_array_equal(channels_first(x, layout), expected)  # type: ignore[arg-type]


@pytest.mark.parametrize("layout", ["NCHW", "NCL"])
def test_a_layout_that_does_not_fit_is_refused(own: OwnData, layout: str) -> None:
    own.npz("a", x=RNG.normal(size=(30, 5)), y=Y)
    with pytest.raises(InvalidRequest, match=f"not layout {layout}"):
        get_task("data:a", {"layout": layout})


@given(shape=st.lists(st.integers(1, 40), min_size=2, max_size=3))
@settings(deadline=None)
def test_a_guess_never_depends_on_the_way_round(shape: list[int]) -> None:
    """Channels last, moved first, is guessed as the same channels, or asked for both ways."""

    def channels(x: np.ndarray) -> int | None:  # type: ignore[type-arg]
        try:
            return channels_first(x, layout_of(x, "auto")[0]).shape[1]
        except DataFault:
            return None

    last = np.zeros((2, *shape))
    assert channels(last) == channels(np.moveaxis(last, -1, 1)) or len(shape) == 3


# --- scaling --------------------------------------------------------------------------------------


@pytest.mark.parametrize("whole", [True, False])
def test_a_large_mean_does_not_hide_a_small_deviation(whole: bool) -> None:
    values = 10.0**18 + 1e3 * np.random.default_rng(0).normal(size=(500, 1))
    scaled = Scaler.fit(values.astype(np.int64) if whole else values)(values)
    assert abs(scaled.mean()) < 1e-3
    assert abs(scaled.std() - 1) < 1e-3


def test_rounding_is_no_deviation() -> None:
    values = np.array([[0.3], [0.1 + 0.2]] * 20)
    assert np.abs(Scaler.fit(values)(values)).max() < 1e-12


# --- groups ---------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=50)
@given(
    groups=st.lists(st.integers(0, 12), min_size=20, max_size=120).filter(lambda g: len(set(g)) >= 3),
    seed=st.integers(0, 1000),
    stratified=st.booleans(),
)
def test_no_group_is_in_two_sets(groups: list[int], seed: int, stratified: bool) -> None:
    at = np.array(groups)
    labels = np.arange(len(at)) % 2 if stratified else None
    sets = group_indices(at, 2, seed, labels=labels)
    assert sorted(np.concatenate(sets)) == list(range(len(at)))
    assert all(len(part) for part in sets)
    seen = [set(at[part]) for part in sets]
    assert len(sets) == 3
    assert sum(map(len, seen)) == len(set(groups))
    again = group_indices(at, 2, seed, labels=labels)
    assert all((a == b).all() for a, b in zip(sets, again, strict=True))


@pytest.mark.parametrize("stratified", [False, True])
def test_parts_of_groups_that_differ_in_size_are_near_a_fifth(stratified: bool) -> None:
    """One group of half of all samples, and many small ones: the large one is for training."""
    groups = np.concatenate([np.zeros(100), 1 + np.arange(100) // 5])
    for seed in range(20):
        labels = RNG.permutation(np.arange(200) % 2) if stratified else None
        _, *taken = group_indices(groups, 2, seed, labels=labels)
        assert all(15 <= len(part) <= 50 for part in taken), [len(part) for part in taken]


def test_classes_smaller_than_a_fold_are_split_by_groups_all_the_same() -> None:
    labels = np.repeat(np.arange(5), 4)
    sets = group_indices(np.arange(20), 1, 0, labels=labels)
    assert [len(part) for part in sets] == [16, 4]


def test_groups_of_arrays(own: OwnData) -> None:
    group = np.repeat(np.arange(20), 5)
    own.npz("g", x=np.stack([group, RNG.normal(size=100)], 1).astype(float), y=np.arange(100) % 2, group=group)
    data = load("data:g")
    seen = [set(part[0][:, 0].tolist()) for part in (data.train, data.validation, data.test)]
    assert [len(each) for each in seen] == [12, 4, 4]
    assert len(set.union(*seen)) == 20
    assert "20 groups of array 'group'; none is in two parts" in get_task("data:g").notes


def test_groups_that_cannot_be_kept_whole(own: OwnData) -> None:
    x = RNG.normal(size=(40, 2))
    y = np.arange(40) % 2
    own.npz("few", x=x, y=y, group=y)
    own.npz("short", x=x, y=y, group=y[:10])
    own.npz("both", x=x, y=y, group=y, x_test=x, y_test=y, group_test=y)
    own.npz("some", x=x, y=y, group=y, x_test=x, y_test=y)
    own.npz("unknown", x=x, y=y, group=np.where(np.arange(40) < 3, np.nan, np.arange(40) // 2))
    own.npz("lost", x=x, y=np.repeat([0, 1], 20), group=np.repeat([0, 1, 2], [20, 10, 10]))
    for name, expected in (
        ("few", "2 groups cannot be split into 3 parts"),
        ("short", r"groups \(train\) have shape \(10,\)"),
        ("both", "group 0 is in the parts train and test"),
        ("some", "the test part has no groups"),
        ("unknown", r"groups \(train\) has 3 NaN; give every sample a group"),
        ("lost", "the groups leave 1 classes without a sample to train on"),
    ):
        with pytest.raises(InvalidRequest, match=expected):
            get_task(f"data:{name}")
