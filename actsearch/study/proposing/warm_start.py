"""What earlier jobs found, as points of a new job's space."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution

from actsearch.study.checking.prepare import PreparedJob
from actsearch.study.proposing.shape.layout import Layout, flattened, from_share, layout_of, to_share


def as_point(prepared: PreparedJob, parameters: Mapping[str, Any]) -> dict[str, Any] | None:
    """An earlier trial's parameters in a job's space: numbers clipped to its ranges, what it lacks as trial 0 has it.

    Returns:
        None where an activation is not among those that the job searches.
    """
    layout = layout_of(prepared.space, flattened(prepared.space))
    point = {n: _kept(parameters.get(n, prepared.baseline_parameters[n]), d) for n, d in layout.plain.items()}
    for prefix in layout.groups:
        activation = _activation(layout, prefix, parameters)
        if activation is None:
            return None
        point |= activation
    return point


def _activation(layout: Layout, prefix: str, parameters: Mapping[str, Any]) -> dict[str, Any] | None:
    label = parameters.get(f"{prefix}family")
    if label not in layout.families:
        return None
    point: dict[str, Any] = {f"{prefix}family": label}
    own = layout.own(prefix, str(label))
    if any(name not in parameters for name in own):
        return None
    point |= {name: _kept(parameters[name], dist) for name, dist in own.items()}
    values = layout.values_of(prefix, str(label), point)
    if any(name not in parameters for name in values):
        return None
    return point | {name: _kept(parameters[name], dist) for name, dist in values.items()}


def _kept(value: Any, dist: BaseDistribution) -> Any:
    """`value` where the distribution has it, else what is nearest in it (of words, the first)."""
    if isinstance(dist, CategoricalDistribution):
        return value if value in dist.choices else dist.choices[0]
    return value if dist._contains(dist.to_internal_repr(value)) else from_share(to_share(value, dist), dist)
