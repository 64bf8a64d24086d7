"""Finite value and gradient for large inputs and extreme hyperparameters, in the precisions that training uses."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from actsearch.activations import Family

PRECISIONS = [torch.float32, torch.bfloat16]


def points(dtype: torch.dtype) -> Tensor:
    """[-50, 50], the places where functions switch, and inputs whose exponential overflows."""
    special = torch.tensor(
        [-6.0, -3.0, -2.0, -1.0, -0.5, -1e-30, 0.0, 1e-30, 0.5, 1.0, 2.0, 3.0, 6.0, 100.0, -100.0, 1000.0, -1000.0]
    )
    return torch.cat([torch.linspace(-50, 50, 1001), special]).to(dtype)


@pytest.mark.parametrize("dtype", PRECISIONS, ids=str)
def test_value_and_gradients_are_finite(family: Family, dtype: torch.dtype, corners: Any) -> None:
    x = points(dtype).requires_grad_()
    values = {name: value.requires_grad_() for name, value in corners(family, dtype).items()}
    y = family.function(x, **values)
    assert y.dtype == dtype
    assert y.isfinite().all()
    slopes = torch.autograd.grad(y.sum(), [x, *values.values()], allow_unused=True, materialize_grads=True)
    for name, slope in zip(["x", *values], slopes, strict=True):
        assert slope.isfinite().all(), f"gradient of {name}"


@pytest.mark.parametrize("dtype", PRECISIONS, ids=str)
def test_plain_numbers_keep_the_precision(family: Family, dtype: torch.dtype) -> None:
    x = points(dtype).requires_grad_()
    y = family.function(x, **{name: p.default for name, p in family.parameters.items()})
    assert y.dtype == dtype
    assert y.shape == x.shape
    assert y.isfinite().all()
    assert torch.autograd.grad(y.sum(), x)[0].isfinite().all()


@pytest.mark.parametrize("plain", [False, True], ids=["tensors", "numbers"])
def test_higher_derivatives_are_finite(family: Family, corners: Any, plain: bool) -> None:
    """Losses with second derivatives of the network (PDEs) need the third for the weights."""
    x = points(torch.float32).requires_grad_()
    numbers = {name: p.default for name, p in family.parameters.items()}
    derivative = family.function(x, **(numbers if plain else corners(family, torch.float32)))
    for order in (1, 2, 3):
        if not derivative.requires_grad:  # those of a piecewise polynomial end in a constant
            break
        (derivative,) = torch.autograd.grad(
            derivative.sum(), x, create_graph=True, allow_unused=True, materialize_grads=True
        )
        assert derivative.isfinite().all(), order
