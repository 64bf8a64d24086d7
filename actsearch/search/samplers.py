"""Optuna's samplers by name."""

from __future__ import annotations

import hashlib
import warnings

from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler

from actsearch.schemas import Sampler


def make_sampler(sampler: Sampler, seed: int, first_number: int) -> BaseSampler:
    """The sampler for the proposals that begin with trial `first_number`.

    The random state depends on the job's seed and the trial number only, so that a search gives the same proposals
    however its runners' time slices fall.
    """
    state = int.from_bytes(hashlib.sha256(f"{seed}/{first_number}".encode()).digest()[:4], "big")
    if sampler.name == "random":
        return RandomSampler(seed=state)
    if sampler.name == "gp":
        return GPSampler(seed=state, warn_independent_sampling=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # `group` is, for years now
        # Grouped: families have parameters of their own, which a joint model could not see otherwise.
        return TPESampler(seed=state, multivariate=True, group=True, constant_liar=True)
