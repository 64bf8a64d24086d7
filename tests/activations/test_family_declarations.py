"""What a family declares about itself is so."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from actsearch.activations import Family, Parameter, describe, families, family, fingerprint, get_family, resolve
from actsearch.errors import InvalidRequest, NotFound
from actsearch.schemas import ActivationSpec


def default(family: Family, x: Tensor) -> Tensor:
    return family.function(x, **{name: p.default for name, p in family.parameters.items()})


def test_monotone_as_declared(family: Family) -> None:
    x = torch.cat([torch.linspace(-50, 50, 100_001), torch.linspace(-1, 1, 100_001)]).double().sort().values
    assert bool((default(family, x).diff() >= -1e-12).all()) == family.monotone


def test_bounded_as_declared(family: Family) -> None:
    near, far = (default(family, torch.linspace(-r, r, 20_001).double()).abs().max() for r in (100.0, 10_000.0))
    assert bool(far < 1.05 * near) == family.bounded


def test_smooth_as_declared(family: Family, corners: Any) -> None:
    """A kink is where the derivative still jumps as much between points a thousand times closer."""
    values = corners(family, torch.float64)
    rows = len(next(iter(values.values()))) if values else 1
    worst = max(jump(family, {name: float(v[k]) for name, v in values.items()}) for k in range(rows))
    assert (worst < 0.1) == family.smooth


def jump(family: Family, values: dict[str, float]) -> float:
    """Largest jump of f' on a fine grid that does not shrink when the grid is refined there, else near 0."""
    x = torch.linspace(-8, 8, 160_001).double()
    steps = slope(family, values, x).diff().abs()
    at = int(steps.argmax())
    if steps[at] < 1e-9:
        return 0.0
    closer = torch.linspace(float(x[at]), float(x[at + 1]), 1001).double()
    return float(slope(family, values, closer).diff().abs().max() / steps[at])


def slope(family: Family, values: dict[str, float], x: Tensor) -> Tensor:
    x = x.clone().requires_grad_()
    (derivative,) = torch.autograd.grad(family.function(x, **values).sum(), x)
    return derivative


def test_defaults_lie_in_their_ranges(family: Family) -> None:
    for name, p in family.parameters.items():
        assert p.low <= p.default <= p.high, name
        assert p.description, name
        assert not p.log or p.low > 0, name


def test_spec_survives_json(family: Family) -> None:
    full = resolve(ActivationSpec(family=family.name))
    again = ActivationSpec.model_validate_json(full.model_dump_json())
    assert again == full == resolve(again)
    assert fingerprint(again) == fingerprint(full)


def test_description_carries_the_declaration(family: Family) -> None:
    info = describe(family)
    assert (info.name, info.formula, info.reference) == (family.name, family.formula, family.reference)
    assert [(p.name, p.default, p.low, p.high, p.learnable) for p in info.parameters] == [
        (name, p.default, p.low, p.high, p.learnable) for name, p in family.parameters.items()
    ]
    assert info.gain > 0
    assert set(info.tags) == set(family.tags)


def test_value_out_of_range_names_field_and_range(family: Family) -> None:
    for name, p in family.parameters.items():
        for value in (p.low - 0.01, p.high + 0.01):
            with pytest.raises(InvalidRequest) as caught:
                resolve(ActivationSpec(family=family.name, parameters={name: value}))
            (problem,) = caught.value.problems
            assert problem.field == f"parameters.{name}"
            assert f"{p.low:g} <= {name} <= {p.high:g}" in problem.message


def test_every_problem_is_named_at_once() -> None:
    spec = ActivationSpec(family="leaky_relu", parameters={"slope": 9.0, "alpha": 1.0}, learned="channel")
    with pytest.raises(InvalidRequest) as caught:
        resolve(spec)
    problems = {p.field: p for p in caught.value.problems}
    assert list(problems) == ["parameters.slope", "parameters.alpha", "learned"]
    assert problems["parameters.alpha"].allowed == ("slope",)


def test_unknown_family_lists_the_known() -> None:
    with pytest.raises(InvalidRequest) as caught:
        resolve(ActivationSpec(family="reluu"))
    assert caught.value.problems[0].field == "family"
    assert "relu" in caught.value.problems[0].allowed
    with pytest.raises(NotFound, match="reluu"):
        get_family("reluu")


def test_resolve_fills_in_defaults_and_habit() -> None:
    assert resolve(ActivationSpec(family="prelu")) == ActivationSpec(
        family="prelu", parameters={"slope": 0.25}, learned="channel"
    )
    assert resolve(ActivationSpec(family="elu", parameters={"alpha": 2})).learned == "fixed"
    assert resolve(ActivationSpec(family="elu", learned="scalar")).learned == "scalar"


@pytest.mark.parametrize(
    ("function", "given", "reason"),
    [
        (lambda x: x, {"name": "expression"}, "already"),
        (lambda x: x, {"name": "Two Words"}, "lowercase"),
        (lambda x: x, {"parameters": {"a": Parameter(1, 0, 2)}}, r"declares \['a'\], its function takes \[\]"),
        (lambda x, a, b: x, {"parameters": {"a": Parameter(1, 0, 2)}}, r"takes \['a', 'b'\]"),
        (lambda x, a: x, {"parameters": {"a": Parameter(3, 0, 2)}}, "low <= default <= high"),
        (lambda x, a: x, {"parameters": {"a": Parameter(1, 0, 2, log=True)}}, "low > 0"),
    ],
)
def test_a_wrong_declaration_is_refused(function: Any, given: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        family(**{"name": "wrong", "formula": "x", "reference": "-"} | given)(function)
    assert "wrong" not in families()


def test_a_name_is_declared_once() -> None:
    before = families()
    with pytest.raises(ValueError, match="relu"):
        family(name="relu", formula="x", reference="-", parameters={"a": Parameter(1, 0, 2)})(torch.relu)
    assert families() == before
