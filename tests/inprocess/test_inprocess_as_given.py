"""The baseline of a ready-made network is that network: its own functions at every site, whatever they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from actsearch.activations import Activation
from actsearch.errors import InvalidRequest
from actsearch.inprocess import SearchResult, search
from actsearch.inprocess.given import keeps_nothing, nearest
from actsearch.inprocess.module import from_module
from actsearch.inprocess.task import own_task
from actsearch.schemas import ActivationSpec, Training
from actsearch.tasks import Dataset
from actsearch.tasks.targets import take_targets
from actsearch.training import Candidate, Cohort, Plan, TrainingOutcome, build_module, train

torch.set_num_threads(1)

QUICK: dict[str, Any] = {"epochs": 3, "batch_size": 16, "seed": 1, "confirmation": "off"}


class Own(nn.ELU):
    """An activation with a weight of its own, that nobody's catalogue has."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.tensor(0.3))

    def forward(self, x: Tensor) -> Tensor:
        return torch.where(x > 0, x, self.slope * torch.atan(x))


def data(samples: int = 80) -> tuple[Tensor, Tensor]:
    x = torch.randn(samples, 3, generator=torch.Generator().manual_seed(0))
    return x, torch.sin(2 * x.sum(1, keepdim=True))


def network(*functions: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    layers: list[nn.Module] = [nn.Linear(3, 8)]
    for function in functions:
        layers += [function, nn.Linear(8, 8)]
    return nn.Sequential(*layers[:-1], nn.Linear(8, 1))


def by_hand(model: nn.Module, x: Tensor, y: Tensor, epochs: int, order: Callable[[int], Tensor]) -> list[float]:
    """Training losses of the last epochs by an ordinary loop: SGD on batches of 16 in the engine's order."""
    optimiser = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    losses = []
    for epoch in range(1, epochs + 1):
        total, steps = 0.0, len(x) // 16
        for rows in order(epoch)[: steps * 16].split(16):
            optimiser.zero_grad()
            loss = F.mse_loss(model(x[rows]), y[rows])
            loss.backward()
            optimiser.step()
            total += float(loss.detach())
        losses.append(total / steps)
    return losses


MODELS = {
    "softplus": lambda: network(nn.Softplus(beta=5), nn.Softplus(beta=5)),
    "different": lambda: network(nn.Tanh(), nn.LeakyReLU(0.3, inplace=True), nn.GELU()),
    "weights": lambda: network(nn.PReLU(init=0.1), Own()),
}


@pytest.mark.parametrize("name", MODELS)
def test_trial_0_is_the_network_as_an_ordinary_loop_trains_it(name: str) -> None:
    from actsearch.training.noise import derived_seed

    model, (x, y) = MODELS[name](), data()
    training = {"optimizer": "sgd", "momentum": 0.9, "learning_rate": 0.05, "weight_decay": 0.0, "schedule": "constant"}
    found = search(
        model, (x, y), (x, y), families=["sine", "relu"], trials=3, weights="given", training=training,
        cohort_size=3, **QUICK,
    )  # fmt: skip

    def order(epoch: int) -> Tensor:
        generator = torch.Generator().manual_seed(derived_seed(training_seed, "batches", epoch))
        return torch.randperm(len(x), generator=generator)

    training_seed = int(found.trials[0].metrics["seed"])
    expected = by_hand(model, x, y, QUICK["epochs"], order)
    curve = found.trials[0].curve
    assert found.trials[0].family == "as given"
    assert [curve[epoch]["train_loss"] for epoch in sorted(curve)] == pytest.approx(expected, rel=1e-4)
    assert {trial.state for trial in found.trials} == {"complete"}
    assert found.trials[0].metrics["environment"]["cohort_size"] == 3


@pytest.mark.parametrize("name", MODELS)
def test_as_given_takes_the_same_way_alone_and_among_others(name: str) -> None:
    """Stacked where its functions allow it, beside the stack where they have weights of their own; pruning too."""
    together, alone = (outcomes(MODELS[name](), size) for size in (True, False))
    for one, other in zip(together, alone, strict=True):
        assert one.state == other.state
        for metric in ("train_mse", "validation_mse", "dead_fraction", "activation_sparsity", "gradient_ratio"):
            if one.state == "complete":
                assert one.metrics[metric] == pytest.approx(other.metrics[metric], rel=1e-3, abs=1e-5), metric


def outcomes(model: nn.Module, together: bool) -> list[TrainingOutcome]:
    x, y = data()
    network = from_module(model, x[:4], sites=None, weights="fresh")
    given, relu = ActivationSpec(family="as given"), ActivationSpec(family="relu")
    candidates = [
        Candidate({"network": spec}, rate, 0.0, 0.9)
        for spec, rate in [(relu, 0.01), (given, 0.02), (given, 0.05), (ActivationSpec(family="tanh"), 0.02)]
    ]
    dataset = Dataset((x, y), (x, y), (x, y), "vector", (3,), 1)
    plan = Plan(Training(epochs=3, batch_size=16, optimizer="sgd", seed=4))
    task = own_task(take_targets(y.numpy(), "regression"), None, {}, {})
    chosen = [candidates] if together else [[one] for one in candidates]
    found: list[TrainingOutcome] = []
    for some in chosen:
        rates = [one.learning_rate for one in some]
        found += train(
            Cohort(network.architecture("vector"), {}, some),
            task,
            dataset,
            plan,
            lambda rung, rates=rates: [rung.epoch < 2 or rates[place] != 0.01 for place in rung.positions],
        )
    assert [one.state for one in found] == ["pruned", "complete", "complete", "complete"]
    return found


def test_all_begin_with_the_same_weights_and_the_networks_own_are_drawn_too() -> None:
    model = MODELS["weights"]()
    with torch.no_grad():
        model[1].weight.fill_(7.0)
    architecture = from_module(model, data()[0][:4], sites=None, weights="fresh").architecture("vector")
    spec: Any = None
    given, relu = (
        dict(build_module(architecture, {}, spec, {"network": ActivationSpec(family=name)}, 3).named_parameters())
        for name in ("as given", "relu")
    )
    assert relu.keys() == {f"{place}.{end}" for place in (0, 2, 4) for end in ("weight", "bias")}
    assert all(torch.equal(value, given[name]) for name, value in relu.items())
    own = {name: float(value.detach()) for name, value in given.items() if name not in relu}
    assert own == pytest.approx({"1.function.weight": 0.1, "3.function.slope": 0.3})  # reset; it has no reset


@pytest.fixture(scope="module")
def confirmed() -> SearchResult:
    """A network of a soft function and a learned one, with another learning rate in each trial."""
    model = nn.Sequential(nn.Linear(3, 16), nn.Softplus(beta=5), nn.Linear(16, 16), nn.PReLU(), nn.Linear(16, 1))
    return search(
        model, data(120), test_data=data(), families=["hardtanh", "relu"], trials=6,
        learning_rate=(1e-3, 1e-2), epochs=3, batch_size=16, seed=1, confirmation={"seeds": 4, "finalists": 1},
    )  # fmt: skip


def test_the_verdict_names_it_and_its_twin_is_as_given(confirmed: SearchResult) -> None:
    verdict = confirmed.verdict
    assert verdict is not None
    assert verdict.baseline.family == "as given"
    assert "against as given" in verdict.words
    assert {arm.family for arm in verdict.finalists} <= {"hardtanh", "relu"}
    entries = confirmed.ranking("family")
    assert [entry.is_baseline for entry in entries if entry.family == "as given"] == [True]
    said = str(confirmed)
    assert "Softplus(beta=5" in said
    assert "nearest in the catalogue" in said
    assert set(confirmed.nearest) == {"1", "3"}


def test_the_winner_as_given_is_the_callers_own_class() -> None:
    model = MODELS["weights"]()
    found = search(model, data(), families=["identity"], trials=1, **QUICK)
    winner = found.winner_module
    assert found.winner.family == "as given"
    assert winner is not None
    assert [type(part) for part in winner] == [type(part) for part in model]
    assert not any(isinstance(part, Activation) for part in winner.modules())
    assert winner.state_dict().keys() == model.state_dict().keys()
    assert not torch.equal(winner[3].slope, model[3].slope)  # trained
    x, y = found_validation(found)
    with torch.no_grad():
        assert float(F.mse_loss(winner(x), y)) == pytest.approx(found.best.value or 0.0, rel=1e-4)
    code: dict[str, Any] = {}
    exec(found.snippet(), code)  # only comments
    assert "Own(" in found.snippet()
    spec = found.winner.activations["network"]
    assert ActivationSpec.model_validate_json(spec.model_dump_json()) == spec
    assert found.to_pandas()["family"].tolist() == ["as given"]


def found_validation(found: SearchResult) -> tuple[Tensor, Tensor]:
    from actsearch.inprocess.data import held_out

    _, valid = held_out(data(), QUICK["seed"], len(data()[0]), "regression")
    return valid  # type: ignore[return-value]


def test_what_the_network_computes_anyway_is_trained_as_given() -> None:
    """No finalist may be the baseline under the name of a family."""
    model = network(nn.ReLU(), nn.ReLU())
    found = search(model, data(), families=["relu", "tanh"], trials=8, sampler="random", **QUICK)
    assert {trial.family for trial in found.trials} == {"as given", "tanh"}
    assert "relu of the catalogue" in str(found)


def test_a_named_baseline_takes_its_place() -> None:
    model = network(nn.Softplus(beta=5), nn.Tanh())
    found = search(model, data(), families=["tanh"], baseline="relu", trials=4, **QUICK)
    assert found.trials[0].family == "relu"
    assert found.trials[0].is_baseline
    assert "as given" not in {trial.family for trial in found.trials}
    again = search(model, data(), families=["tanh"], baseline="as given", trials=2, **QUICK)
    assert again.trials[0].family == "as given"
    with pytest.raises(InvalidRequest, match=r"baseline.*ready-made"):
        search(lambda act: network(act("a"), act("b")), data(), baseline="as given", trials=2, **QUICK)


def test_layers_may_keep_their_own() -> None:
    model = network(nn.Softplus(beta=5), nn.Tanh())
    found = search(model, data(), families=["relu"], placement="layer", trials=8, sampler="random", **QUICK)
    seen = {tuple(spec.family for spec in trial.activations.values()) for trial in found.trials}
    assert seen == {("as given", "as given"), ("as given", "relu"), ("relu", "as given"), ("relu", "relu")}
    assert {trial.state for trial in found.trials} == {"complete"}


@pytest.mark.parametrize(
    ("function", "stacks"),
    [
        (torch.tanh, True),
        (nn.ReLU(inplace=True), True),
        (nn.Softplus(beta=5), True),
        (nn.PReLU(), False),
        (nn.RReLU(), False),
        (nn.Dropout(0.5), False),
        (nn.Softmax(dim=-1), False),
        (Own(), False),
    ],
)
def test_only_functions_that_keep_nothing_are_stacked(function: Any, stacks: bool) -> None:
    assert keeps_nothing(function) is stacks


def test_the_nearest_of_the_catalogue_is_told_with_its_distance() -> None:
    same, near = nearest(nn.SiLU()), nearest(nn.Softplus(beta=5))
    assert same is not None
    assert near is not None
    assert (same.activation.family, same.difference) == ("silu", 0.0)
    x = torch.randn(200_000, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    rms = (Activation(near.activation)(x) - F.softplus(x, 5)).square().mean().sqrt()
    assert near.difference == pytest.approx(float(rms), rel=0.05)
