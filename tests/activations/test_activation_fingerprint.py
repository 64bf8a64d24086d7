"""Fingerprints: equal functions meet, different ones part."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actsearch.activations import curve, distinct_families, families, fingerprint
from actsearch.schemas import ActivationSpec

WEIGHTS = ("w_identity", "w_relu", "w_elu", "w_tanh", "w_swish")


def spec(name: str, learned: str | None = "fixed", **parameters: float) -> ActivationSpec:
    return ActivationSpec.model_validate({"family": name, "parameters": parameters, "learned": learned})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (spec("telu"), spec("tanhexp")),
        (spec("pelu", a=1, b=1), spec("elu", alpha=1)),
        (spec("celu", alpha=1), spec("elu", alpha=1)),
        (spec("mpelu", alpha=1.7, beta=1), spec("elu", alpha=1.7)),
        (spec("swish", beta=1), spec("silu")),
        (spec("swish", beta=1.702), spec("quick_gelu")),
        (spec("acon_c", p1=1, p2=0, beta=2.3), spec("swish", beta=2.3)),
        (spec("aptx", alpha=1, beta=1, gamma=0.5), spec("swish", beta=2)),
        (spec("swish_relu_mix", mix=0), spec("relu")),
        (spec("swish_relu_mix", mix=1, beta=3), spec("swish", beta=3)),
        (spec("prelu", slope=0.1), spec("leaky_relu", slope=0.1)),
        (spec("capped_relu", cap=6), spec("relu6")),
        (spec("threshold", threshold=0, value=0), spec("relu")),
        (spec("apl", a1=0, a2=0), spec("relu")),
        (spec("spline"), spec("silu")),
        (spec("eswish", k=1), spec("silu")),
        (spec("blend_affine", **dict.fromkeys(WEIGHTS, 0.7)), spec("blend", **dict.fromkeys(WEIGHTS, 0.2))),
        (spec("blend_softmax", **dict.fromkeys(WEIGHTS, 3.0)), spec("blend", **dict.fromkeys(WEIGHTS, 0.2))),
    ],
    ids=lambda s: s.family,
)
def test_equal_functions_meet(one: ActivationSpec, other: ActivationSpec) -> None:
    assert fingerprint(one) == fingerprint(other)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(alpha=st.floats(0.1, 3.0), beta=st.floats(0.1, 10.0), slope=st.floats(0.01, 0.5))
def test_equal_functions_meet_for_any_value(alpha: float, beta: float, slope: float) -> None:
    assert fingerprint(spec("mpelu", alpha=alpha, beta=1)) == fingerprint(spec("elu", alpha=alpha))
    assert fingerprint(spec("celu", alpha=alpha)) == fingerprint(spec("pelu", a=alpha, b=alpha))
    assert fingerprint(spec("acon_c", beta=beta)) == fingerprint(spec("swish", beta=beta))
    assert fingerprint(spec("srelu", t_l=0, a_l=slope)) == fingerprint(spec("leaky_relu", slope=slope))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (spec("relu"), spec("relu6")),
        (spec("leaky_relu", slope=0.01), spec("leaky_relu", slope=0.0102)),
        (spec("prelu", slope=0.1, learned="channel"), spec("leaky_relu", slope=0.1)),
        (spec("prelu", slope=0.1, learned="channel"), spec("prelu", slope=0.1, learned="scalar")),
        (spec("elu", learned="scalar"), spec("celu", learned="scalar")),
        (spec("rrelu", lower=0.1, upper=0.3), spec("leaky_relu", slope=0.2)),
        (spec("gelu"), spec("gelu_tanh")),
        (spec("tanh"), spec("softsign")),
    ],
    ids=lambda s: s.family,
)
def test_different_functions_part(one: ActivationSpec, other: ActivationSpec) -> None:
    assert fingerprint(one) != fingerprint(other)


def test_aliases_compute_what_they_say() -> None:
    aliases = {name: found.alias_of for name, found in families().items() if found.alias_of}
    assert aliases["telu"] == "tanhexp"
    for name, other in aliases.items():
        assert fingerprint(spec(name)) == fingerprint(spec(other))
        assert other in distinct_families()


def test_a_search_over_all_families_holds_no_function_twice(setting: Any) -> None:
    """Two families are one candidate where their functions stay equal when their hyperparameters move alike."""
    seen: dict[tuple[str, ...], str] = {}
    for name, found in distinct_families().items():
        shares = (0.0, 0.3, 1.0) if found.parameters else (0.0,)
        prints = tuple(fingerprint(spec(name, None, **setting(found, share))) for share in shares)
        assert prints not in seen, f"{name} and {seen[prints]} are one function: declare alias_of"
        seen[prints] = name


def test_curve_samples_value_and_derivative() -> None:
    sampled = curve(spec("elu", alpha=2.0), low=-2, high=2, points=5)
    assert sampled.x == [-2, -1, 0, 1, 2]
    assert sampled.value == pytest.approx([2 * (0.1353353 - 1), 2 * (0.3678794 - 1), 0, 1, 2], abs=1e-6)
    assert sampled.derivative[:2] == pytest.approx([2 * 0.1353353, 2 * 0.3678794], abs=1e-6)
    assert sampled.derivative[3:] == [1, 1]
