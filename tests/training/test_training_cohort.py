"""A trial gives the same answer alone, among others and in any order."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actsearch.schemas import ActivationSpec
from actsearch.tasks import get_task, load
from actsearch.training import Candidate, Cohort, Plan, train

TOLERANCE = 2e-4  # relative, over the first epochs: one step differs by 1e-7, and training magnifies it


def mixed(candidate: Any) -> list[Candidate]:
    """Families, parameters, ways of learning and rates of all kinds, in no order."""
    return [
        candidate("relu", rate=0.01),
        candidate("prelu", rate=0.02, decay=0.1),
        candidate("leaky_relu", slope=0.3, momentum=0.5),
        candidate("rrelu", rate=0.01),
        candidate("gelu", rate=0.005, decay=0.01, scale=0.5),
        candidate("leaky_relu", slope=0.1, rate=0.003),
        candidate("prelu", rate=0.01, learned="scalar", slope=0.1),
        candidate("elu", alpha=0.7, momentum=0.0),
        candidate("elu", alpha=0.7, learned="scalar"),
        candidate("prelu", rate=0.004, slope=0.5),
    ]


def assert_same_curve(one: Any, other: Any) -> None:
    assert one.keys() == other.keys()
    for epoch, metrics in one.items():
        assert dict(metrics) == pytest.approx(dict(other[epoch]), rel=TOLERANCE, abs=1e-6), f"epoch {epoch}"


NETWORKS = [
    ("mlp", {"depth": 2, "width": 12}),
    ("mlp", {"depth": 3, "width": 8, "norm": "batch", "dropout": 0.3}),
    ("mlp", {"depth": 2, "width": 8, "norm": "layer"}),
    ("convnet", {"channels": 3, "stages": 2, "layers": 1, "norm": "batch", "dropout": 0.2}),
    ("convnet", {"channels": 4, "stages": 2, "layers": 1, "norm": "layer"}),
    ("mlp", {"depth": 2, "width": 8, "norm": "batch", "unit": "glu"}),
    ("mlp", {"depth": 2, "width": 8, "unit": "maxout", "pieces": 3}),
    ("convnet", {"channels": 3, "stages": 2, "layers": 1, "unit": "crelu"}),
    ("resnet", {"channels": 2}),
    ("resnet", {"channels": 2, "norm": "none", "order": "post", "dropout": 0.2}),
    ("vit", {"width": 6, "heads": 2, "depth": 1, "dropout": 0.2, "unit": "glu"}),
    ("mlp_mixer", {"width": 5, "depth": 1, "unit": "crelu"}),
]


@pytest.mark.parametrize(
    "training",
    [
        {"optimizer": "adamw", "schedule": "cosine"},
        {"optimizer": "sgd", "gradient_clip": 1.0},
        {"optimizer": "adam", "schedule": "one_cycle"},
    ],
    ids=lambda t: t["optimizer"],
)
@pytest.mark.parametrize(("architecture", "parameters"), NETWORKS)
def test_alone_and_in_a_cohort_a_trial_learns_the_same(
    train_toy: Any, candidate: Any, architecture: str, parameters: dict[str, Any], training: dict[str, Any]
) -> None:
    candidates = mixed(candidate)

    together = train_toy(candidates, architecture, parameters, epochs=2, **training)

    for place, one in enumerate(candidates):
        alone = train_toy([one], architecture, parameters, epochs=2, **training)
        assert_same_curve(alone.curves[0], together.curves[place])
        expected, found = dict(alone.outcomes[0].metrics), dict(together.outcomes[place].metrics)
        for name in ("dead_fraction_by_site", "activation_sparsity_by_site", "activation_sparsity"):
            assert found.pop(name) == pytest.approx(expected.pop(name), abs=0.01 if "sparsity" in name else 1e-6)
        assert (expected.pop("environment")["cohort_size"], found.pop("environment")["cohort_size"]) == (1, 10)
        assert expected.pop("seconds") > 0 < found.pop("seconds")
        assert found == pytest.approx(expected, rel=5 * TOLERANCE, abs=1e-5)


@pytest.mark.parametrize(
    ("architecture", "parameters"),
    [
        ("mlp", {"depth": 2, "width": 8, "unit": "meta_acon"}),
        ("mlp", {"depth": 2, "width": 8, "unit": "dy_relu", "norm": "batch"}),
        ("convnet", {"channels": 3, "stages": 2, "layers": 1, "unit": "dy_relu"}),
        ("convnet", {"channels": 3, "stages": 2, "layers": 1, "unit": "frelu", "norm": "batch"}),
        ("convnet", {"channels": 3, "stages": 2, "layers": 1, "unit": "meta_acon", "norm": "layer"}),
        ("resnet", {"channels": 2, "unit": "frelu"}),
        ("resnet", {"channels": 2, "unit": "crelu", "order": "post", "norm": "none"}),
        ("resnet", {"channels": 3, "unit": "maxout", "pieces": 3}),
    ],
)
def test_units_with_weights_of_their_own_learn_the_same_in_a_cohort(
    train_toy: Any, candidate: Any, architecture: str, parameters: dict[str, Any]
) -> None:
    candidates = mixed(candidate)[:7:2]

    # Adam would blow up the rounding noise of gradients that are zero: of meta_acon's sharpness around relu, say.
    together = train_toy(candidates, architecture, parameters, epochs=2, optimizer="sgd")

    for place, one in enumerate(candidates):
        alone = train_toy([one], architecture, parameters, epochs=2, optimizer="sgd")
        assert_same_curve(alone.curves[0], together.curves[place])


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(range(10)))
def test_the_order_in_the_cohort_does_not_matter(train_toy: Any, candidate: Any, order: list[int]) -> None:
    candidates = mixed(candidate)
    straight = train_toy(candidates, epochs=2)

    shuffled = train_toy([candidates[place] for place in order], epochs=2)

    for row, place in enumerate(order):
        assert_same_curve(straight.curves[place], shuffled.curves[row])


def test_each_site_may_have_its_own_family(train_toy: Any) -> None:
    specs = [ActivationSpec(family=name) for name in ("relu", "tanh", "prelu", "gelu")]
    candidates = [
        Candidate({"layer1": specs[i], "layer2": specs[j], "stage3": specs[k]}, 0.01, 0.0, 0.9)
        for i, j, k in [(0, 1, 2), (2, 1, 0), (3, 2, 1), (1, 1, 2), (0, 3, 3), (0, 1, 0)]
    ]

    together = train_toy(candidates, parameters={"depth": 3, "width": 8})

    for place, one in enumerate(candidates):
        alone = train_toy([one], parameters={"depth": 3, "width": 8})
        assert_same_curve(alone.curves[0], together.curves[place])


def test_splines_of_any_number_of_knots_train_in_one_cohort(train_toy: Any, candidate: Any) -> None:
    candidates = [
        candidate("spline", rate=0.02, knots=9),
        candidate("relu"),
        candidate("spline", rate=0.02, knots=24, learned="channel"),
        candidate("spline", rate=0.02, knots=6),
        candidate("spline", rate=0.01, knots=32, learned="fixed", c3=0.5),
        candidate("spline", rate=0.01, knots=5, learned="fixed", c3=0.5),
    ]

    together = train_toy(candidates)

    for place, one in enumerate(candidates):
        alone = train_toy([one])
        assert_same_curve(alone.curves[0], together.curves[place])
        assert together.outcomes[place].metrics["parameters"] == alone.outcomes[0].metrics["parameters"]


def test_one_trials_divergence_does_not_touch_the_others(train_toy: Any, candidate: Any) -> None:
    healthy = mixed(candidate)
    sick = candidate("relu", rate=1e30)

    together = train_toy([*healthy[:3], sick, *healthy[3:]], optimizer="sgd")
    apart = train_toy(healthy, optimizer="sgd")

    assert [outcome.state for outcome in together.outcomes] == ["complete"] * 3 + ["failed"] + ["complete"] * 7
    failed = together.outcomes[3]
    assert failed.reason == "diverged"
    assert "epoch 1" in failed.detail
    assert 3 not in together.curves
    for place in range(10):
        assert_same_curve(apart.curves[place], together.curves[place + (place >= 3)])


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_pruned_trials_leave_and_the_others_go_on_unchanged(train_toy: Any, candidate: Any, optimizer: str) -> None:
    leaves = {0: 1, 3: 1, 9: 2, 4: 3, 7: 2}
    network = {"depth": 2, "width": 8, "norm": "batch", "dropout": 0.2}

    pruned = train_toy(
        mixed(candidate),
        parameters=network,
        keep=lambda epoch, place: leaves.get(place) != epoch,
        epochs=4,
        optimizer=optimizer,
    )
    whole = train_toy(mixed(candidate), parameters=network, epochs=4, optimizer=optimizer)

    for place in range(10):
        last = leaves.get(place, 4)
        assert list(pruned.curves[place]) == list(range(1, last + 1))
        assert_same_curve({e: m for e, m in whole.curves[place].items() if e <= last}, pruned.curves[place])
        outcome = pruned.outcomes[place]
        assert outcome.state == ("pruned" if place in leaves else "complete")
        assert outcome.metrics["epochs"] == last
        assert ("test_accuracy" in outcome.metrics) == (place not in leaves)


@pytest.mark.parametrize(
    ("architecture", "parameters", "name", "size"),
    [
        # A loss that differentiates the network itself.
        ("mlp", {"depth": 2, "width": 8}, "pinn_poisson", {"samples": 128}),
        ("transformer_lm", {"depth": 1, "width": 6, "heads": 2}, "text", {"characters": 10_000, "context": 8}),
    ],
)
def test_tasks_with_inputs_and_losses_of_their_own(
    architecture: str, parameters: dict[str, Any], name: str, size: dict[str, Any], candidate: Any
) -> None:
    task = get_task(name)
    dataset = load(name, size)
    candidates = [candidate(f) for f in ("tanh", "gelu", "prelu", "tanh")]
    plan = Plan(_training())

    def curve(some: list[Candidate]) -> list[Any]:
        found: list[Any] = []
        train(
            Cohort(architecture, parameters, some),
            task,
            dataset,
            plan,
            lambda rung: (found.append(list(rung.metrics)), [True] * len(rung.positions))[1],
        )
        return found

    together = curve(candidates)
    for place, one in enumerate(candidates):
        for alone, rung in zip(curve([one]), together, strict=True):
            assert dict(rung[place]) == pytest.approx(dict(alone[0]), rel=TOLERANCE)


def _training() -> Any:
    from actsearch.schemas import Training

    return Training(epochs=2, batch_size=32, learning_rate=0.01)


def test_global_random_numbers_are_left_alone(train_toy: Any, candidate: Any) -> None:
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    for candidates in ([candidate("rrelu")], [candidate("rrelu"), candidate("relu")]):
        train_toy(candidates, parameters={"depth": 2, "width": 8, "dropout": 0.5}, epochs=1)
    assert torch.equal(torch.rand(3), expected)


def test_dropout_and_noise_follow_the_seed(train_toy: Any, candidate: Any) -> None:
    def final(seed: int) -> float:
        cohort = [candidate("rrelu"), candidate("relu")]
        return float(
            train_toy(cohort, parameters={"depth": 2, "width": 8, "dropout": 0.5}, seed=seed).curves[1][3]["train_loss"]
        )

    assert final(1) == final(1) != final(2)


def test_digits_are_learned(candidate: Any) -> None:
    task, dataset = get_task("digits"), load("digits", {})
    candidates = [candidate(f, rate=0.003) for f in ("relu", "elu", "prelu", "tanh")]
    plan = Plan(_training().model_copy(update={"epochs": 15}), report_every=15)

    outcomes = train(
        Cohort("mlp", {"depth": 2, "width": 32}, candidates), task, dataset, plan, lambda r: [True] * len(r.positions)
    )

    assert all(outcome.metrics["test_accuracy"] > 0.9 for outcome in outcomes)
    assert all(0 <= outcome.metrics["dead_fraction"] < 0.5 for outcome in outcomes)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_among_sixty_three_others_a_trial_learns_the_same(train_toy: Any, candidate: Any, optimizer: str) -> None:
    names = ["relu", "leaky_relu", "elu", "gelu", "prelu", "tanh", "rrelu", "swish"]
    candidates = [
        candidate(names[place % 8], rate=0.002 * (1 + place % 5), decay=0.01 * (place % 3), scale=1 - place / 200)
        for place in range(64)
    ]

    together = train_toy(candidates, epochs=2, optimizer=optimizer)

    for place in (0, 6, 12, 29, 63):
        alone = train_toy([candidates[place]], epochs=2, optimizer=optimizer)
        assert_same_curve(alone.curves[0], together.curves[place])


def test_a_placement_by_layer_mixes_the_order_of_families(train_toy: Any) -> None:
    specs = [ActivationSpec(family=name) for name in ("relu", "tanh", "prelu", "gelu", "rrelu")]
    candidates = [
        Candidate({"layer1": specs[p % 5], "layer2": specs[(p * 3) % 5], "layer3": specs[(p * p) % 5]}, 0.01, 0.0, 0.9)
        for p in range(12)
    ]

    together = train_toy(candidates, parameters={"depth": 3, "width": 8}, epochs=2, optimizer="sgd")

    for place, one in enumerate(candidates):
        alone = train_toy([one], parameters={"depth": 3, "width": 8}, epochs=2, optimizer="sgd")
        assert_same_curve(alone.curves[0], together.curves[place])
