"""What a search in one's own process says in the end: the verdict, the front of several objectives, why it stopped."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from actsearch.activations import Activation
from actsearch.inprocess import LocalTrial, SearchResult, search
from actsearch.schemas import ActivationSpec, Direction, Ending, ObjectiveInfo, Outcome, StopRule

torch.set_num_threads(1)

WAVE: dict[str, Any] = {"epochs": 15, "batch_size": 32, "optimizer": "adam", "seed": 2}


def wave(samples: int = 200, seed: int = 0) -> tuple[Tensor, Tensor]:
    x = torch.rand(samples, 1, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return x, torch.sin(9 * x)


def network(act: Any) -> nn.Module:
    return nn.Sequential(nn.Linear(1, 24), act(), nn.Linear(24, 24), act(), nn.Linear(24, 1))


SINE = {"name": "sine", "parameters": {"omega": 4.0}}


@pytest.fixture(scope="module")
def confirmed() -> SearchResult:
    """A wave that sines learn and ReLU does not in so short a time."""
    confirmation = {"seeds": 8, "finalists": 2}
    families = [SINE, "tanh", "relu"]
    return search(
        network, wave(), test_data=wave(seed=1), families=families, trials=9, learning_rate=(3e-3, 3e-2),
        confirmation=confirmation, **WAVE,
    )  # fmt: skip


def test_a_clear_winner_is_better_than_the_baseline_and_its_twin(confirmed: SearchResult) -> None:
    verdict = confirmed.verdict
    assert verdict is not None
    assert verdict.outcome is Outcome.better
    assert verdict.metric == "mse"
    assert confirmed.winner.family == "sine"
    assert confirmed.winner.number == verdict.winner
    first = next(arm for arm in verdict.finalists if arm.trial == verdict.winner)
    assert first.test is not None
    assert first.test.wins == first.test.pairs == len(verdict.seeds)
    assert WAVE["seed"] not in verdict.seeds


def test_it_is_said_in_plain_words_and_first(confirmed: SearchResult) -> None:
    first, second = str(confirmed).splitlines()[:2]
    assert first.startswith(f"verdict: sine (trial {confirmed.winner.number}) against relu ")
    assert " on test data: better by" in first
    assert second == f"use: sine (trial {confirmed.winner.number})"
    assert "torch.sin" in confirmed.snippet()


def test_the_winners_network_is_one_of_those_that_were_compared(confirmed: SearchResult) -> None:
    assert confirmed.verdict is not None
    assert confirmed.winner_module is confirmed.confirmed_module
    assert confirmed.winner_module is not None
    x, y = wave(seed=1)
    with torch.no_grad():
        error = float((confirmed.winner_module(x) - y).square().mean())
    arm = next(one for one in confirmed.verdict.finalists if one.trial == confirmed.verdict.winner)
    assert arm.test is not None
    assert error < arm.test.candidate * 3
    assert error < arm.test.baseline


def test_the_baseline_gets_its_share_of_the_search(confirmed: SearchResult) -> None:
    """Every third trial of three families, with learning rates of its own; the best of them stands for it."""
    own = [trial for trial in confirmed.trials if trial.is_baseline]
    assert {0, 3, 6} <= {trial.number for trial in own}
    assert len({trial.parameters["training.learning_rate"] for trial in own}) == len(own)
    complete = [trial for trial in own if trial.state == "complete"]
    assert confirmed.baseline is min(complete, key=lambda trial: trial.value or 0.0)
    assert confirmed.verdict is not None
    assert confirmed.verdict.baseline.trial == confirmed.baseline.number


def test_the_baseline_under_another_name_ends_in_no_difference() -> None:
    """With learning rates of its own: only the twin shows that they, not the function, are the difference."""
    families = [{"name": "expression", "expression": "max(x, 0)"}]
    rates = {"learning_rate": (1e-4, 3e-2), "confirmation": {"seeds": 7}}
    found = search(network, wave(), families=families, trials=6, **rates, **WAVE)
    assert found.verdict is not None
    assert found.verdict.outcome is Outcome.no_difference
    assert found.winner.is_baseline
    assert "no difference shown" in str(found)


def test_a_search_of_the_baseline_alone_has_nothing_to_compare() -> None:
    found = search(network, wave(), families=["relu"], trials=2, confirmation={}, **WAVE)
    assert found.verdict is not None
    assert found.verdict.ending is Ending.nothing_to_compare
    assert found.winner_module is found.best_module


def test_without_test_data_a_part_is_kept_from_the_search_for_the_verdict() -> None:
    seen: list[int] = []

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        seen.append(len(targets))
        return (outputs - targets).square().mean()

    keywords = WAVE | {"epochs": 1, "batch_size": 1000}
    search(network, wave(100), loss=loss, families=["tanh"], trials=2, confirmation={"seeds": 2}, **keywords)
    assert max(seen) == 60  # and 20 each for validation and test
    seen.clear()
    found = search(network, wave(100), loss=loss, families=["tanh"], trials=2, **keywords)
    assert max(seen) == 80
    assert found.verdict is None
    assert str(found).startswith("no verdict")


def test_a_finalist_that_fails_on_fresh_seeds_is_never_better() -> None:
    first_weights: list[float] = []

    class Fragile(nn.Module):
        """Gives NaN with the identity and other weights than those of the search."""

        def __init__(self, act: Any) -> None:
            super().__init__()
            self.act = act()
            self.layers = nn.Sequential(nn.Linear(1, 4), self.act, nn.Linear(4, 1))
            is_identity = isinstance(self.act, Activation) and self.act.spec.family == "identity"
            if is_identity:
                first_weights.append(float(self.layers[0].weight.detach()[0, 0]))
            self.factor = torch.nan if is_identity and first_weights[0] != first_weights[-1] else 1.0

        def forward(self, x: Tensor) -> Tensor:
            return self.layers(x) * self.factor

    found = search(
        Fragile, wave(40), families=["identity"], trials=2, confirmation={"seeds": 2, "most_seeds": 2},
        **WAVE | {"epochs": 1},
    )  # fmt: skip
    assert found.verdict is not None
    assert [(arm.family, arm.failed) for arm in found.verdict.finalists] == [("identity", 2)]
    assert found.verdict.baseline.failed == 0
    assert found.verdict.outcome is Outcome.no_difference


def test_several_objectives_make_a_front() -> None:
    found = search(
        network, wave(), families=["relu", SINE, "tanh"], trials=9, learning_rate=(1e-3, 3e-2),
        objectives=[{"metric": "mse"}, {"metric": "activation_cost"}], **WAVE,
    )  # fmt: skip
    front = found.pareto()
    assert front[0] is found.best
    assert {trial.state for trial in found.trials} == {"complete"}
    costs = [trial.values["activation_cost"] for trial in front]
    assert costs == sorted(costs, reverse=True)
    assert len(set(costs)) == len(costs) > 1
    assert front[-1].family == "relu"


def trial(number: int, *values: float) -> LocalTrial:
    spec = {"network": ActivationSpec(family="relu")}
    named = dict(zip("ab", values, strict=True))
    return LocalTrial(number, "complete", values[0], number == 0, "relu", spec, {}, {}, named)


def test_the_front_leaves_out_what_is_beaten_or_equalled() -> None:
    trials = [trial(0, 1.0, 5.0), trial(1, 1.0, 3.0), trial(2, 1.0, 3.0), trial(3, 0.5, 2.0), trial(4, 0.7, 2.5)]
    objectives = [
        ObjectiveInfo(metric="a", direction=Direction.maximize),
        ObjectiveInfo(metric="b", direction=Direction.minimize),
    ]
    assert [one.number for one in SearchResult(objectives, trials, None).pareto()] == [1, 4, 3]


@pytest.mark.parametrize(
    ("budget", "rule", "most"),
    [
        ({"target": 100.0}, StopRule.target, 1),
        ({"patience": 2}, StopRule.patience, 30),
        ({"seconds": 1e-9}, StopRule.seconds, 1),
        ({"device_seconds": 1e-9}, StopRule.device_seconds, 1),
        ({}, StopRule.trials, 30),
    ],
)
def test_whatever_limit_comes_first_ends_it(budget: dict[str, float], rule: StopRule, most: int) -> None:
    found = search(
        network, wave(40), families=["tanh", "elu"], budget={"trials": 30, **budget}, cohort_size=1,
        confirmation="off", **WAVE | {"epochs": 1},
    )  # fmt: skip
    assert found.stopped_by is rule
    assert len(found.trials) <= most
    assert rule is StopRule.trials or f"stopped by {rule}" in str(found)
