"""Samplers by name: Optuna's and our own."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from optuna import Study
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import (
    BaseSampler,
    BruteForceSampler,
    GPSampler,
    NSGAIISampler,
    QMCSampler,
    RandomSampler,
    TPESampler,
)
from optuna.trial import FrozenTrial, TrialState

from actsearch.schemas import Sampler
from actsearch.schemas import samplers as named
from actsearch.space import Space
from actsearch.study.proposing.cmaes import ReplayedCmaEsSampler
from actsearch.study.proposing.shape import ShapeSampler, Source


def make_sampler(
    sampler: Sampler, seed: int, first_number: int, space: Space | None = None, sources: Sequence[Source] = ()
) -> BaseSampler:
    """The sampler for the proposals that begin with trial `first_number`.

    The random state depends on the job's seed and the trial number only, and whatever else a sampler remembers is in
    the study, so that a search gives the same proposals however its runners' time slices fall.

    Args:
        space: the search space; without it, `shape` learns of parameters only from trials, and `auto` is `tpe`.
        sources: what earlier jobs found, for `shape`.
    """
    chosen = resolved(sampler, space)
    state = int.from_bytes(hashlib.sha256(f"{seed}/{first_number}".encode()).digest()[:4], "big")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # half of what we use is, for years now
        if isinstance(chosen, named.ShapeSampler):
            return ShapeSampler(state, space, sources=sources, **chosen.model_dump(exclude={"name"}))
        return _MAKERS[chosen.name](chosen.model_dump(exclude={"name"}), seed, state)


def resolved(sampler: Sampler, space: Space | None) -> Sampler:
    """What `auto` means for a space; any other sampler as it is."""
    if not isinstance(sampler, named.AutoSampler):
        return sampler
    choices = () if space is None else space.families.values()
    functions = sum(2 if family.searched or family.grammar else 1 for family in choices)
    return named.ShapeSampler() if functions > 1 else named.TpeSampler()


def _tpe(options: dict[str, Any], seed: int, state: int) -> BaseSampler:
    # Grouped: families have parameters of their own, which a joint model could not see otherwise.
    return TPESampler(seed=state, group=options["multivariate"], **options)


def _qmc(options: dict[str, Any], seed: int, state: int) -> BaseSampler:
    # The seed says which sequence it is, so it must stay; the study remembers how far the sequence has come.
    at_random = RandomSampler(seed=state)
    return QMCSampler(seed=seed, independent_sampler=at_random, warn_independent_sampling=False, **options)


def _exhaustive(options: dict[str, Any], seed: int, state: int) -> BaseSampler:
    # `search.prepare` has made the space discrete; Optuna's own GridSampler knows no conditional spaces.
    return _Exhaustive(seed=state)


_MAKERS: Mapping[str, Callable[[dict[str, Any], int, int], BaseSampler]] = {
    "tpe": _tpe,
    "gp": lambda options, _, state: GPSampler(seed=state, warn_independent_sampling=False, **options),
    "random": lambda _, __, state: RandomSampler(seed=state),
    "qmc": _qmc,
    "cmaes": lambda options, _, state: ReplayedCmaEsSampler(seed=state, warn_independent_sampling=False, **options),
    "nsga2": lambda options, _, state: NSGAIISampler(seed=state, **options),
    "grid": _exhaustive,
    "brute_force": _exhaustive,
}


class _Exhaustive(BruteForceSampler):
    """Optuna's, which would end the study when all is tried; here the budget does, and is checked against the space."""

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        pass
