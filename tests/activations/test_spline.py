"""A spline has as many heights as knots, whatever their number."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import make_lsq_spline
from torch import Tensor

from actsearch.activations import Activation, describe_activation, families, fingerprint, learned_names, resolve
from actsearch.errors import InvalidRequest
from actsearch.schemas import ActivationSpec

SPLINE = families()["spline"]


def spec(**parameters: float) -> ActivationSpec:
    return ActivationSpec(family="spline", parameters=parameters)


@pytest.mark.parametrize("knots", [5, 9, 20, 32])
def test_a_module_learns_as_many_heights_as_it_has_knots(knots: int) -> None:
    module = Activation(spec(knots=knots))
    assert [name for name, _ in module.named_parameters()] == ["base", *(f"c{k}" for k in range(knots))]
    assert learned_names(module.spec) == ("base", *(f"c{k}" for k in range(knots)))
    x = torch.linspace(-6, 6, 101)
    torch.testing.assert_close(module(x), torch.nn.functional.silu(x))


def test_nine_knots_unless_asked_for_others() -> None:
    assert resolve(spec()) == resolve(spec(knots=9))
    assert fingerprint(spec(knots=9)) != fingerprint(spec(knots=10))
    assert describe_activation(spec(knots=12, c11=1.0)).activation.parameters["c11"] == 1.0


@pytest.mark.parametrize(
    ("parameters", "field", "reason"),
    [
        ({"knots": 9.5}, "parameters.knots", "must be an integer"),
        ({"knots": 4}, "parameters.knots", "5 <= knots <= 32"),
        ({"c9": 1.0}, "parameters.c9", "knots >= 10"),
        ({"knots": 31, "c31": 0.0}, "parameters.c31", "knots >= 32"),
    ],
)
def test_a_height_without_its_knot_is_a_mistake(parameters: dict[str, float], field: str, reason: str) -> None:
    with pytest.raises(InvalidRequest, match=reason) as caught:
        resolve(spec(**parameters))
    assert [problem.field for problem in caught.value.problems] == [field]


@settings(max_examples=30, deadline=None, derandomize=True)
@given(knots=st.integers(5, 32), seed=st.integers(0, 99))
def test_any_cubic_spline_on_its_knots_can_be_had(knots: int, seed: int) -> None:
    """Fitted by SciPy on the same knots, with three more at each end, as a cubic spline has everywhere inside."""
    step = 8 / (knots - 1)
    places = -4 + step * np.arange(-3, knots + 3)
    x = np.linspace(-4, 4, 400)
    wanted = np.random.default_rng(seed).normal(size=400)
    fitted = make_lsq_spline(x, wanted, places, k=3)  # knots + 2 B-splines, of which ours has all but the outermost
    middle = {f"c{k}": float(fitted.c[k + 1]) for k in range(knots)}
    fitted.c[0] = fitted.c[-1] = 0.0
    ours = SPLINE.function(torch.from_numpy(x), knots=float(knots), base=0.0, **middle)
    np.testing.assert_allclose(ours.numpy(), fitted(x), rtol=1e-6, atol=1e-9)


def test_heights_beyond_the_knots_of_a_trial_do_not_count() -> None:
    x = torch.linspace(-5, 5, 201, dtype=torch.float64).expand(2, -1).clone().requires_grad_()
    heights = {f"c{k}": torch.randn(2, 1, dtype=torch.float64, requires_grad=True) for k in range(32)}
    knots, base = torch.tensor([[7.0], [32.0]], dtype=torch.float64), torch.ones(2, 1, dtype=torch.float64)

    both = SPLINE.function(x, knots=knots, base=base, **heights)

    own = {name: float(value.detach()[0]) for name, value in heights.items() if name in SPLINE.used({"knots": 7})}
    torch.testing.assert_close(both[0], SPLINE.function(x[0], knots=7.0, base=1.0, **own))
    slopes = dict(zip(heights, torch.autograd.grad(both.sum(), list(heights.values())), strict=True))
    unused = [slope[0] for name, slope in slopes.items() if name not in own]
    assert len(unused) == 32 - 7
    assert not torch.stack(unused).any()
    assert torch.stack([slope[1] for slope in slopes.values()]).all()


@settings(max_examples=20, deadline=None, derandomize=True)
@given(knots=st.integers(5, 32), seed=st.integers(0, 99))
def test_gradients_agree_with_finite_differences(knots: int, seed: int) -> None:
    torch.manual_seed(seed)
    x = (4 * torch.randn(20, dtype=torch.float64)).requires_grad_()
    heights = torch.randn(knots, dtype=torch.float64, requires_grad=True)

    def value(x: Tensor, heights: Tensor) -> Tensor:
        return SPLINE.function(x, knots=float(knots), base=1.0, **{f"c{k}": h for k, h in enumerate(heights)})

    assert torch.autograd.gradcheck(value, (x, heights))
    assert torch.autograd.gradgradcheck(value, (x, heights))
