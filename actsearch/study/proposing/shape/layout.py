"""What a search space looks like to the model: groups that choose an activation, and plain parameters beside them."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from actsearch.activations import AS_GIVEN, Grammar, get_family
from actsearch.activations.expressions.grammar import PARAMETRIC, compose, used_parameters
from actsearch.space import FamilySpace, Space, group_prefix
from actsearch.study.proposing.shape.features import WIDTH, Activation, Array, features

Parameters = dict[str, Any]


@dataclass(frozen=True)
class Layout:
    """The parameters of a search, by Optuna's names.

    Args:
        groups: prefixes of the groups whose family is searched.
        families: see `Space`.
        plain: distributions of all other parameters.
        groups_in: prefixes of the groups of the network that a point describes; None where all networks have all.
    """

    groups: Sequence[str]
    families: Mapping[str, FamilySpace]
    plain: Mapping[str, BaseDistribution]
    groups_in: Callable[[Mapping[str, Any]], Collection[str]] | None = None

    def used(self, point: Mapping[str, Any]) -> Parameters:
        """A point without the activations of groups that its network lacks: what its trial will be asked for."""
        if self.groups_in is None:
            return dict(point)
        present = self.groups_in(point)
        absent = tuple(prefix for prefix in self.groups if prefix not in present)
        return {n: value for n, value in point.items() if not n.startswith(absent)}

    def activations(self, point: Mapping[str, Any]) -> Parameters:
        """A point without its plain parameters."""
        return {n: value for n, value in point.items() if n not in self.plain}

    def fixed(self, point: Mapping[str, Any], given: Mapping[str, Any]) -> Parameters:
        """A point with some of its parameters given; where that is a group's family, its hyperparameters are too."""
        starts = tuple(
            f"{prefix}{label}." for prefix in self.groups if f"{prefix}family" in given for label in self.families
        )
        return self.used({**{n: value for n, value in point.items() if not n.startswith(starts)}, **given})

    def encode(self, points: Sequence[Mapping[str, Any]]) -> tuple[Array, Array]:
        """Points as (N, S) shapes, the groups' side by side, and (N, Q) plain parameters in [0, 1].

        Whole numbers of activations, such as a spline's knots, count as plain: at first they do not change the shape.
        """
        shapes = [self._shapes(prefix, points) for prefix in self.groups]
        beside = {**self.plain, **self._whole()}
        plain = [[x for n, d in beside.items() for x in _encoded(p.get(n), d)] for p in points]
        width = sum(len(_encoded(None, d)) for d in beside.values())
        return (
            np.concatenate(shapes, 1) / np.sqrt(len(shapes)) if shapes else np.zeros((len(points), 0)),
            np.array(plain).reshape(len(points), width),
        )

    def _whole(self) -> dict[str, BaseDistribution]:
        """The searched whole numbers of all groups' families."""
        return {
            f"{prefix}{label}.{n}": dist
            for label, family in self.families.items()
            if family.grammar is None and family.expression is None
            for n, dist in family.searched.items()
            if get_family(family.name).parameters[n].whole
            for prefix in self.groups
        }

    def _shapes(self, prefix: str, points: Sequence[Mapping[str, Any]]) -> Array:
        """Shapes (N, D) of one group; a network without it, or with it as given, is in the middle of the catalogue."""
        labels = [p.get(f"{prefix}family") for p in points]
        present = [i for i, label in enumerate(labels) if label in self.families and label != AS_GIVEN]
        rows = np.zeros((len(points), WIDTH))
        if present:
            rows[present] = features([self.activation(prefix, points[i]) for i in present])
        return rows

    def activation(self, prefix: str, point: Mapping[str, Any]) -> Activation:
        """A point's activation in one group."""
        label = point[f"{prefix}family"]
        family = self.families[label]
        if family.grammar is not None:
            chosen = _operators(f"{prefix}{label}.", point, family.grammar)
            values = {n: float(point[f"{prefix}{label}.{n}.{chosen[n]}"]) for n in used_parameters(chosen)}
            return family.name, compose(chosen).text, values
        searched = {n: float(point[f"{prefix}{label}.{n}"]) for n in family.searched}
        return family.name, family.expression, {**family.fixed, **searched}

    def own(self, prefix: str, label: str) -> dict[str, BaseDistribution]:
        """The distributions of a family's parameters in one group; of a grammar's, only its operators'."""
        family = self.families[label]
        if family.grammar is not None:
            choices = family.grammar.choices()
            return {f"{prefix}{label}.{n}": CategoricalDistribution(operators) for n, operators in choices.items()}
        return {f"{prefix}{label}.{n}": d for n, d in family.searched.items()}

    def values_of(self, prefix: str, label: str, point: Mapping[str, Any]) -> dict[str, BaseDistribution]:
        """The distributions of the numbers that a grammar's chosen operators have; none for other families."""
        grammar = self.families[label].grammar
        if grammar is None:
            return {}
        start = f"{prefix}{label}."
        chosen = _operators(start, point, grammar)
        return {
            f"{start}{n}.{chosen[n]}": FloatDistribution(p.low, p.high, log=p.log)
            for n, p in used_parameters(chosen).items()
        }


