"""Searching the activations of a ready-made module: what is replaced, what stays, how weights begin."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from actsearch.activations import Activation
from actsearch.architectures.ready_made import take_out
from actsearch.errors import InvalidRequest
from actsearch.inprocess import search
from actsearch.inprocess.module import from_module
from actsearch.schemas import ActivationSpec
from actsearch.surgery.recognition import recognised
from actsearch.training import build_module

torch.set_num_threads(1)

QUICK: dict[str, Any] = {"families": ["tanh", "gelu", "prelu"], "trials": 6, "epochs": 2, "seed": 1}


class Convolutional(nn.Module):
    """One ReLU module at places of two widths, a function, a gate, and weights that nothing draws anew."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)
        self.second, self.relu = nn.Conv2d(4, 6, 3), nn.ReLU(inplace=True)
        self.place = nn.Parameter(torch.linspace(-1, 1, 6))
        self.fixed = nn.Parameter(torch.full((6,), 2.0), requires_grad=False)
        self.gate, self.head = nn.Sequential(nn.Linear(6, 6), nn.Sigmoid()), nn.LazyLinear(3)
        self.idle = nn.ELU()

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.norm(self.first(x)))
        x = self.relu(self.second(x)).mean((2, 3))
        return self.head(F.relu(x + self.place) * self.gate(x) * self.fixed)


def images(samples: int = 60) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    classes = torch.randint(0, 3, (samples,), generator=generator)
    return torch.randn(samples, 1, 8, 8, generator=generator) + classes.view(-1, 1, 1, 1), classes


def built(model: nn.Module, batch: Tensor, seed: int, weights: Any = "fresh", family: str = "tanh") -> nn.Module:
    architecture = from_module(model, batch, sites=None, weights=weights).architecture("image")
    spec: Any = None
    return build_module(architecture, {}, spec, {"network": ActivationSpec(family=family)}, seed)


def test_a_module_is_searched_and_left_as_it_is() -> None:
    torch.manual_seed(0)
    model = Convolutional()
    model(images()[0][:2])  # sizes of the lazy part
    model.eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}

    found = search(model, images(), **QUICK)

    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert isinstance(model.relu, nn.ReLU)
    assert {trial.state for trial in found.trials} == {"complete"}
    relu = "ReLU(inplace=True)"
    assert list(found.replaced.items()) == [("relu", relu), ("relu_use2", relu), ("relu_call1", "F.relu")]
    assert set(found.left) == {"gate.1", "idle"}
    assert "no signal" in found.left["idle"]
    assert list(found.kept_weights) == ["place", "fixed"]
    assert found.baseline.family == "as given"
    best = found.best_module
    assert isinstance(best, Convolutional)
    if not found.best.is_baseline:
        assert all(isinstance(best.get_submodule(path), Activation) for path in found.replaced)
    assert isinstance(best.idle, nn.ELU)
    assert torch.equal(best.fixed, before["fixed"])  # frozen
    assert not torch.equal(best.place, before["place"])  # trained
    words = str(found)
    for said in ("2 x ReLU(inplace=True), 1 x F.relu", "gate.1", "began as given in every trial: place, fixed"):
        assert said in words


def test_each_site_knows_its_channels() -> None:
    taken = take_out(Convolutional(), images()[0][:2])
    assert dict(taken.sites) == {"relu": (1, 4), "relu_use2": (1, 6), "relu_call1": (1, 6)}
    network = nn.Sequential(nn.Linear(1, 5), nn.Tanh(), nn.Flatten(), nn.Linear(20, 3), nn.ReLU(), nn.Linear(3, 3))
    assert dict(take_out(network, torch.zeros(2, 4, 1)).sites) == {"1": (2, 5), "4": (1, 3)}


def test_fresh_weights_are_the_seeds_and_the_same_for_every_activation() -> None:
    model, batch = Convolutional(), images()[0][:2]
    one, same, other = (
        dict(built(model, batch, seed, family=family).named_parameters())
        for seed, family in ((1, "tanh"), (1, "gelu"), (2, "tanh"))
    )
    assert one.keys() == same.keys()
    assert all(torch.equal(value, same[name]) for name, value in one.items())
    drawn = {name for name, value in one.items() if not torch.equal(value, other[name])}
    assert drawn == {f"{part}.{end}" for part in ("first", "second", "gate.0", "head") for end in ("weight", "bias")}
    torch.testing.assert_close(one["place"], model.place)


def test_fresh_weights_are_drawn_as_when_the_module_was_made() -> None:
    def make() -> nn.Module:
        layer = nn.TransformerEncoderLayer(64, 2, 64, batch_first=True)
        return nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.LayerNorm(64), layer)

    batch = torch.zeros(2, 5, 64)
    assert from_module(make(), batch, sites=None, weights="fresh").kept == []
    references = dict(make().named_parameters())
    for name, value in built(make(), batch, seed=3).named_parameters():  # other numbers of the same distribution
        scale = float(references[name].detach().std())
        assert float(value.detach().std()) == pytest.approx(scale, rel=0.25), name


