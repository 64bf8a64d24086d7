"""Every kind of place, through everything that people do with a network afterwards."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, fx, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn import functional as F

from actsearch import swap_activations
from actsearch.activations import Activation

torch.set_num_threads(1)


def tanh_gelu(x: Tensor) -> Tensor:
    return 0.5 * x * (1 + torch.tanh(0.7978845608 * (x + 0.044715 * x**3)))


class Host(nn.Module):
    """A layer, an activation, a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(6, 6), nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.middle(self.first(x)))

    def middle(self, x: Tensor) -> Tensor:
        raise NotImplementedError


class CallOfFunction(Host):
    def middle(self, x: Tensor) -> Tensor:
        return F.relu(x)


class CallOfMethod(Host):
    def middle(self, x: Tensor) -> Tensor:
        return x.relu_()


class Clamp(Host):
    def middle(self, x: Tensor) -> Tensor:
        return x.clamp(min=0)


class Region(Host):
    def middle(self, x: Tensor) -> Tensor:
        return tanh_gelu(x)


class SelfGated(Host):
    def middle(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.702 * x)


class SineInForward(Host):
    def middle(self, x: Tensor) -> Tensor:
        return torch.sin(30 * x)


class MadeInForward(Host):
    def middle(self, x: Tensor) -> Tensor:
        return nn.ReLU()(x)


class Attribute(Host):
    def __init__(self) -> None:
        super().__init__()
        self.act = F.gelu

    def middle(self, x: Tensor) -> Tensor:
        return self.act(x)


class Lambda(Host):
    def __init__(self) -> None:
        super().__init__()
        self.act = lambda x: x * torch.tanh(F.softplus(x))

    def middle(self, x: Tensor) -> Tensor:
        return self.act(x) if len(x) else x  # which torch.fx cannot trace


class HandWritten(nn.Module):
    """Mish, with the calls of two activations inside."""

    def __init__(self) -> None:
        super().__init__()
        self.softplus = nn.Softplus()

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.tanh(self.softplus(x))


class Optional(Host):
    def forward(self, x: Tensor, bias: Tensor | None = None, *, scale: float = 2.0) -> Tensor:
        y = F.relu(self.first(x))
        return self.last(y * scale if bias is None else y + bias)


class Keywords(Host):
    def forward(self, x: Tensor, **options: Any) -> Tensor:
        y = F.relu(self.first(x))
        return self.last(y, **options)


class Reused(Host):
    def __init__(self) -> None:
        super().__init__()
        self.act = nn.ReLU(inplace=True)

    def middle(self, x: Tensor) -> Tensor:
        return self.act(self.first(self.act(x)))


class Digits(Host):
    """Parts with digits for names, in a class of its own and in a ModuleDict."""

    def __init__(self) -> None:
        super().__init__()
        self.add_module("0", nn.ReLU())
        self.parts = nn.ModuleDict({"1": nn.Tanh()})

    def middle(self, x: Tensor) -> Tensor:
        return self.parts["1"](self.first(self._modules["0"](x)))


def chain(*middle: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Linear(6, 6), *middle, nn.Linear(6, 6))


def encoder(activation: Any) -> nn.Module:
    layer = nn.TransformerEncoderLayer(6, 2, 12, dropout=0.0, activation=activation, batch_first=True)
    return nn.Sequential(nn.Unflatten(1, (1, 6)), nn.TransformerEncoder(layer, 2), nn.Flatten())


KINDS: dict[str, tuple[Callable[[], nn.Module], set[str]]] = {
    "module": (lambda: chain(nn.ReLU()), {"1"}),
    "nested": (lambda: chain(nn.Sequential(nn.Sequential(nn.ReLU()))), {"1.0.0"}),
    "hand-written module": (lambda: chain(HandWritten()), {"1"}),
    "PReLU": (lambda: chain(nn.PReLU(6)), {"1"}),
    "digits": (Digits, {"0", "parts.1"}),
    "call": (CallOfFunction, {"relu_call1"}),
    "call in a part": (lambda: chain(CallOfFunction(), nn.Tanh()), {"1.relu_call1", "2"}),
    "method": (CallOfMethod, {"relu_call1"}),
    "clamp": (Clamp, {"clamp_call1"}),
    "region": (Region, {"elementwise_call1"}),
    "x * sigmoid(x)": (SelfGated, {"elementwise_call1"}),
    "sine": (SineInForward, {"sin_call1"}),
    "made in forward": (MadeInForward, {"relu_call1"}),
    "attribute": (Attribute, {"gelu_call1"}),
    "lambda": (Lambda, {"act"}),
    "optional arguments": (Optional, {"relu_call1"}),
    "further keywords": (Keywords, {"relu_call1"}),
    "used again": (Reused, {"act", "act_use2"}),
    "encoder, function": (lambda: encoder(F.gelu), {f"1.layers.{i}.activation" for i in (0, 1)}),
    "encoder, module": (lambda: encoder(nn.GELU()), {f"1.layers.{i}.activation" for i in (0, 1)}),
    "encoder, string": (lambda: encoder("relu"), {f"1.layers.{i}.activation" for i in (0, 1)}),
    "graph": (lambda: fx.symbolic_trace(chain(CallOfFunction())), {"relu_call1"}),
}


