"""A family in the words of the API."""

from __future__ import annotations

from actsearch.activations.declaration import Family, Parameter
from actsearch.activations.gain import gain
from actsearch.schemas import ActivationSpec, FamilyInfo, ParameterInfo


def describe(family: Family) -> FamilyInfo:
    """What the catalogue says about a family; the gain is that of its default parameters."""
    return FamilyInfo(
        name=family.name,
        formula=family.formula,
        reference=family.reference,
        parameters=[_parameter_info(name, parameter) for name, parameter in family.parameters.items()],
        gain=gain(ActivationSpec(family=family.name)),
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
        type="float",
        default=parameter.default,
        low=parameter.low,
        high=parameter.high,
        log=parameter.log,
        learnable=parameter.learnable,
        description=parameter.description,
    )
