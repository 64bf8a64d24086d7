"""What becomes of candidates that cannot be trained, and who is told what."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from actsearch.activations import declaration, family
from actsearch.activations.declaration import Parameter
from actsearch.errors import InvalidRequest, NotFound, TrainingError
from actsearch.schemas import ActivationSpec
from actsearch.training import Candidate


@pytest.fixture
def raising_family(monkeypatch: pytest.MonkeyPatch) -> str:
    """A family that raises in training, or whatever error its `code` stands for."""
    monkeypatch.setattr(declaration, "_FAMILIES", dict(declaration._FAMILIES))

    def broken(x: torch.Tensor, code: float) -> torch.Tensor:
        if not x.requires_grad:
            return x
        raise (ValueError("no such branch") if code == 0 else torch.OutOfMemoryError("device is full"))

    family(name="broken", formula="?", reference="", parameters={"code": Parameter(0.0, 0.0, 1.0)})(broken)
    return "broken"


def test_a_candidate_that_cannot_be_built_fails_alone(train_toy: Any, candidate: Any) -> None:
    cohort = [
        candidate("relu"),
        candidate("leaky_relu", slope=-7.0),
        candidate("no_such_family"),
        Candidate({"layer1": ActivationSpec(family="relu")}, 0.01, 0.0, 0.9),
        Candidate({"network": ActivationSpec(family="relu"), "layre1": ActivationSpec(family="elu")}, 0.01, 0.0, 0.9),
        candidate("elu"),
    ]

    trained = train_toy(cohort, epochs=1)

    assert [o.state for o in trained.outcomes] == ["complete", "failed", "failed", "failed", "failed", "complete"]
    assert {o.reason for o in trained.outcomes[1:5]} == {"invalid"}
    for outcome, words in zip(trained.outcomes[1:5], ("slope", "no_such_family", "layer2", "layre1"), strict=True):
        assert words in outcome.detail
    assert set(trained.curves) == {0, 5}


def test_an_activation_that_raises_fails_alone(train_toy: Any, candidate: Any, raising_family: str) -> None:
    trained = train_toy([candidate("relu"), candidate(raising_family, code=0.0), candidate("elu")], epochs=1)

    assert [o.state for o in trained.outcomes] == ["complete", "failed", "complete"]
    assert trained.outcomes[1].reason == "invalid"
    assert "no such branch" in trained.outcomes[1].detail


def test_memory_that_runs_out_is_told_apart(train_toy: Any, candidate: Any, raising_family: str) -> None:
    outcome = train_toy([candidate(raising_family, code=1.0)], epochs=1).outcomes[0]
    assert (outcome.state, outcome.reason) == ("failed", "out_of_memory")


def test_a_cohort_that_does_not_fit_says_so(train_toy: Any, candidate: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def hungry(self: Any, *_: Any) -> Any:
        calls.append(self)
        raise torch.OutOfMemoryError("device is full")

    monkeypatch.setattr("actsearch.training.stack.StackedTrials.evaluate", hungry)
    with pytest.raises(TrainingError, match="device is full") as caught:
        train_toy([candidate("relu"), candidate("elu")], epochs=1)
    assert caught.value.reason == "out_of_memory"
    assert len(calls) == 1
    assert train_toy([candidate("relu")], epochs=1).outcomes[0].state == "complete"


def test_unknown_architectures_are_the_callers_mistake(train_toy: Any, candidate: Any) -> None:
    with pytest.raises(NotFound, match="perceptron"):
        train_toy([candidate("relu")], "perceptron")
    with pytest.raises(InvalidRequest, match="depth"):
        train_toy([candidate("relu")], parameters={"depth": 0})


def test_what_on_rung_raises_stops_the_cohort(train_toy: Any, candidate: Any) -> None:
    def stop(epoch: int, place: int) -> bool:
        raise KeyboardInterrupt

    for cohort in ([candidate("relu")], [candidate("relu"), candidate("elu")]):
        with pytest.raises(KeyboardInterrupt):
            train_toy(cohort, keep=stop)


@pytest.mark.parametrize("size", [1, 3])
def test_reports_come_every_few_epochs_and_at_the_end(train_toy: Any, candidate: Any, size: int) -> None:
    trained = train_toy([candidate("relu")] * size, epochs=5, report_every=2, keep=lambda epoch, place: epoch < 5)

    assert [list(curve) for curve in trained.curves.values()] == [[2, 4, 5]] * size
    assert {o.state for o in trained.outcomes} == {"complete"}  # at the last epoch there is nothing left to give up
    assert set(trained.curves[0][2]) == {"train_loss", "validation_loss", "validation_accuracy"}
    last, final = trained.curves[0][5], trained.outcomes[0].metrics
    assert final["validation_accuracy"] == last["validation_accuracy"]


def test_everyone_may_be_given_up(train_toy: Any, candidate: Any) -> None:
    trained = train_toy([candidate("relu"), candidate("elu")], keep=lambda epoch, place: False)
    assert [o.state for o in trained.outcomes] == ["pruned", "pruned"]
    assert all(o.metrics["epochs"] == 1 and o.metrics["parameters"] > 0 for o in trained.outcomes)


@pytest.mark.parametrize("others", [0, 2])
def test_dead_units_and_parameters_are_counted(train_toy: Any, candidate: Any, others: int) -> None:
    # A huge step drives every unit of the ReLU network to where it never fires again, and no loss is infinite.
    cohort = [candidate("relu", rate=3.0, momentum=0.0), *[candidate("prelu")] * others]

    metrics = train_toy(cohort, optimizer="adamw", epochs=4).outcomes[0].metrics

    assert metrics["parameters"] == (36 * 12 + 12) + (12 * 12 + 12) + (12 * 4 + 4)
    shares = metrics["dead_fraction_by_site"]
    assert list(shares) == ["layer1", "layer2"]
    assert metrics["dead_fraction"] == pytest.approx((shares["layer1"] + shares["layer2"]) / 2)
    assert metrics["dead_fraction"] > 0.2
