"""Other activations inside any module: what is found, what is kept, what cannot be replaced."""

from __future__ import annotations

import copy
import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from actsearch import swap_activations
from actsearch.activations import Activation
from actsearch.errors import InvalidRequest
from actsearch.schemas import ActivationSpec

torch.set_num_threads(1)


class Calls(nn.Module):
    """Every way of calling ReLU, and things around it that must survive."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(5, 5)
        self.act = nn.ReLU(inplace=True)
        self.function = F.relu
        self.norm = nn.BatchNorm1d(5)
        self.scale = 2.0
        self.last = nn.Linear(5, 5)

    def forward(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        x = self.layer(x)
        y = self.act(self.norm(x))
        y = F.dropout(y, 0.5, training=self.training) + torch.relu(x)
        y = y + F.relu(input=x) + x.relu() + self.function(x) + self.helper(x)
        if bias is not None:
            y = y + bias
        z = y.clone()
        F.relu_(z)
        return self.last(torch.relu_(z - 1) * self.scale)

    def helper(self, x: Tensor) -> Tensor:
        """Traced into, since it is no part."""
        return F.relu(x, inplace=False) - 0.5


class Twice(nn.Module):
    """One activation module used twice, once of them in place with its result thrown away."""

    def __init__(self) -> None:
        super().__init__()
        self.relu = nn.ReLU(inplace=True)
        self.first, self.second, self.third = nn.Linear(5, 5), nn.Linear(5, 5), nn.Linear(5, 5)

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        self.relu(y)
        return self.third(self.relu(self.second(y) + y))


class Gated(nn.Module):
    """A gate beside a hidden unit."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.gate, self.act = nn.Linear(5, 5), nn.Sigmoid(), nn.Tanh()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.layer(x)) * self.gate(x) * torch.sigmoid(x)


class Branches(nn.Module):
    """A decision that depends on the data, which torch.fx cannot follow."""

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x) if x.sum() > 0 else x


