"""What earlier jobs found, as points of a new job's space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution

from actsearch.study.checking.prepare import PreparedJob
from actsearch.study.ledger import Memory
from actsearch.study.proposing.shape import Observation, Source
from actsearch.study.proposing.shape.layout import Layout, flattened, from_share, layout_of, to_share

_AGAIN, _SHARE = 4, 4  # first proposals: so many, or the budget's share if that is less


def sources_of(prepared: PreparedJob, memories: Sequence[Memory]) -> list[Source]:
    """What earlier jobs found, in a job's space."""
    sources = []
    for memory in memories:
        points = [(as_point(prepared, parameters), score) for parameters, score in memory.trials]
        found = [Observation(point, score) for point, score in points if point is not None]
        if found:
            sources.append(Source(str(memory.job_id), found))
    return sources


def remembered_point(
    prepared: PreparedJob, sources: Sequence[Source], number: int
) -> tuple[str, Mapping[str, Any]] | None:
    """What trial `number` is to try of the best that earlier jobs found, and the name of the one that found it.

    The first trials after the baseline try the best of each source, then the second best of each ...

    Returns:
        None for any later trial, and where the sampler counts on every trial.
    """
    if prepared.request.sampler.exhaustive:
        return None
    again = _best_in_turn(sources)[: min(_AGAIN, prepared.request.budget.trials // _SHARE)]
    if not 0 < number <= len(again):
        return None
    name, observation = again[number - 1]
    return name, observation.parameters


def _best_in_turn(sources: Sequence[Source]) -> list[tuple[str, Observation]]:
    """The best of each source, then the second best of each ...; each point once."""
    ranked = [sorted(source.observations, key=lambda o: -o.score) for source in sources]
    found: dict[str, tuple[str, Observation]] = {}
    for place in range(_AGAIN):
        for source, observations in zip(sources, ranked, strict=True):
            if place < len(observations):
                observation = observations[place]
                found.setdefault(str(sorted(observation.parameters.items())), (source.name, observation))
    return list(found.values())


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