def saved(module: nn.Module) -> nn.Module:
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    loaded: nn.Module = torch.load(file, weights_only=False)
    return loaded


WAYS: dict[str, Callable[[nn.Module, Tensor], Callable[[Tensor], Tensor]]] = {
    "pickle": lambda module, _: pickle.loads(pickle.dumps(module)),
    "pickle of a copy": lambda module, _: pickle.loads(pickle.dumps(copy.deepcopy(module))),
    "torch.save": lambda module, _: saved(module),
    "deepcopy": lambda module, _: copy.deepcopy(module),
    "fx": lambda module, _: fx.symbolic_trace(module, concrete_args=_optional(module)),
    "export": lambda module, x: torch.export.export(module, (x,)).module(),
    "compile": lambda module, _: torch.compile(module, backend="eager", fullgraph=True),
}


def _optional(module: nn.Module) -> dict[str, Any] | None:
    return {"bias": None, "scale": 2.0} if isinstance(module, Optional) else None


def swapped(kind: str, inputs: Tensor | None) -> Any:
    torch.manual_seed(0)
    made, sites = KINDS[kind]
    found = swap_activations(made().eval(), "sine", inputs=inputs)
    assert set(found.replaced) == sites
    return found


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_the_new_function_is_what_is_computed(kind: str, given: bool) -> None:
    x = torch.randn(4, 6)
    found = swapped(kind, x if given else None)
    parts = [part for part in found.module.modules() if isinstance(part, Activation)]
    assert len(parts) == len(found.replaced)
    values = []
    for training in (False, True):
        for context in (torch.no_grad, torch.enable_grad, torch.inference_mode):
            calls = []
            hooks = [part.register_forward_hook(lambda *_, calls=calls: calls.append(1)) for part in parts]
            with context():
                values.append(found.module.train(training)(x))
            for hook in hooks:
                hook.remove()
            assert len(calls) == len(parts)
    for value in values[1:]:
        torch.testing.assert_close(value, values[0], rtol=1e-4, atol=1e-5)
    state = stack_module_state([found.module.eval(), found.module])
    together = vmap(lambda *state: functional_call(found.module, state, (x,)))(*state)
    torch.testing.assert_close(together[1], values[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_original_functions_give_the_original(kind: str) -> None:
    torch.manual_seed(0)
    made, _ = KINDS[kind]
    original = made().eval()
    found = swap_activations(original, "identity")
    for path, function in found.functions.items():
        parent, _, name = path.rpartition(".")
        part = function if isinstance(function, nn.Module) else Wrapped(function)
        found.module.get_submodule(parent)._modules[name] = part
    x = torch.randn(4, 6)
    torch.testing.assert_close(found.module.eval()(x), original(x), rtol=1e-4, atol=1e-5)


class Wrapped(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_saved_is_what_was_swapped(kind: str, way: str) -> None:
    if way == "fx" and kind in ("lambda", "further keywords", *(k for k in KINDS if k.startswith("encoder"))):
        return  # the original cannot be traced, either, or is refused
    x = torch.randn(4, 6)
    module = swapped(kind, None).module
    with torch.no_grad():
        torch.testing.assert_close(WAYS[way](module, x)(x), module(x), rtol=1e-4, atol=1e-5)


def test_the_state_dict_says_which_keys_changed() -> None:
    model = chain(nn.PReLU(6))
    found = swap_activations(model, "gelu")
    assert found.lost_keys == ("1.weight",)
    assert found.new_keys == ()
    assert set(model.state_dict()) - set(found.lost_keys) == set(found.module.state_dict())
