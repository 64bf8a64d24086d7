"""Activations of networks that nobody here wrote: which are found, and that nothing else changes with them."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from functools import cache
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from actsearch import swap_activations
from actsearch.surgery.swapping import Swapped
from zoo import OwnNetwork, called, counted, pattern

torch.set_num_threads(1)
pytestmark = pytest.mark.usefixtures("torchvision")

MODES = list(product((False, True), (False, True)))
"""(training mode, with gradients)"""

Call = tuple[str, Tensor, Tensor]
"""What passed an activation: (path, input, output)."""


class Recorded:
    """A network that computes at each place what stood there, or sine if it is the `changed` one, and writes it down.

    Attributes:
        calls: what passed its activations, in order.
    """

    def __init__(self, network: OwnNetwork) -> None:
        self.functions = sine(network).functions
        self.changed: str | None = None
        self.calls: list[Call] = []
        self.module = copy.deepcopy(sine(network).module)
        for path in self.functions:
            self.module.set_submodule(path, _Recorder(path, self))

    def function(self, path: str) -> Callable[[Tensor], Tensor]:
        function = torch.sin if path == self.changed else self.functions[path]
        return lambda x: function(x.clone())  # some change their input


class _Recorder(nn.Module):
    def __init__(self, path: str, network: Recorded) -> None:
        super().__init__()
        self.path, self.network = path, network

    def __deepcopy__(self, memo: object) -> _Recorder:
        return _Recorder(self.path, self.network)

    def forward(self, x: Tensor) -> Tensor:
        y = self.network.function(self.path)(x)
        self.network.calls.append((self.path, x.detach(), y.detach()))
        return y


@cache
def made(network: OwnNetwork) -> nn.Module:
    """The network; not to be changed. Weights that begin at zero are drawn, for they hide what stands before them."""
    torch.manual_seed(0)
    module = network.build().eval()
    for value in module.parameters():
        if not value.any():
            nn.init.normal_(value, std=0.1)
    return module


@cache
def sine(network: OwnNetwork) -> Swapped:
    """The network with sine in it; not to be changed."""
    return swap_activations(made(network), "sine", inputs=network.inputs())


@cache
def recorded(network: OwnNetwork) -> Recorded:
    """The network as it was, watched."""
    return Recorded(network)


def outputs(module: nn.Module, network: OwnNetwork, training: bool = False, grad: bool = False) -> list[Tensor]:
    """Every tensor that a copy of the module returns, with the same random numbers at each call."""
    module = copy.deepcopy(module).train(training)
    torch.manual_seed(1)
    with torch.set_grad_enabled(grad):
        found = called(module, network.inputs())
    return tensors(found)


def tensors(found: Any) -> list[Tensor]:
    """Those in what a network returns."""
    return [value.detach() for value in pytree.tree_leaves(found) if isinstance(value, Tensor)]


def same(ours: list[Tensor], theirs: list[Tensor]) -> bool:
    return len(ours) == len(theirs) and all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_sites_are_those_that_its_source_shows(network: OwnNetwork) -> None:
    swapped = sine(network)
    assert counted(swapped.replaced) == {place: number for place, (number, _) in network.found.items()}
    for path, old in swapped.replaced.items():
        assert old.startswith(tuple(network.found[pattern(path)][1].split(" or "))), path
    assert counted(swapped.left) == {place: number for place, (number, _) in network.left.items()}
    for path, reason in swapped.left.items():
        assert network.left[pattern(path)][1] in reason, path


def test_another_function_is_computed_in_every_mode(network: OwnNetwork) -> None:
    for mode in MODES:
        before, after = (outputs(m, network, *mode) for m in (made(network), sine(network).module))
        assert [value.shape for value in before] == [value.shape for value in after], mode
        assert not torch.equal(before[0], after[0]), mode


def test_with_its_own_functions_it_computes_the_same(network: OwnNetwork) -> None:
    watched = recorded(network)
    watched.changed = None
    for mode in MODES:
        assert same(outputs(watched.module, network, *mode), outputs(made(network), network, *mode)), mode


def test_one_place_changes_what_comes_behind_it_and_nothing_else(network: OwnNetwork) -> None:
    watched = recorded(network)

    def run(changed: str | None) -> tuple[list[Call], list[Tensor]]:
        watched.changed, watched.calls = changed, []
        return watched.calls, outputs(watched.module, network)

    before, outputs_before = run(None)
    order = list(dict.fromkeys(path for path, _, _ in before))
    assert set(order) == set(watched.functions)
    for changed in {order[0], order[len(order) // 2], order[-1]}:
        after, outputs_after = run(changed)
        assert [path for path, _, _ in after] == [path for path, _, _ in before]
        first = order.index(changed)
        for (path, x, y), (_, x_after, y_after) in zip(before, after, strict=True):
            assert torch.equal(y_after, watched.function(path)(x_after))
            if path in order[:first]:
                assert torch.equal(x, x_after)
                assert torch.equal(y, y_after)
        assert not same(outputs_before, outputs_after)


def test_weights_keep_their_names_and_values(network: OwnNetwork) -> None:
    swapped = sine(network)
    before, after = made(network).state_dict(), swapped.module.state_dict()
    assert set(swapped.lost_keys) == before.keys() - after.keys()
    assert {pattern(key) for key in swapped.lost_keys} == set(network.lost_keys)
    assert not swapped.new_keys
    assert not after.keys() - before.keys()
    for key, value in after.items():
        torch.testing.assert_close(value, before[key], rtol=0, atol=0)


def test_copies_compute_the_same(network: OwnNetwork) -> None:
    module = sine(network).module
    copies = [copy.deepcopy(module), pickle.loads(pickle.dumps(module))]
    with torch.no_grad():  # of the module itself, not of a copy as `outputs` does
        expected = tensors(called(module, network.inputs()))
    for copied in copies:
        assert same(outputs(copied, network), expected)
