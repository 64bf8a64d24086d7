"""Families and activations in the words of the API."""

from __future__ import annotations

import math
from collections.abc import Sequence

from actsearch.activations.curve import curve
from actsearch.activations.declaration import Family, Parameter
from actsearch.activations.expressions.family import family_of
from actsearch.activations.gain import derivative_second_moment, gain
from actsearch.activations.resolution import resolve
from actsearch.activations.snippet import snippet
from actsearch.schemas import ActivationCurve, ActivationInfo, ActivationSpec, FamilyInfo, ParameterInfo


def describe(family: Family) -> FamilyInfo:
    """What the catalogue says about a family; the gain is that of its default parameters."""
    return _family_info(family, gain(ActivationSpec(family=family.name)))


def describe_activation(
    spec: ActivationSpec, low: float = -5.0, high: float = 5.0, points: int = 201
) -> ActivationInfo:
    """What there is to know of an activation, with its curve at `points` places of [low, high].

    Raises:
        InvalidRequest: see `resolve`.
    """
    full = resolve(spec)
    own = gain(full)
    chi = own**2 * derivative_second_moment(full)
    sampled = curve(full, low, high, points)
    return ActivationInfo(
        **dict(_family_info(family_of(full), own)),
        activation=full,
        chi=chi if math.isfinite(chi) else None,
        snippet=snippet(full),
        curve=ActivationCurve(x=sampled.x, value=_finite(sampled.value), derivative=_finite(sampled.derivative)),
    )


def _finite(values: Sequence[float]) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values]


def _family_info(family: Family, its_gain: float) -> FamilyInfo:
    return FamilyInfo(
        name=family.name,
        formula=family.formula,
        reference=family.reference,
        year=family.year,
        parameters=[_parameter_info(name, parameter) for name, parameter in family.parameters.items()],
        gain=its_gain,
        smooth=family.smooth,
        monotone=family.monotone,
        bounded=family.bounded,
        cost=family.cost,
        tags=list(family.tags),
        alias_of=family.alias_of,
    )


def _parameter_info(name: str, parameter: Parameter) -> ParameterInfo:
    return ParameterInfo(
        name=name,
        type="int" if parameter.whole else "float",
        default=parameter.default,
        low=parameter.low,
        high=parameter.high,
        log=parameter.log,
        learnable=parameter.learnable,
        description=parameter.description,
    )
