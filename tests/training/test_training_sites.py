"""The one operation that gives each trial of a stack its own activation."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby

import pytest
import torch
from torch import Tensor

from actsearch.activations import Activation, families, learned_names, resolve
from actsearch.schemas import ActivationSpec
from actsearch.training.sites import StackedSite

SMOOTH = [name for name, family in families().items() if family.smooth and not family.stochastic]
SPECS = [resolve(ActivationSpec(family=name)) for name in families()]
SPECS += [resolve(ActivationSpec(family="spline", parameters={"knots": knots})) for knots in (32, 6)]
SPECS.sort(key=lambda spec: spec.family)  # trials of one family are neighbours


def site_of(specs: list[ActivationSpec]) -> tuple[StackedSite, dict[str, Tensor]]:
    """A site for signals (B, 3) and its state, stacked: learned slots at random values."""
    site = StackedSite("layer1", specs, channels=3, axis=1, device=torch.device("cpu")).eval()
    state = {name: torch.rand(len(specs), *value.shape) + 0.1 for name, value in site.named_parameters()}
    return site, state | {"trial": torch.zeros(len(specs))}


def alone(spec: ActivationSpec, state: dict[str, Tensor], row: int) -> Callable[[Tensor], Tensor]:
    """The same activation as a plain module, with the learned values of a row of the stack."""
    activation = Activation(spec, channels=3).eval()
    for name, value in activation.named_parameters():
        value.data = state[f"{spec.family}_{spec.learned}_{name}"][row]
    return activation


def call(site: StackedSite, state: dict[str, Tensor], x: Tensor) -> Tensor:
    return torch.func.functional_call(site, state, (x,))


def test_every_family_of_the_catalogue_is_computed_as_alone() -> None:
    torch.manual_seed(0)
    x = torch.randn(len(SPECS), 5, 3)
    site, state = site_of(SPECS)

    found = torch.vmap(lambda s, x: call(site, s, x))(state, x)

    for row, spec in enumerate(SPECS):
        torch.testing.assert_close(found[row], alone(spec, state, row)(x[row]))


def test_gradients_of_signals_and_of_learned_values_are_each_trials_own() -> None:
    torch.manual_seed(0)
    x = torch.randn(len(SPECS), 5, 3, requires_grad=True)
    weight = torch.randn(5, 3)
    site, state = site_of(SPECS)
    slots = {name: value.requires_grad_() for name, value in state.items() if name != "trial"}

    found = torch.vmap(lambda s, x: (call(site, s, x) * weight).sum())(state, x)
    gradient, *by_slot = torch.autograd.grad(found.sum(), [x, *slots.values()])

    for row, spec in enumerate(SPECS):
        activation = alone(spec, {n: v.detach() for n, v in state.items()}, row)
        mine = x[row].detach().requires_grad_()
        (activation(mine) * weight).sum().backward()
        torch.testing.assert_close(gradient[row], mine.grad)
        for name, value in activation.named_parameters():
            place = list(slots).index(f"{spec.family}_{spec.learned}_{name}")
            torch.testing.assert_close(by_slot[place][row], value.grad)
            others = [s.family != spec.family or name not in learned_names(s) for s in SPECS]
            assert not by_slot[place][torch.tensor(others)].any()


@pytest.mark.parametrize("order", [1, 2])
def test_derivatives_taken_inside_a_loss(order: int) -> None:
    """As a physics-informed loss does: by `grad` within the trial, over samples that are themselves mapped."""
    torch.manual_seed(0)
    specs = [resolve(ActivationSpec(family=name)) for name in SMOOTH]
    x = torch.randn(len(specs), 4, 3)
    site, state = site_of(specs)

    def derivative(f: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        def slope(z: Tensor) -> Tensor:
            return torch.func.grad(lambda at: f(at).sum())(z)

        return slope if order == 1 else torch.func.grad(lambda at: slope(at).sum())

    def stacked(state: dict[str, Tensor], x: Tensor) -> Tensor:
        return torch.vmap(derivative(lambda z: call(site, state, z[None])))(x)

    found = torch.vmap(stacked)(state, x)

    for row, spec in enumerate(specs):
        torch.testing.assert_close(found[row], derivative(alone(spec, state, row))(x[row]), rtol=1e-4, atol=1e-5)


def test_trials_of_one_family_share_an_operation_whatever_their_values() -> None:
    names = ["relu", "leaky_relu", "leaky_relu", "leaky_relu", "elu"]
    specs = [resolve(ActivationSpec(family=name)) for name in names]
    specs += [resolve(ActivationSpec(family="spline", parameters={"knots": knots})) for knots in (9, 32, 6)]
    names += ["spline"] * 3
    site, _ = site_of(specs)
    assert [group.size for group in site.groups] == [len(list(run)) for _, run in groupby(names)]
