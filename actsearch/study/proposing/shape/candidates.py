"""The candidates that compete for a cohort: at random from the whole space, and near the best trials so far."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution

from actsearch.activations import get_family
from actsearch.study.proposing.shape.features import catalogue_settings
from actsearch.study.proposing.shape.layout import Layout, Parameters, from_share, to_share

WELL_KNOWN = ("relu", "tanh", "gelu", "softplus", "elu", "mish", "silu", "leaky_relu")
"""In an order in which each differs from those before it."""
_NEAR = 0.5  # share of the candidates that are near the best
_ANEW = 0.3  # chance of a near candidate's group to take another family
_OTHER_CHOICE = 0.15  # chance of a categorical value to be drawn anew
_STEPS = (0.03, 0.1, 0.3)  # standard deviations of local steps, in units of the range


def well_known(layout: Layout) -> Iterator[Parameters]:
    """The well-known activations that the space has, everywhere alike, at their defaults where these are searched."""
    for name in WELL_KNOWN:
        if not layout.groups or name not in layout.families:
            continue
        declared = get_family(name).parameters
        point = {n: from_share(0.5, d) for n, d in layout.plain.items()}
        for prefix in layout.groups:
            point[f"{prefix}family"] = name
            for n, dist in layout.families[name].searched.items():
                point[f"{prefix}{name}.{n}"] = from_share(to_share(declared[n].default, dist), dist)
        yield point


def pool(layout: Layout, best: Sequence[Mapping[str, Any]], count: int, rng: np.random.RandomState) -> list[Parameters]:
    """About `count` different candidates; each family is among them wherever there is room."""
    near = int(count * _NEAR) if best else 0
    points = [_near(layout, best[i % len(best)], rng) for i in range(near)]
    names = list(layout.families)
    points += [_anywhere(layout, names, turn, rng) for turn in range(count - near)]
    return list({key(point): point for point in points}.values())


def key(point: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    """What tells points apart."""
    return tuple(sorted(point.items()))


def _anywhere(layout: Layout, names: Sequence[str], turn: int, rng: np.random.RandomState) -> Parameters:
    point = {n: from_share(rng.random_sample(), d) for n, d in layout.plain.items()}
    for place, prefix in enumerate(layout.groups):
        name = names[turn % len(names)] if place == 0 else names[rng.randint(len(names))]
        point |= _activation(layout, prefix, name, rng)
    return point


def _activation(layout: Layout, prefix: str, label: str, rng: np.random.RandomState) -> Parameters:
    """A family at one of the settings that its features are known for, or (an expression) anywhere."""
    own = layout.own(prefix, label)
    settings = catalogue_settings(label)
    row = settings[rng.randint(len(settings))] if len(settings) else rng.random_sample(len(own))
    shares = row if len(row) == len(own) else rng.random_sample(len(own))
    point: Parameters = {f"{prefix}family": label}
    point |= {n: from_share(u, d) for u, (n, d) in zip(shares, own.items(), strict=True)}
    return point | {n: from_share(rng.random_sample(), d) for n, d in layout.values_of(prefix, label, point).items()}


def _near(layout: Layout, point: Mapping[str, Any], rng: np.random.RandomState) -> Parameters:
    """A step from a point: its numbers a little off, a group's family or a choice perhaps another."""
    new = {n: _moved(point.get(n), d, rng) for n, d in layout.plain.items()}
    labels = list(layout.families)
    for prefix in layout.groups:
        label = str(point.get(f"{prefix}family"))
        if label not in layout.families or rng.random_sample() < _ANEW / len(layout.groups):
            new |= _activation(layout, prefix, labels[rng.randint(len(labels))], rng)
            continue
        new[f"{prefix}family"] = label
        new |= {n: _moved(point.get(n), d, rng) for n, d in layout.own(prefix, label).items()}
        new |= {n: _moved(point.get(n), d, rng) for n, d in layout.values_of(prefix, label, new).items()}
    return new


def _moved(value: Any, dist: BaseDistribution, rng: np.random.RandomState) -> Any:
    if value is None:
        return from_share(rng.random_sample(), dist)
    if isinstance(dist, CategoricalDistribution):
        return from_share(rng.random_sample(), dist) if rng.random_sample() < _OTHER_CHOICE else value
    step = _STEPS[rng.randint(len(_STEPS))]
    return from_share(min(max(to_share(value, dist) + step * rng.randn(), 0.0), 1.0), dist)
