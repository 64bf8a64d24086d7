"""Searching on one's own network and data, in one's own process."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import actsearch
from actsearch.errors import InvalidRequest
from actsearch.inprocess import SearchResult, search
from actsearch.inprocess.data import read


def blobs(samples: int = 300, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    classes = torch.randint(0, 3, (samples,), generator=generator)
    centres = torch.tensor([[2.0, 0, 0, 0], [0, 2.0, 0, 0], [0, 0, 2.0, 0]])
    return centres[classes] + 0.7 * torch.randn(samples, 4, generator=generator), classes


def wave(samples: int = 400) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    x = np.random.default_rng(0).uniform(-1, 1, (samples, 1))
    return x, np.sin(4 * x[:, 0])


def classifier(act: Any) -> nn.Module:
    return nn.Sequential(nn.Linear(4, 16), act(), nn.Linear(16, 16), act(), nn.Linear(16, 3))


def regressor(act: Any) -> nn.Module:
    return nn.Sequential(nn.Linear(1, 16), act("first"), nn.Linear(16, 16), act("second"), nn.Linear(16, 1))


QUICK = {"trials": 10, "epochs": 4, "learning_rate": 0.01, "seed": 3}


@pytest.fixture(scope="module")
def found() -> SearchResult:
    """A search of four families on three clouds of points."""
    return search(classifier, blobs(), test_data=blobs(seed=1), families=["relu", "tanh", "gelu", "prelu"], **QUICK)


def test_the_budget_is_spent_and_the_baseline_is_trial_0(found: SearchResult) -> None:
    assert [trial.number for trial in found.trials] == list(range(10))
    assert found.baseline.is_baseline
    assert found.baseline.family == "relu"
    assert {trial.state for trial in found.trials} == {"complete"}
    assert found.objective.metric == "accuracy"
    assert [trial.metrics["environment"]["cohort_size"] for trial in found.trials] != [1] * 10


def test_rankings_are_in_order(found: SearchResult) -> None:
    values = [trial.value for trial in found.ranking()]
    assert values == sorted(values, reverse=True)
    families = found.ranking("family")
    assert sum(entry.trials for entry in families) == 10
    assert families[0].best == found.best.value == values[0]
    assert sum(entry.is_baseline for entry in families) == 1
    frame = found.to_pandas()
    assert len(frame) == 10
    assert frame["metrics.validation_accuracy"].max() == values[0]


def test_the_best_network_is_the_one_that_was_measured(found: SearchResult) -> None:
    x, y = blobs(seed=1)
    assert found.best_module is not None
    with torch.no_grad():
        accuracy = float((found.best_module(x).argmax(1) == y).float().mean())
    assert accuracy == pytest.approx(found.best.metrics["test_accuracy"], abs=1e-6)
    assert accuracy > 0.8


def test_the_snippet_is_code_that_needs_only_torch(found: SearchResult) -> None:
    assert "actsearch" not in found.snippet()
    space: dict[str, Any] = {}
    exec(found.snippet(), space)
    spec = next(iter(found.best_activations.values()))
    x = torch.linspace(-3, 3, 13).unsqueeze(1).expand(-1, 64)
    from actsearch.activations import Activation

    assert torch.allclose(space["activation"](x), Activation(spec, channels=64)(x))


def test_it_is_exported_as_a_function() -> None:
    found = actsearch.search(regressor, wave(), families=["tanh"], trials=3, epochs=2)
    assert isinstance(found, SearchResult)
    assert found.objective.metric == "mse"
    assert found.objective.direction == "minimize"
    assert "test_mse" not in found.best.metrics  # no test data were given


def test_one_seed_gives_one_search() -> None:
    request = QUICK | {"learning_rate": (1e-3, 1e-1), "trials": 6, "families": ["relu", "elu"]}
    one, other = (search(regressor, wave(), **request) for _ in range(2))
    assert [t.value for t in one.trials] == [t.value for t in other.trials]
    assert len({t.parameters["training.learning_rate"] for t in one.trials}) > 3


def test_layers_may_choose_apart() -> None:
    found = search(
        regressor, wave(), families=["tanh", "sine", "relu"], placement="layer", trials=6, epochs=1, sampler="random"
    )
    assert {tuple(trial.activations) for trial in found.trials} == {("first", "second")}
    assert any("+" in trial.family for trial in found.trials)
    assert "# first" in found.snippet()


def test_own_loss_and_metrics() -> None:
    def huber(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return nn.functional.huber_loss(outputs.squeeze(-1), targets)

    def within(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return ((outputs.squeeze(-1) - targets).abs() < 0.2).float().mean()

    found = search(regressor, wave(), loss=huber, metric={"within": within}, trials=3, epochs=2, families=["tanh"])

    assert found.objective.metric == "within"
    assert {"validation_loss", "validation_within"} <= set(found.best.metrics)


def test_a_metric_of_the_user_takes_the_place_of_ours_of_that_name() -> None:
    def mine(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return outputs.sum() * 0 + 7

    found = search(classifier, blobs(), metric={"roc_auc": mine}, trials=2, epochs=1, families=["tanh"])
    assert found.best.metrics["validation_roc_auc"] == found.best.value == 7


@pytest.mark.parametrize("metric", ["balanced_accuracy", "f1_macro", "roc_auc", "average_precision", "log_loss"])
def test_every_metric_of_the_kind_may_judge(metric: str) -> None:
    found = search(classifier, blobs(), objective={"metric": metric}, trials=3, epochs=2, families=["tanh"])
    assert found.objective.direction == ("minimize" if metric == "log_loss" else "maximize")
    assert found.best.value == found.best.metrics[f"validation_{metric}"]
    assert all(f"validation_{metric}" in point for trial in found.trials for point in trial.curve.values())


def test_a_users_metric_is_never_tried_on_a_few_rows_of_a_part_that_is_not_there() -> None:
    rows: list[int] = []

    def metric(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        rows.append(len(targets))
        return (outputs.argmax(-1) == targets).float().mean()

    search(classifier, blobs(), metric=metric, trials=2, epochs=1, families=["tanh"])
    assert set(rows[1:]) == {240, 60}


def test_a_network_that_cannot_be_stacked_is_trained_plainly() -> None:
    class Recurrent(nn.Module):
        def __init__(self, act: Any) -> None:
            super().__init__()
            self.cell, self.act, self.head = nn.LSTM(1, 6, batch_first=True), act(axis=-1), nn.Linear(6, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.act(self.cell(x.unsqueeze(-1))[0])[:, -1])

    found = search(Recurrent, blobs(60), families=["relu", "tanh"], trials=4, epochs=1, cohort_size=4)

    assert {trial.state for trial in found.trials} == {"complete"}


def test_networks_with_torchs_own_attention_are_stacked() -> None:
    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.read, self.head = nn.Linear(1, 8), nn.Linear(8, 3)
            self.layer = nn.TransformerEncoderLayer(8, 2, 8, dropout=0.0, batch_first=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.layer(self.read(x.unsqueeze(-1))).mean(1))

    wanted = {"families": ["relu", "tanh"], "trials": 4, "epochs": 1, "seed": 1}
    together, alone = (search(Encoder(), blobs(60), **wanted, cohort_size=size) for size in (4, 1))

    assert [trial.metrics["environment"]["cohort_size"] for trial in together.trials] == [4] * 4
    losses = [[trial.metrics["validation_loss"] for trial in found.trials[:2]] for found in (together, alone)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_hopeless_trials_are_pruned() -> None:
    found = search(
        classifier,
        blobs(),
        families=["relu", "tanh"],
        trials=16,
        epochs=9,
        learning_rate=actsearch.Choices(choices=[1e-6, 1e-2]),
        pruner="hyperband",
        sampler="random",
        cohort_size=4,
    )
    assert any(trial.state == "pruned" for trial in found.trials)
    assert max(found.best.curve) == 9


@pytest.mark.parametrize("kind", ["tensors", "arrays", "frame", "dataset", "loader"])
def test_data_may_come_in_many_forms(kind: str) -> None:
    import pandas as pd

    x, y = blobs(20)
    forms: dict[str, Any] = {
        "tensors": (x.double(), y.int()),
        "arrays": (x.numpy(), y.numpy()),
        "frame": (pd.DataFrame(x.numpy()), pd.Series(y.numpy())),
        "dataset": TensorDataset(x, y),
        "loader": DataLoader(TensorDataset(x, y), batch_size=7, shuffle=True),
    }
    inputs, targets = read(forms[kind], "train_data", training=True).part
    order = inputs[:, 0].argsort() if kind == "loader" else torch.arange(20)
    wanted = x[:, 0].argsort() if kind == "loader" else torch.arange(20)
    assert torch.equal(inputs[order], x[wanted])
    assert torch.equal(targets[order], y[wanted])
    assert (inputs.dtype, targets.dtype) == (torch.float32, torch.int64)


def test_bytes_are_numbers() -> None:
    inputs, _ = read((np.full((2, 3), 200, dtype=np.uint8), [0, 1]), "train_data", training=True).part
    assert inputs.dtype == torch.float32
    assert float(inputs.max()) == 200


def reused(act: Any) -> nn.Module:
    one = act()
    return nn.Sequential(nn.Linear(4, 8), one, nn.Linear(8, 5), one, nn.Linear(5, 3))


def idle(act: Any) -> nn.Module:
    act()
    return nn.Sequential(nn.Linear(4, 8), act(), nn.Linear(8, 3))


@pytest.mark.parametrize(
    ("build", "data", "keywords", "words"),
    [
        (classifier, (torch.zeros(5, 4), torch.zeros(4).long()), {}, "5 inputs and 4 targets"),
        (classifier, (torch.zeros(5, 4), torch.full((5,), 3)), {}, "from 3 to 3, but the network has 3 outputs"),
        (classifier, (torch.full((5, 4), torch.nan), torch.zeros(5).long()), {}, "NaN"),
        (classifier, (torch.zeros(5, 4), ["a", "b", "c", "d", "e"]), {}, "from 0 to 4, but the network has 3"),
        (classifier, (torch.zeros(5, 4), ["a", "b", "c", "d", None]), {}, "train_data\\[1\\]"),
        (classifier, 17, {}, "is a int"),
        (classifier, (torch.zeros(5, 4), torch.zeros(5)), {}, "outputs have shape \\(3,\\), its targets \\(\\)"),
        (lambda act: nn.Linear(4, 3), None, {}, "never called its argument"),
        (lambda act: 3, None, {}, "returned a int"),
        (reused, None, {}, "once for each place"),
        (idle, None, {}, "no signal passes site1"),
        (classifier, None, {"families": ["relu", "no_such"]}, "no_such"),
        (classifier, None, {"epochs": 0}, "training.epochs"),
        (classifier, None, {"architecture": "mlp"}, "architecture"),
        (classifier, None, {"metric": lambda outputs, targets: 3.0}, "metric"),
        (classifier, None, {"loss": lambda outputs, targets: outputs[0, 99].mean()}, "loss: raises"),
        (classifier, None, {"objective": {"metric": "f1"}}, "no metric 'f1'"),
    ],
)
def test_what_cannot_be_used_is_refused_in_words(build: Any, data: Any, keywords: dict[str, Any], words: str) -> None:
    wanted = {"trials": 2, "epochs": 1} | keywords
    with pytest.raises(InvalidRequest, match=words):
        search(build, blobs(20) if data is None else data, **wanted)
