"""Spaces that can be tried out in full: cut into a grid, counted, and what other samplers need of a space."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from math import prod

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from actsearch.errors import FieldProblem
from actsearch.schemas import ActivationSpec, JobRequest, Scalar
from actsearch.schemas.samplers import samplers_that
from actsearch.space import FamilySpace, Space, with_baseline

_COUNTED = 100
"""Networks whose groups are counted: each is built for that, without memory, in some milliseconds."""

MOST_VALUES = 1000
"""Values that a parameter may have for a sampler that tries them all: it lists them at every proposal."""

_FITS_ANY_SPACE = samplers_that(lambda sampler: not (sampler.exhaustive or sampler.needs_numbers))


def discrete_space(space: Space, points: int, baselines: Iterable[ActivationSpec]) -> Space:
    """A space with ranges cut into at most `points` values each; steps and choices stay as they are.

    The values of the baselines join those of their families, so that trial 0 is a point of the grid.
    """

    def cut(label: str, family: FamilySpace) -> FamilySpace:
        coarse = replace(family, searched={n: _cut(d, points) for n, d in family.searched.items()})
        for baseline in baselines:
            coarse = with_baseline(coarse, baseline) if label == baseline.label else coarse
        return coarse

    return replace(
        space,
        families={label: cut(label, family) for label, family in space.families.items()},
        architecture={n: _cut(d, points) for n, d in space.architecture.items()},
        training={n: _cut(d, points) for n, d in space.training.items()},
    )


def _cut(dist: BaseDistribution, points: int) -> BaseDistribution:
    if isinstance(dist, FloatDistribution) and dist.step is None:
        spaced = np.geomspace if dist.log else np.linspace
        values = [dist.low, *spaced(dist.low, dist.high, points)[1:-1].tolist(), dist.high]
        return CategoricalDistribution(list(dict.fromkeys(values)))
    if isinstance(dist, IntDistribution) and dist.step == 1 and dist.high - dist.low >= points:
        spaced = np.geomspace if dist.log else np.linspace
        return CategoricalDistribution(sorted({round(value) for value in spaced(dist.low, dist.high, points)}))
    return dist


def count_points(space: Space, most: int = 10**9) -> int:
    """How many different trials a discrete space has, or a lower bound: from `most` on, or with very many networks.

    Raises:
        ValueError: a parameter is continuous.
    """
    activations = sum(prod(map(_values, family.searched.values())) for family in space.families.values())
    others, networks = prod(map(_values, space.training.values())), prod(map(_values, space.architecture.values()))
    if space.groups_in is None:
        return int(others * networks * activations ** len(space.groups))
    found = others * networks * activations  # every network has a group at least
    if found >= most or networks > _COUNTED:
        return int(found)
    for chosen in _combinations(space.architecture):
        found += others * (activations ** len(space.groups_in(dict(chosen))) - activations)
        if found >= most:
            break
    return int(found)


def _combinations(distributions: Mapping[str, BaseDistribution]) -> Iterator[Sequence[tuple[str, Scalar]]]:
    return itertools.product(*([(name, value) for value in _all(dist)] for name, dist in distributions.items()))


def _all(dist: BaseDistribution) -> Sequence[Scalar]:
    if isinstance(dist, CategoricalDistribution):
        return dist.choices  # type: ignore[return-value]
    if isinstance(dist, IntDistribution):
        return range(dist.low, dist.high + 1, dist.step)
    if isinstance(dist, FloatDistribution) and dist.step is not None:
        return [dist.low + i * dist.step for i in range(_values(dist))]
    raise ValueError(f"{dist!r} is continuous")


def _values(dist: BaseDistribution) -> int:
    """How many values a distribution has, without making them."""
    if isinstance(dist, CategoricalDistribution):
        return len(dist.choices)
    if isinstance(dist, IntDistribution):
        return (dist.high - dist.low) // dist.step + 1
    if isinstance(dist, FloatDistribution) and dist.step is not None:
        return round((dist.high - dist.low) / dist.step) + 1  # Optuna rounds `high` down to a step
    raise ValueError(f"{dist!r} is continuous")


def _named(space: Space) -> dict[str, BaseDistribution]:
    """Every searched parameter of a space, by the name that its errors use."""
    found = {f"{label}.{n}": d for label, f in space.families.items() for n, d in f.searched.items()}
    found |= {f"architecture.{n}": d for n, d in space.architecture.items()}
    return found | {f"training.{n}": d for n, d in space.training.items()}


def sampler_problems(request: JobRequest, space: Space) -> Iterator[FieldProblem]:
    """What the request's sampler cannot do with the space (which `discrete_space` has cut if it asks for that)."""
    name = request.sampler.name
    if request.sampler.needs_numbers:
        yield from _number_problems(name, request.sampler.needs_numbers, space)
    if not request.sampler.exhaustive:
        return
    if any(family.grammar is not None for family in space.families.values()):
        message = f"{name} cannot try all expressions of a grammar; list expressions, or use tpe"
        yield FieldProblem("sampler.name", message, _FITS_ANY_SPACE)
        return
    continuous = [n for n, d in _named(space).items() if isinstance(d, FloatDistribution) and d.step is None]
    if continuous:
        message = f"{name} tries every combination, but {', '.join(continuous)} are continuous; give steps or choices"
        yield FieldProblem("sampler.name", f"{message}, or use grid", ("grid",))
        return
    long = {n: _values(d) for n, d in _named(space).items() if _values(d) > MOST_VALUES}
    for n, values in long.items():
        message = f"{n} has {values} values, and {name} tries at most {MOST_VALUES} of one parameter"
        yield FieldProblem("sampler.name", f"{message}; give it a larger step, or choices", _FITS_ANY_SPACE)
    if long:
        return
    points = count_points(space, request.budget.trials)
    if points < request.budget.trials:
        message = f"the space has only {points} different trials (the baseline is one); ask for no more"
        yield FieldProblem("budget.trials", message)


def _number_problems(name: str, least: int, space: Space) -> Iterator[FieldProblem]:
    shared = [f"architecture.{n}" for n, d in space.architecture.items() if _is_number(d)]
    shared += [f"training.{n}" for n, d in space.training.items() if _is_number(d)]
    if len(space.families) == 1 and space.groups_in is None:
        (family,) = space.families.values()
        shared += [f"{g}: {family.name}.{n}" for g in space.groups for n, d in family.searched.items() if _is_number(d)]
    if len(shared) < least:
        message = f"{name} needs at least {least} numbers that every trial has, the baseline too; this space has"
        fix = "search training.learning_rate and others, or one family that is the baseline's, or use tpe"
        yield FieldProblem("sampler.name", f"{message} {', '.join(shared) or 'none'}; {fix}", _FITS_ANY_SPACE)


def _is_number(dist: BaseDistribution) -> bool:
    return isinstance(dist, FloatDistribution | IntDistribution) and not dist.single()