class Whole(nn.Module):
    """Parts of all kinds."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleList([Calls(), Twice()])
        self.tail = nn.Sequential(nn.Linear(5, 5), nn.LeakyReLU(0.1), Branches())
        self.memory, self.last = nn.GRU(5, 5), nn.Linear(5, 5)

    def forward(self, x: Tensor) -> Tensor:
        for part in self.parts:
            x = part(x)
        return self.last(F.elu(self.memory(self.tail(x))[0]))


def outputs(module: nn.Module, x: Tensor) -> Tensor:
    torch.manual_seed(0)
    out: Tensor = module(x)
    return out


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("kind", [Calls, Twice])
def test_the_same_activation_changes_nothing(kind: Any, training: bool) -> None:
    torch.manual_seed(1)
    module = kind().train(training)
    x = torch.randn(7, 5)

    swapped = swap_activations(module, "relu").module

    assert isinstance(swapped, kind)
    assert type(swapped).__name__ == kind.__name__
    assert swapped.training is training
    torch.testing.assert_close(outputs(swapped, x), outputs(module, x))
    assert swapped.train(not training) is swapped  # traced in both modes
    torch.testing.assert_close(outputs(swapped, x), outputs(module.train(not training), x))


@pytest.mark.parametrize("kind", [Calls, Twice])
def test_another_activation_is_everywhere(kind: Any) -> None:
    module = kind().eval()
    found = swap_activations(module, "identity")
    assert found.left == {}
    x = -torch.rand(3, 5)
    reference = copy.deepcopy(module)
    with pytest.MonkeyPatch.context() as patch:  # what the module would be if ReLU were the identity
        for home, name in ((F, "relu"), (F, "relu_"), (torch, "relu"), (torch, "relu_"), (Tensor, "relu")):
            patch.setattr(home, name, lambda *given, inplace=False, **named: given[0] if given else named["input"])
        patch.setattr(nn.ReLU, "forward", lambda self, x: x)
        if hasattr(reference, "function"):
            reference.function = F.relu
        expected = reference(x)
    torch.testing.assert_close(found.module(x), expected)


def test_the_report_names_every_place() -> None:
    found = swap_activations(Whole(), "gelu")
    assert found.replaced == {
        "elu_call1": "F.elu",
        "parts.0.relu_call1": "torch.relu",
        "parts.0.relu_call2": "F.relu",
        "parts.0.relu_call3": "Tensor.relu",
        "parts.0.relu_call4": "F.relu",
        "parts.0.relu_call5": "F.relu",
        "parts.0.relu_call6": "F.relu_",
        "parts.0.relu_call7": "F.relu_",
        "parts.0.act": "ReLU(inplace=True)",
        "parts.1.relu": "ReLU(inplace=True)",
        "parts.1.relu_use2": "ReLU(inplace=True)",
        "tail.1": "LeakyReLU(negative_slope=0.1)",
    }
    assert set(found.left) == {"tail.2", "memory"}
    assert "control flow" in found.left["tail.2"]
    assert "relu" in found.left["tail.2"]
    assert "kernel" in found.left["memory"]
    for path in found.replaced:
        part = found.module.get_submodule(path)
        assert isinstance(part, Activation)
        assert part.spec.family == "gelu"


def test_weights_device_and_type_are_kept_and_the_original_too() -> None:
    module = Whole().double().eval()
    before = str(module)
    swapped = swap_activations(module, ActivationSpec(family="prelu", learned="scalar")).module
    assert str(module) == before
    weights = dict(swapped.named_parameters())
    for name, value in module.named_parameters():
        assert torch.equal(weights.pop(name), value)
    assert len(weights) == 12  # the slopes
    assert {value.dtype for value in weights.values()} == {torch.float64}
    assert all(not part.training for part in swapped.modules())
    swapped(torch.randn(4, 5, dtype=torch.float64)).sum().backward()


def test_each_use_of_a_module_without_weights_is_a_place_of_its_own() -> None:
    relu, prelu = nn.ReLU(), nn.PReLU()
    twice, tied = (nn.Sequential(nn.Linear(5, 5), act, nn.Linear(5, 5), act, nn.Linear(5, 5)) for act in (relu, prelu))
    assert set(swap_activations(twice, "gelu").replaced) == {"1", "3"}
    assert set(swap_activations(tied, "gelu").replaced) == {"1"}
    for site in ("relu", "relu_use2"):  # the other use keeps what it had
        found = swap_activations(Twice(), "identity", sites=[site])
        assert isinstance(found.module.get_submodule(site), Activation)
        assert isinstance(found.module.get_submodule({"relu": "relu_use2", "relu_use2": "relu"}[site]), nn.ReLU)
        x = torch.randn(7, 5)
        first, second = found.module.first, found.module.second
        y = first(x) if site == "relu" else first(x).relu()
        expected = second(y) + y
        expected = found.module.third(expected if site == "relu_use2" else expected.relu())
        torch.testing.assert_close(found.module(x), expected)


def test_gates_stay_unless_named() -> None:
    found = swap_activations(Gated(), "relu")
    assert list(found.replaced) == ["act"]
    assert set(found.left) == {"gate", "sigmoid_call1"}
    named = swap_activations(Gated(), "relu", sites=["gate", "*_call1"])
    assert list(named.replaced) == ["sigmoid_call1", "gate"]
    assert "not among" in named.left["act"]


@pytest.mark.parametrize(
    ("spec", "sites", "field"),
    [
        ("gelo", None, "family"),
        ("gelu", ["nowhere.*"], "sites"),
        (ActivationSpec(family="prelu", learned="channel"), None, "learned"),
    ],
)
def test_what_cannot_be_done_is_said(spec: Any, sites: Any, field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        swap_activations(Gated(), spec, sites=sites)
    assert caught.value.problems[0].field == field
    assert caught.value.problems[0].allowed


def test_torchs_transformer_layers_take_the_new_activation_in_evaluation_too() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    found = swap_activations(layer.eval(), "tanh")
    assert found.replaced == {"activation": "F.relu"}
    x = torch.randn(2, 3, 8)
    with torch.no_grad():
        expected = nn.TransformerEncoderLayer(8, 2, 16, 0.0, activation=torch.tanh, batch_first=True).eval()
        expected.load_state_dict(layer.state_dict())
        torch.testing.assert_close(found.module(x), expected(x))


def test_arguments_that_tracing_fixed_are_refused() -> None:
    swapped = swap_activations(Calls().eval(), "gelu").module
    swapped(torch.randn(2, 5), bias=None)
    with pytest.raises(Exception, match="bias"):
        swapped(torch.randn(2, 5), bias=torch.zeros(5))


def test_a_swapped_module_survives_copies_state_and_export() -> None:
    module = swap_activations(Calls().eval(), "gelu").module
    x = torch.randn(3, 5)
    twin = copy.deepcopy(module)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.add_(1.0)
        assert not torch.equal(twin(x), module(x))
        twin.load_state_dict(module.state_dict())
        assert torch.equal(twin(x), module(x))
        torch.testing.assert_close(torch.export.export(module, (x,)).module()(x), module(x))


def test_a_module_that_is_an_activation() -> None:
    found = swap_activations(nn.ReLU(), "elu")
    assert found.replaced == {"": "ReLU()"}
    assert isinstance(found.module, Activation)


def test_the_package_does_not_load_torch_for_it() -> None:
    script = "import actsearch, sys; assert 'swap_activations' in dir(actsearch); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)
