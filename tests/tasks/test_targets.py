"""What targets are taken as, by the one rule, and what each kind makes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from actsearch.errors import InvalidRequest
from actsearch.schemas import JobRequest
from actsearch.study import prepare
from actsearch.tasks import describe, get_task, load
from actsearch.tasks.kinds import KINDS, Kind
from actsearch.tasks.splits import stratified_holdout
from actsearch.tasks.targets import UnfitTargets, as_kind, take_targets

if TYPE_CHECKING:
    from conftest import OwnData

RNG = np.random.default_rng(0)
ONE_HOT = np.eye(4)[RNG.integers(0, 4, 60)]
LABELS = RNG.integers(0, 2, (60, 4))


@pytest.mark.parametrize(
    ("targets", "kind", "words"),
    [
        (np.array(["cat", "dog"] * 9), "classification", "names of classes"),
        (RNG.integers(0, 2, 50) > 0, "classification", "True and False"),
        (np.arange(60) % 10, "classification", "10 different whole numbers from 0 to 9 without gaps"),
        (np.arange(60) % 10, "classification", "`count` if they are counts"),
        (np.arange(60)[:, None] % 10, "classification", "10 different"),
        (np.arange(5000) % 500, "classification", "500 different"),
        (np.array([10, 20, 40] * 9), "classification", "3 different whole numbers from 10 to 40"),
        (np.arange(400), "regression", "no two alike: if they are identifiers"),
        (np.arange(400) * 7 % 97 + 18, "regression", "`classification` if they are classes"),
        (RNG.poisson(20, 300) * 3, "regression", "`count` if they are counts"),
        (np.array([0.0, 1.0] * 9), "classification", "only 0 and 1; `kind`: `regression`"),
        (np.zeros(9), "regression", "all whole"),
        (np.arange(60) % 5 * 1.0, "regression", "`classification` if they are classes"),
        (RNG.normal(size=60), "regression", "numbers with decimals"),
        (ONE_HOT, "classification", "one-hot rows; `kind`: `multilabel`"),
        (ONE_HOT.astype(int), "classification", "one-hot rows"),
        (LABELS, "multilabel", "4 columns of 0 and 1"),
        (LABELS > 0, "multilabel", "4 columns of 0 and 1"),
        (RNG.dirichlet(np.ones(3), 20), "regression", "each row of which sums to 1"),
        (RNG.normal(size=(60, 3)), "regression", "3 columns of numbers"),
        (RNG.integers(0, 9, (60, 3)), "regression", "`count`"),
        (RNG.normal(size=(60, 3, 5)), "regression", "shape (3, 5) per sample"),
    ],
)
def test_what_is_guessed_is_said(targets: Any, kind: Kind, words: str) -> None:
    taken = take_targets(targets)
    assert taken.kind == kind
    assert words in str(taken)


@pytest.mark.parametrize(
    ("targets", "outputs", "kind"),
    [
        (np.arange(60) % 2, (1,), "binary"),
        (np.arange(60) % 2, (), "binary"),
        (np.arange(60) % 2 * 1.0, (1,), "binary"),
        (np.arange(60) % 2, (2,), "classification"),
        (np.arange(60), (100,), "classification"),
        (np.arange(60) % 5, (1,), "regression"),
        (np.arange(60) % 5, (), "regression"),
        (RNG.normal(size=60), (3,), "regression"),
    ],
)
def test_the_users_network_tells_too(targets: Any, outputs: tuple[int, ...], kind: Kind) -> None:
    assert take_targets(targets, outputs=outputs).kind == kind


@given(
    targets=arrays.arrays(
        st.sampled_from([np.int64, np.float64, np.bool_, np.uint8]),
        arrays.array_shapes(min_dims=1, max_dims=2, max_side=12),
        elements={"allow_nan": False, "allow_infinity": False},
    ).filter(lambda y: y.size > 0)
)
@settings(deadline=None)
def test_what_is_guessed_can_be_done_and_does_not_depend_on_order_or_an_axis_of_one(targets: Any) -> None:
    taken = take_targets(targets)
    as_kind(targets, taken.kind)
    assert take_targets(targets[::-1]) == taken
    if targets.ndim == 1:
        assert take_targets(targets[:, None]) == taken


@pytest.mark.parametrize("kind", KINDS)
def test_it_can_be_said_otherwise(kind: Kind) -> None:
    assert take_targets(RNG.normal(size=9), kind).kind == kind


@pytest.mark.parametrize(
    ("targets", "kind", "words"),
    [
        (np.array([0.0, 1.5]), "classification", "the target of sample 1 .* is 1.5; use `regression`"),
        (np.array([0, 2, 1]), "binary", "binary has 2 classes; found 3"),
        (np.array([[0, 1], [1, 2]]), "multilabel", "a label is 0 or 1; the target of sample 1 .* is 2"),
        (np.array([3, -1]), "count", "a count is 0, 1, 2 ...; the target of sample 1 .* is -1"),
        (np.array([0.5, 1]), "count", "is 0.5"),
        (np.array(["a", "b"]), "regression", "regression needs numbers; found <U1"),
        (np.array([[0, 1], [1, 1]]), "classification", "give one class per sample, or one-hot rows"),
    ],
)
def test_what_targets_cannot_be_is_refused(targets: Any, kind: Kind, words: str) -> None:
    with pytest.raises(UnfitTargets, match=words):
        as_kind(targets, kind)


def test_one_hot_rows_are_classes() -> None:
    assert as_kind(ONE_HOT, "classification").tolist() == ONE_HOT.argmax(1).tolist()


# --- own data in the service ----------------------------------------------------------------------


def own_request(kind: str, name: str = "d") -> JobRequest:
    return JobRequest.model_validate(
        {"task": {"name": f"data:{name}", "parameters": {"kind": kind}}, "space": {"families": ["relu"]}}
    )


@pytest.mark.parametrize(
    ("kind", "y", "outputs", "metric"),
    [
        ("classification", np.arange(60) % 4, 4, "accuracy"),
        ("count", np.arange(60) % 4, 1, "poisson_deviance"),
        ("regression", np.arange(60) % 4, 1, "mse"),
        ("binary", np.array(["no", "yes"] * 30), 1, "accuracy"),
        ("multilabel", LABELS, 4, "loss"),
        ("classification", ONE_HOT, 4, "accuracy"),
        ("auto", ONE_HOT, 4, "accuracy"),
        ("auto", LABELS, 4, "loss"),
        ("auto", np.arange(60)[:, None] % 4, 4, "accuracy"),
    ],
)
def test_a_request_may_say_the_kind(own: OwnData, kind: str, y: Any, outputs: int, metric: str) -> None:
    own.npz("d", x=RNG.normal(size=(60, 3)), y=y)
    prepared = prepare(own_request(kind))
    task, data = (f("data:d", {"kind": kind}) for f in (get_task, load))
    assert data.outputs == outputs
    assert prepared.objective.metric == task.metric == metric
    assert prepared.notes == task.notes
    assert task.notes[0].startswith(f"targets: {task.kind} (")
    measured = task.measured(torch.zeros(len(data.test[0]), outputs), data.test, task.directions)
    assert set(measured) == set(task.directions)
    assert task.loss(lambda x: torch.zeros(len(x), outputs), data.train).shape == ()


def test_counts_are_not_scaled(own: OwnData) -> None:
    y = RNG.poisson(3, 60)
    own.npz("d", x=RNG.normal(size=(60, 3)), y=y)
    data = load("data:d", {"kind": "count"})
    found = torch.cat([part[1] for part in (data.train, data.validation, data.test)]).flatten()
    assert sorted(found.tolist()) == sorted(y.tolist())


def test_a_kind_that_does_not_fit_is_named(own: OwnData) -> None:
    own.npz("d", x=RNG.normal(size=(60, 3)), y=RNG.normal(size=60))
    for kind, words in (("classification", "d.npz, array 'y' \\(train\\): a class is"), ("many", "choices")):
        with pytest.raises(InvalidRequest, match=words) as caught:
            prepare(own_request(kind))
        assert [problem.field for problem in caught.value.problems] == ["task.parameters.kind"]


def test_class_counts_are_told(own: OwnData) -> None:
    own.npz("d", x=RNG.normal(size=(60, 3)), y=np.array(["cat"] * 50 + ["dog"] * 10))
    assert "training samples by class: cat 30, dog 6" in describe(get_task("data:d"), []).notes


# --- stratified hold-out --------------------------------------------------------------------------


@given(
    labels=st.lists(st.integers(0, 5), min_size=2, max_size=60),
    share=st.floats(0.05, 0.9),
    seed=st.integers(0, 2**31 - 1),
)
@settings(deadline=None)
def test_a_stratified_holdout_keeps_shares(labels: list[int], share: float, seed: int) -> None:
    y = np.array(labels)
    size = min(max(1, round(share * len(y))), len(y) - 1)
    rest, taken = stratified_holdout(y, "classification", seed, size=size)
    assert sorted([*rest, *taken]) == list(range(len(y)))
    assert len(taken) == size
    counts, out = np.bincount(y), np.bincount(y[taken], minlength=max(labels) + 1)
    if size <= (np.maximum(counts - 1, 0)).sum():
        assert (out[counts > 0] < counts[counts > 0]).all()  # every class stays in training
    if (counts * size / len(y))[counts > 0].min() >= 1 and counts[counts > 0].min() > 1 and size <= len(y) / 2:
        assert np.abs(out - counts * size / len(y)).max() <= 1
    again = stratified_holdout(y, "classification", seed, size=size)
    assert taken.tolist() == again[1].tolist()


def test_quantities_are_held_out_at_random() -> None:
    rest, taken = stratified_holdout(np.arange(10.0), "regression", 0, size=3)
    assert (len(rest), len(taken)) == (7, 3)
