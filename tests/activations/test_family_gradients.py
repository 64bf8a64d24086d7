"""Autograd against finite differences, for the input and for every hyperparameter."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from actsearch.activations import Family

STEP = 1e-6
X = torch.linspace(-8, 8, 161, dtype=torch.float64) + 0.00314159


def check(ahead: Tensor, here: Tensor, behind: Tensor, slope: Tensor) -> None:
    """Compare a derivative with the central difference, where the two sides agree (no kink, no jump between)."""
    right, left = (ahead - here) / STEP, (here - behind) / STEP
    middle = (ahead - behind) / (2 * STEP)
    scale = 1 + middle.abs()
    regular = (right - left).abs() < 5e-3 * scale
    assert regular.double().mean() > 0.9
    torch.testing.assert_close(slope[regular] / scale[regular], middle[regular] / scale[regular], rtol=0, atol=2e-5)


@settings(max_examples=12, deadline=None, derandomize=True)
@given(data=st.data())
def test_gradient_of_the_input(family: Family, data: st.DataObject) -> None:
    values = {
        name: data.draw(st.integers(int(p.low), int(p.high)) if p.whole else st.floats(p.low, p.high), label=name)
        for name, p in family.parameters.items()
    }
    x = X.clone().requires_grad_()
    (slope,) = torch.autograd.grad(family.function(x, **values).sum(), x)
    check(*(family.function(X + d, **values) for d in (STEP, 0, -STEP)), slope)


@settings(max_examples=8, deadline=None, derandomize=True)
@given(data=st.data())
def test_gradient_of_each_parameter(family: Family, data: st.DataObject) -> None:
    shares = {name: data.draw(st.floats(0.01, 0.99), label=name) for name in family.parameters}
    values = {n: torch.full_like(X, p.low + shares[n] * (p.high - p.low)) for n, p in family.parameters.items()}
    values |= {name: values[name].round() for name, p in family.parameters.items() if p.whole}
    for name, value in values.items():
        if family.parameters[name].whole:
            continue
        leaf = value.clone().requires_grad_()
        total = family.function(X, **values | {name: leaf}).sum() + 0 * leaf.sum()  # a threshold may have no gradient
        (slope,) = torch.autograd.grad(total, leaf)
        check(*(family.function(X, **values | {name: value + d}) for d in (STEP, 0, -STEP)), slope)