def _operators(start: str, point: Mapping[str, Any], grammar: Grammar) -> dict[str, str]:
    return {place: str(point[start + place]) for place in grammar.choices()}


def layout_of(space: Space | None, search_space: Mapping[str, BaseDistribution]) -> Layout:
    """The layout of what is to be sampled now; without a space, every parameter is a plain one."""
    if space is None:
        return Layout((), {}, dict(search_space))
    groups = [p for p in map(group_prefix, space.groups) if f"{p}family" in search_space]
    inside = {f"{p}family" for p in groups}
    starts = tuple(f"{p}{label}." for p in groups for label in space.families)
    plain = {n: d for n, d in search_space.items() if n not in inside and not n.startswith(starts or ("\0",))}
    return Layout(groups, space.families, plain, _groups_in(space))


def _groups_in(space: Space) -> Callable[[Mapping[str, Any]], Collection[str]] | None:
    """See `Layout`."""
    found = space.groups_in
    if found is None:
        return None
    start = "architecture."
    only = {n: _only_value(d) for n, d in space.architecture.items() if d.single()}  # no part of any point

    def present(point: Mapping[str, Any]) -> Collection[str]:
        searched = {n.removeprefix(start): value for n, value in point.items() if n.startswith(start)}
        return {group_prefix(group) for group in found(only | searched)}

    return present


def _only_value(dist: BaseDistribution) -> Any:
    return dist.choices[0] if isinstance(dist, CategoricalDistribution) else dist.low  # type: ignore[attr-defined]


def flattened(space: Space) -> dict[str, BaseDistribution]:
    """Every parameter that a trial of the space may have, those with one value left out."""
    found: dict[str, BaseDistribution] = {f"architecture.{n}": d for n, d in space.architecture.items()}
    for prefix in map(group_prefix, space.groups):
        found[f"{prefix}family"] = CategoricalDistribution(tuple(space.families))
        for label, family in space.families.items():
            found |= _of_family(f"{prefix}{label}.", family)
    found |= {f"training.{n}": d for n, d in space.training.items()}
    return {name: dist for name, dist in found.items() if not dist.single()}


def _of_family(start: str, family: FamilySpace) -> dict[str, BaseDistribution]:
    if family.grammar is None:
        return {start + n: d for n, d in family.searched.items()}
    found: dict[str, BaseDistribution] = {}
    for place, operators in family.grammar.choices().items():
        found[start + place] = CategoricalDistribution(operators)
        for operator in set(operators) & PARAMETRIC.keys():
            p, _ = PARAMETRIC[operator]
            found[f"{start}{place}.{operator}"] = FloatDistribution(p.low, p.high, log=p.log)
    return found


def to_share(value: Any, dist: BaseDistribution) -> float:
    """Where a value lies in its distribution, in [0, 1]; a choice in the middle of its place."""
    if isinstance(dist, CategoricalDistribution):
        return (dist.choices.index(value) + 0.5) / len(dist.choices) if value in dist.choices else 0.5
    low, high, number = dist.low, dist.high, float(value)  # type: ignore[attr-defined]
    if high <= low:
        return 0.5
    if dist.log:  # type: ignore[attr-defined]
        low, high, number = math.log(low), math.log(high), math.log(max(number, low))
    return float(min(max((number - low) / (high - low), 0.0), 1.0))


def from_share(share: float, dist: BaseDistribution) -> Any:
    """The value at `share` in [0, 1] of a distribution, of the type that Optuna wants."""
    if isinstance(dist, CategoricalDistribution):
        return dist.choices[min(int(share * len(dist.choices)), len(dist.choices) - 1)]
    if not isinstance(dist, FloatDistribution | IntDistribution):
        raise TypeError(f"no value of {dist!r}")
    low, high = float(dist.low), float(dist.high)
    if dist.log:
        value = math.exp(math.log(low) + share * (math.log(high) - math.log(low)))
    else:
        value = low + share * (high - low)
    if dist.step:
        value = low + round((value - low) / dist.step) * dist.step
    value = min(max(value, low), high)
    return round(value) if isinstance(dist, IntDistribution) else float(value)


def _encoded(value: Any, dist: BaseDistribution) -> list[float]:
    if isinstance(dist, CategoricalDistribution):
        return [float(value == choice) / np.sqrt(2) for choice in dist.choices]
    return [0.5 if value is None else to_share(value, dist)]
