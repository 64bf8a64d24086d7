"""Every family against torch.nn, or against its published formula written out with numpy and scipy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special
from scipy.interpolate import BSpline
from torch import nn

from actsearch.activations import Family, Parameter, families
from actsearch.activations.rational import INITIAL

X = np.linspace(-12.0, 12.0, 1201) + 1e-3 * np.pi
sigma, erf, tanh, exp = special.expit, special.erf, np.tanh, np.exp


def soft(x: Any) -> Any:
    return np.logaddexp(x, 0.0)


def relu(x: Any) -> Any:
    return np.maximum(x, 0.0)


def ratio(x: Any, **c: float) -> Any:
    p, q = [c[f"p{i}"] for i in range(6)], [0.0] + [c[f"q{j}"] for j in range(1, 5)]
    return np.polyval(p[::-1], x) / (1 + np.abs(np.polyval(q[::-1], x)))


def splines(x: Any, knots: float, base: float, **c: float) -> Any:
    places = np.linspace(-4, 4, int(knots))
    step = places[1] - places[0]
    total = base * x * sigma(x)
    for k, place in enumerate(places):
        bump = BSpline.basis_element(place + step * np.arange(-2, 3), extrapolate=False)(x)
        total = total + c[f"c{k}"] * np.nan_to_num(bump)
    return total


def react(x: Any, a: float, b: float, c: float, d: float) -> Any:
    ratio = exp(a * x + b) / (1 + exp(c * x + d))
    return 1 / (1 + exp(c * x + d)) - np.minimum(ratio, exp(20.0))  # to the left it grows without bound; ours stops


def blended(x: Any, weights: Any) -> Any:
    return weights @ [x, relu(x), np.where(x > 0, x, np.expm1(np.minimum(x, 0))), tanh(x), x * sigma(x)]


PUBLISHED: dict[str, Callable[..., Any]] = {
    "rrelu": lambda x, lower, upper: np.where(x > 0, x, (lower + upper) / 2 * x),
    "capped_relu": lambda x, cap: np.clip(x, 0, cap),
    "shifted_relu": lambda x, shift, offset: np.maximum(x - shift, 0) + offset,
    "squared_relu": lambda x: relu(x) ** 2,
    "star_relu": lambda x, scale, bias: scale * relu(x) ** 2 + bias,
    "abs": np.abs,
    "pelu": lambda x, a, b: np.where(x >= 0, a / b * x, a * (exp(x / b) - 1)),
    "mpelu": lambda x, alpha, beta: np.where(x > 0, x, alpha * (exp(beta * x) - 1)),
    "delu": lambda x, n: np.where(x > 0, (n + 0.5) * x + np.abs(exp(-x) - 1), x * sigma(x)),
    "xielu": lambda x, alpha_p, alpha_n, beta: np.where(
        x > 0, alpha_p * x**2 + beta * x, alpha_n * (exp(x) - 1) - alpha_n * x + beta * x
    ),
    "serlu": lambda x, scale, alpha: np.where(x >= 0, scale * x, scale * alpha * x * exp(x)),
    "swish": lambda x, beta: x * sigma(beta * x),
    "swish_relu_mix": lambda x, beta, mix: mix * x * sigma(beta * x) + (1 - mix) * relu(x),
    "quick_gelu": lambda x: x * sigma(1.702 * x),
    "eswish": lambda x, k: k * x * sigma(x),
    "acon_c": lambda x, p1, p2, beta: (p1 - p2) * x * sigma(beta * (p1 - p2) * x) + p2 * x,
    "aptx": lambda x, alpha, beta, gamma: (alpha + tanh(beta * x)) * gamma * x,
    "hardmish": lambda x: x / 2 * np.minimum(2, np.maximum(0, x + 2)),
    "pflu": lambda x: x * 0.5 * (1 + x / np.sqrt(1 + x**2)),
    "smu": lambda x, a, mu: 0.5 * ((1 + a) * x + (1 - a) * x * erf(mu * (1 - a) * x)),
    "coslu": lambda x, a, b: (x + a * np.cos(b * x)) * sigma(x),
    "tanhexp": lambda x: x * tanh(exp(x)),
    "telu": lambda x: x * tanh(exp(x)),
    "gish": lambda x: x * np.log(2 - exp(-exp(x))),
    "serf": lambda x: x * erf(soft(x)),
    "logish": lambda x, alpha, beta: alpha * x * np.log(1 + sigma(beta * x)),
    "smish": lambda x, alpha, beta: alpha * x * tanh(np.log(1 + sigma(beta * x))),
    "phish": lambda x: x * tanh(x * special.ndtr(x)),
    "lisht": lambda x: x * tanh(x),
    "scaled_tanh": lambda x, a, b: a * tanh(b * x),
    "penalized_tanh": lambda x, a: np.where(x > 0, tanh(x), a * tanh(x)),
    "arctan": np.arctan,
    "isru": lambda x, alpha: x / np.sqrt(1 + alpha * x**2),
    "isrlu": lambda x, alpha: np.where(x >= 0, x, x / np.sqrt(1 + alpha * x**2)),
    "shifted_softplus": lambda x, beta: (soft(beta * x) - np.log(2)) / beta,
    "log_sigmoid": lambda x: -soft(-x),
    "squareplus": lambda x, b: (x + np.sqrt(x**2 + b)) / 2,
    "sine": lambda x, omega: np.sin(omega * x),
    "finer": lambda x, omega: np.sin(omega * (np.abs(x) + 1) * x),
    "snake": lambda x, a: x + np.sin(a * x) ** 2 / a,
    "gcu": lambda x: x * np.cos(x),
    "gaussian": lambda x, s: exp(-(x**2) / (2 * s**2)),
    "ricker": lambda x, s: (1 - (x / s) ** 2) * exp(-(x**2) / (2 * s**2)),
    "srelu": lambda x, t_l, a_l, t_r, a_r: np.where(
        x >= t_r, t_r + a_r * (x - t_r), np.where(x <= t_l, t_l + a_l * (x - t_l), x)
    ),
    "apl": lambda x, a1, b1, a2, b2: relu(x) + a1 * np.maximum(0, b1 - x) + a2 * np.maximum(0, b2 - x),
    "blend": lambda x, **w: blended(x, np.array(list(w.values()))),
    "blend_affine": lambda x, **w: blended(x, np.array(list(w.values())) + (1 - sum(w.values())) / 5),
    "blend_softmax": lambda x, **w: blended(x, special.softmax(list(w.values()))),
    "spline": splines,
    "golu": lambda x, alpha, beta, gamma: alpha * x * exp(-beta * exp(-gamma * x)),
    "agl": lambda x, lam, kappa: x * (1 + lam * exp(-kappa * x)) ** (-1 / lam),
    "xatlu": lambda x, alpha: x * ((np.arctan(x) / np.pi + 0.5) * (1 + 2 * alpha) - alpha),
    "xgelu": lambda x, alpha: x * (special.ndtr(x) * (1 + 2 * alpha) - alpha),
    "xsilu": lambda x, alpha: x * (sigma(x) * (1 + 2 * alpha) - alpha),
    "swish_t": lambda x, alpha, beta: sigma(beta * x) * (x + 2 * alpha / beta) - alpha / beta,
    "b_silu": lambda x, alpha: (x + alpha) * sigma(x) - alpha / 2,
    "gelu_sine": lambda x, alpha, omega: x * special.ndtr(x) + alpha * np.sin(omega * x),
    "gmtu": lambda x, a, b, c: tanh(a * x) * exp(-b * x**2) + c * x,
    "hosc": lambda x, beta, omega: tanh(beta * np.sin(omega * x)),
    "cauchy": lambda x, l1, l2, d: (l1 * x + l2) / (x**2 + d**2),
    "react": react,
    "staf": lambda x, **w: sum(w[f"b{i}"] * np.sin(w[f"w{i}"] * x + w[f"p{i}"]) for i in range(1, 6)),
} | {f"rational_{name}": ratio for name in INITIAL}


def reference(family: Family, values: dict[str, float]) -> Any:
    if family.torch_module is None:
        return PUBLISHED[family.name](X, **values)
    module = eval(family.torch_module.format(**values, channels=1), {"nn": nn}).double().eval()
    return module(torch.from_numpy(X).unsqueeze(1)).squeeze(1).detach().numpy()


def test_every_family_has_a_reference() -> None:
    without = [name for name, family in families().items() if family.torch_module is None and name not in PUBLISHED]
    assert not without, "write the paper's formula into PUBLISHED, or name the torch.nn module in the declaration"


def test_the_catalogue_is_wide() -> None:
    assert len(families()) >= 70


def numbers(p: Parameter) -> st.SearchStrategy[float]:
    return st.integers(int(p.low), int(p.high)) if p.whole else st.floats(p.low, p.high)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(data=st.data())
def test_value_equals_the_published_formula(family: Family, data: st.DataObject) -> None:
    values = {name: float(data.draw(numbers(p), label=name)) for name, p in family.parameters.items()}
    ours = family.function(torch.from_numpy(X), **values).numpy()
    np.testing.assert_allclose(ours, reference(family, values), rtol=1e-6, atol=1e-6)


@settings(deadline=None)
@given(alpha=st.floats(1.0, 2.5))
def test_b_silu_is_swish_t_at_other_settings(alpha: float) -> None:
    x = torch.from_numpy(X)
    other = families()["swish_t"].function(x, alpha=alpha / 2, beta=1.0)
    torch.testing.assert_close(families()["b_silu"].function(x, alpha=alpha), other)


@pytest.mark.parametrize("name", INITIAL)
def test_rational_starts_close_to_its_namesake(name: str) -> None:
    x = np.linspace(-3, 3, 501)
    wanted = {"relu": relu(x), "leaky_relu": np.maximum(x, 0.01 * x), "swish": x * sigma(x), "tanh": tanh(x)}[name]
    family = families()[f"rational_{name}"]
    ours = ratio(x, **{key: p.default for key, p in family.parameters.items()})
    np.testing.assert_allclose(ours, wanted, atol=0.04 if "relu" in name else 1e-3)