def test_given_weights_stay_and_a_function_may_draw_them() -> None:
    model, batch = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 3)), torch.zeros(2, 4)
    given = built(model, batch, 1, "given").state_dict()
    assert all(torch.equal(value, given[name]) for name, value in model.state_dict().items())

    def ones(module: nn.Module) -> None:
        for value in module.parameters():
            nn.init.constant_(value, 1.0)

    own = built(model, batch, 1, ones).state_dict()
    assert {float(value.std()) for value in own.values()} == {0.0}


def test_sites_may_be_named_and_chosen_by_stage() -> None:
    model = nn.Sequential(*(nn.Sequential(nn.Linear(4, 4), nn.GELU()) for _ in range(4)), nn.Linear(4, 3))
    x, y = torch.randn(40, 4), torch.randint(0, 3, (40,))
    found = search(model, (x, y), sites=["[123].1"], placement="stage", **QUICK)
    assert list(found.replaced) == ["1.1", "2.1", "3.1"]
    assert "not among" in found.left["0.1"]
    assert found.baseline.family == "as given"
    assert set(found.best_activations) == {"stage1", "stage2", "stage3"}


class Branches(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x) if x.sum() > 0 else x


class Loop(nn.Module):
    """What torch.fx cannot follow, with one activation at places of two widths."""

    def __init__(self) -> None:
        super().__init__()
        self.layers, self.act = nn.ModuleList([nn.Linear(4, 5), nn.Linear(5, 3)]), nn.ReLU()
        self.last = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = self.act(layer(x)) if len(x) else x
        return self.last(x)


@pytest.mark.parametrize(
    ("model", "keywords", "words"),
    [
        (nn.Linear(4, 3), {}, "no activation in it"),
        (nn.Sequential(nn.Linear(4, 3), Branches()), {}, "torch.fx cannot trace"),
        (nn.Sequential(nn.Linear(5, 3), nn.ReLU()), {}, r"cannot be run on inputs of shape \(4, 4\)"),
        (Loop(), {}, "5 and of 3 channels"),
        (nn.Sequential(nn.Linear(4, 3), nn.ReLU()), {"sites": ["nowhere"]}, "no activation matches 'nowhere'"),
        (lambda act: nn.Sequential(nn.Linear(4, 3), act()), {"weights": "given"}, "for a ready-made module"),
        ("resnet18", {}, "is a str"),
    ],
)
def test_what_cannot_be_searched_is_said(model: Any, keywords: dict[str, Any], words: str) -> None:
    data = (torch.randn(20, 4), torch.randint(0, 3, (20,)))
    with pytest.raises(InvalidRequest, match=words):
        search(model, data, **QUICK, **keywords)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (nn.ReLU(inplace=True), ("relu", {})),
        (nn.LeakyReLU(0.2), ("leaky_relu", {"slope": 0.2})),
        (nn.ELU(0.7), ("elu", {"alpha": 0.7})),
        (nn.GELU(approximate="tanh"), ("gelu_tanh", {})),
        (nn.SiLU(), ("silu", {})),
        (nn.PReLU(), ("prelu", {})),
        (torch.tanh, ("tanh", {})),
        (nn.Threshold(0.3, 0.1), None),
        (nn.LeakyReLU(0.9), None),
    ],
)
def test_the_networks_own_activation_is_known(function: Any, expected: Any) -> None:
    found = recognised(function)
    assert (None if found is None else (found.family, found.parameters)) == expected


def test_weights_are_told_or_refused() -> None:
    module = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    data = (torch.randn(40, 4), torch.arange(40) % 2)
    once: dict[str, Any] = {"families": ["relu"], "trials": 1, "epochs": 1, "confirmation": "off"}

    def of_a_layer(layer: nn.Module) -> None:
        if isinstance(layer, nn.Linear):
            nn.init.orthogonal_(layer.weight)

    for weights, told in ((of_a_layer, "changes no weight"), ("pretrained", "is 'pretrained'")):
        with pytest.raises(InvalidRequest, match=told):
            search(module, data, weights=weights, **once)
    for mine in (lambda m: m.apply(of_a_layer), lambda m: m.load_state_dict(module.state_dict()), "given"):
        assert not any("drawn afresh" in note for note in search(module, data, weights=mine, **once).notes)
    assert any("drawn afresh" in note for note in search(module, data, **once).notes)
    with pytest.raises(InvalidRequest, match="float64"):
        search(deepcopy(module).double(), data, **once)
