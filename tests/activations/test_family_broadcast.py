"""One line serves one model and a cohort: K parameter values at once equal K single calls."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.func import grad, vmap

from actsearch.activations import Family

K, B, C = 6, 5, 7


def draw(family: Family) -> tuple[Tensor, dict[str, Tensor]]:
    """x (K, B, C) and K values of each parameter (K,)."""
    generator = torch.Generator().manual_seed(1)
    x = 3 * torch.randn(K, B, C, generator=generator, dtype=torch.float64)
    shares = {name: torch.rand(K, generator=generator, dtype=torch.float64) for name in family.parameters}
    values = {name: p.low + shares[name] * (p.high - p.low) for name, p in family.parameters.items()}
    return x, values | {name: values[name].round() for name, p in family.parameters.items() if p.whole}


def one_by_one(family: Family, x: Tensor, values: dict[str, Tensor]) -> Tensor:
    rows = [family.function(x[k], **{name: float(v[k]) for name, v in values.items()}) for k in range(K)]
    return torch.stack(rows)


def test_stacked_values_equal_single_calls(family: Family) -> None:
    x, values = draw(family)
    stacked = family.function(x, **{name: v.view(K, 1, 1) for name, v in values.items()})
    torch.testing.assert_close(stacked, one_by_one(family, x, values), rtol=1e-12, atol=1e-12)


def test_vmap_equals_single_calls(family: Family) -> None:
    x, values = draw(family)
    mapped = vmap(lambda row, scalars: family.function(row, **scalars))(x, values)
    torch.testing.assert_close(mapped, one_by_one(family, x, values), rtol=1e-12, atol=1e-12)


def test_vmap_of_grad_equals_single_gradients(family: Family) -> None:
    x, values = draw(family)

    def total(row: Tensor, scalars: dict[str, Tensor]) -> Tensor:
        return family.function(row, **scalars).square().sum()

    slopes = vmap(grad(total, argnums=(0, 1)))(x, values)
    for k in range(K):
        row, scalars = x[k].clone().requires_grad_(), {n: v[k].clone().requires_grad_() for n, v in values.items()}
        single = torch.autograd.grad(
            total(row, scalars), [row, *scalars.values()], allow_unused=True, materialize_grads=True
        )
        torch.testing.assert_close([slopes[0][k], *(s[k] for s in slopes[1].values())], list(single))


def test_rest_of_a_cohort_never_touches_a_row(family: Family) -> None:
    x, values = draw(family)
    shaped = {name: v.view(K, 1, 1) for name, v in values.items()}
    poisoned = x.clone()
    poisoned[0] = float("nan")
    torch.testing.assert_close(family.function(poisoned, **shaped)[1:], family.function(x, **shaped)[1:])
