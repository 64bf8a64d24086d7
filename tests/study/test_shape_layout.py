"""Values as shares of their ranges and back, points as rows of numbers, and where candidates are drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from actsearch.schemas import JobRequest
from actsearch.study import prepare
from actsearch.study.proposing.shape.candidates import WELL_KNOWN, pool, well_known
from actsearch.study.proposing.shape.features import WIDTH, features
from actsearch.study.proposing.shape.layout import Layout, flattened, from_share, layout_of, to_share

shares = st.floats(0, 1)
ends = st.tuples(st.floats(0.001, 5), st.floats(0.1, 50)).map(lambda ends: (ends[0], ends[0] + ends[1]))


@given(shares, ends)
def test_a_share_of_a_range_is_that_far_in_it(share: float, ends: tuple[float, float]) -> None:
    low, high = ends
    assert from_share(share, FloatDistribution(low, high)) == pytest.approx(low + share * (high - low))
    assert from_share(share, FloatDistribution(low, high, log=True)) == pytest.approx(low * (high / low) ** share)


@given(shares, ends, st.booleans())
def test_a_share_comes_back(share: float, ends: tuple[float, float], log: bool) -> None:
    dist = FloatDistribution(*ends, log=log)
    assert to_share(from_share(share, dist), dist) == pytest.approx(share, abs=1e-6)


@given(shares, st.integers(-5, 5), st.integers(1, 20), st.integers(1, 4))
def test_whole_and_stepped_numbers_are_the_nearest_of_their_range(
    share: float, low: int, steps: int, step: int
) -> None:
    size = steps * step
    value = from_share(share, IntDistribution(low, low + size, step=step))
    assert isinstance(value, int)
    assert value in range(low, low + size + 1, step)
    assert abs(value - (low + share * size)) <= step / 2 + 1e-9
    stepped = from_share(share, FloatDistribution(low, low + size / 4, step=step / 4))
    assert abs(stepped - (low + share * size / 4)) <= step / 8 + 1e-9
    assert (stepped - low) / (step / 4) == pytest.approx(round((stepped - low) / (step / 4)))


@given(shares, st.integers(1, 7))
def test_choices_have_equal_shares(share: float, count: int) -> None:
    dist = CategoricalDistribution([f"c{i}" for i in range(count)])
    assert from_share(share, dist) == f"c{min(int(share * count), count - 1)}"
    for choice in dist.choices:
        assert from_share(to_share(choice, dist), dist) == choice
        assert to_share(choice, dist) == pytest.approx((int(str(choice)[1:]) + 0.5) / count)


@pytest.mark.parametrize(
    ("value", "dist", "share"),
    [
        (3.0, FloatDistribution(1, 5), 0.5),
        (10.0, FloatDistribution(1, 100, log=True), 0.5),
        (3, IntDistribution(1, 5), 0.5),
        (4, IntDistribution(1, 16, log=True), 0.5),
        (-1.0, FloatDistribution(1, 5), 0.0),
        (-1.0, FloatDistribution(1, 5, log=True), 0.0),
        (9.0, FloatDistribution(1, 5), 1.0),
        (9.0, FloatDistribution(1, 5, log=True), 1.0),
        (2.0, FloatDistribution(2, 2), 0.5),
        (2, IntDistribution(2, 2), 0.5),
        ("z", CategoricalDistribution("ab"), 0.5),
    ],
)
def test_where_a_value_lies(value: Any, dist: BaseDistribution, share: float) -> None:
    assert to_share(value, dist) == pytest.approx(share)


def test_other_distributions_are_refused() -> None:
    with pytest.raises(TypeError, match="no value of"):
        from_share(0.5, object())  # type: ignore[arg-type]


def prepared(**space: Any) -> Any:
    return prepare(JobRequest.model_validate({"task": "digits", "sampler": "shape", "space": space}))


def layout(**space: Any) -> Layout:
    found = prepared(**space).space
    return layout_of(found, flattened(found))


BESIDE: dict[str, Any] = {
    "training": {"learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}},
    "architecture": {"norm": {"choices": ["none", "batch", "layer"]}},
}


def test_a_point_as_numbers() -> None:
    found = layout(families=["relu", "elu"], **BESIDE)
    point = {"family": "elu", "elu.alpha": 0.7, "training.learning_rate": 1e-3, "architecture.norm": "batch"}
    shapes, plain = found.encode([point, {"family": "relu"}])
    assert shapes.shape == (2, WIDTH)
    np.testing.assert_allclose(shapes[0], features([("elu", None, {"alpha": 0.7})])[0])
    np.testing.assert_allclose(shapes[1], features([("relu", None, {})])[0])
    rate = list(found.plain).index("training.learning_rate")
    wanted = {"training.learning_rate": [0.5], "architecture.norm": [0, 1 / np.sqrt(2), 0]}
    np.testing.assert_allclose(plain[0], np.concatenate([wanted[n] for n in found.plain]), atol=1e-9)
    missing = {"training.learning_rate": [0.5], "architecture.norm": [0, 0, 0]}
    np.testing.assert_allclose(plain[1], np.concatenate([missing[n] for n in found.plain]))
    assert rate in (0, 1)


def test_groups_stand_side_by_side_and_one_that_is_lacking_in_the_middle() -> None:
    found = layout(families=["relu", "tanh"], placement="layer", architecture={"depth": {"low": 1, "high": 3}})
    assert len(found.groups) == 3
    first, second, third = (f"{prefix}family" for prefix in found.groups)
    shapes, _ = found.encode([{first: "relu", second: "tanh", "architecture.depth": 2}])
    rows = features([("relu", None, {}), ("tanh", None, {})])
    np.testing.assert_allclose(shapes[0], np.concatenate([*rows, np.zeros(WIDTH)]) / np.sqrt(3))
    used = found.used({first: "relu", second: "tanh", third: "tanh", "architecture.depth": 2})
    assert used == {first: "relu", second: "tanh", "architecture.depth": 2}
    assert found.activations(used) == {first: "relu", second: "tanh"}


def test_what_is_given_replaces_a_family_with_its_hyperparameters() -> None:
    found = layout(families=["relu", "elu", "leaky_relu"], **BESIDE)
    point = {"family": "elu", "elu.alpha": 0.7, "training.learning_rate": 1e-3}
    given_ = {"family": "leaky_relu", "leaky_relu.slope": 0.1}
    assert found.fixed(point, given_) == {**given_, "training.learning_rate": 1e-3}
    assert found.fixed(point, {"training.learning_rate": 1e-2}) == {**point, "training.learning_rate": 1e-2}


def test_whole_numbers_of_activations_are_plain() -> None:
    found = layout(families=["relu", {"name": "spline", "parameters": {"knots": {"low": 5, "high": 9}}}])
    _, plain = found.encode([{"family": "relu"}])
    values = {"spline.knots": 7} | {name: 0.0 for name in found.own("", "spline") if name != "spline.knots"}
    assert [*found._whole()] == ["spline.knots"]
    assert plain.tolist() == [[0.5]]
    assert found.encode([{"family": "spline", **values, "spline.knots": 9}])[1].tolist() == [[1.0]]


def test_well_known_activations_come_at_their_defaults_in_the_middle_of_everything_else() -> None:
    found = layout(families=["leaky_relu", "elu", "snake", "relu"], **BESIDE)
    points = list(well_known(found))
    assert [point["family"] for point in points] == [n for n in WELL_KNOWN if n in ("leaky_relu", "elu", "relu")]
    by_family = {point["family"]: point for point in points}
    assert by_family["elu"]["elu.alpha"] == pytest.approx(1.0)
    assert by_family["leaky_relu"]["leaky_relu.slope"] == pytest.approx(0.01)
    for point in points:
        assert point["training.learning_rate"] == pytest.approx(1e-3)
        assert point["architecture.norm"] == "batch"
    assert list(well_known(Layout((), {}, {"x": FloatDistribution(0, 1)}))) == []


def test_half_of_the_candidates_are_near_the_best_and_the_others_from_everywhere() -> None:
    found = layout(families=["relu", "tanh", "elu", "gelu"], **BESIDE)
    best = {"family": "elu", "elu.alpha": 1.0, "training.learning_rate": 1e-3, "architecture.norm": "layer"}
    points = pool(found, [best], 4000, np.random.RandomState(0))
    assert len({str(sorted(point.items())) for point in points}) == len(points)
    assert 3900 < len(points) <= 4000
    # Of the near half, 70% keep the family, and a fourth of the other 30% and of the far half have it by chance.
    assert np.mean([p["family"] == "elu" for p in points]) == pytest.approx(0.5 * (0.7 + 0.3 / 4) + 0.5 / 4, abs=0.03)
    # 85% of the near half keep a choice; the others and the far half draw one of three.
    kept = np.mean([p["architecture.norm"] == "layer" for p in points])
    assert kept == pytest.approx(0.5 * (0.85 + 0.15 / 3) + 0.5 / 3, abs=0.03)
    far = pool(found, [], 4000, np.random.RandomState(0))
    assert np.mean([p["family"] == "elu" for p in far]) == pytest.approx(1 / 4, abs=0.01)
    steps = np.array(
        [to_share(p["training.learning_rate"], found.plain["training.learning_rate"]) - 0.5 for p in points]
    )
    # Steps of 0.03, 0.1 and 0.3 standard deviations in turn, half of the time; else anywhere in [-0.5, 0.5].
    assert np.mean(np.abs(steps) < 0.015) == pytest.approx(0.5 * (0.383 + 0.119 + 0.040) / 3 + 0.5 * 0.03, abs=0.02)
    assert np.abs(steps).max() <= 0.5


def test_every_family_is_among_few_candidates() -> None:
    names = ["relu", "tanh", "elu", "gelu", "silu", "mish"]
    points = pool(layout(families=names), [], 6, np.random.RandomState(1))
    assert sorted(point["family"] for point in points) == sorted(names)


def test_a_step_from_a_point_that_lacks_a_number_draws_it() -> None:
    found = layout(families=["relu", "elu"], **BESIDE)
    points = pool(found, [{"family": "gone"}], 400, np.random.RandomState(2))[:200]
    assert {point["family"] for point in points} == {"relu", "elu"}
    drawn = [to_share(p["training.learning_rate"], found.plain["training.learning_rate"]) for p in points]
    assert np.mean(drawn) == pytest.approx(0.5, abs=0.08)
    assert np.std(drawn) == pytest.approx(np.sqrt(1 / 12), abs=0.05)
