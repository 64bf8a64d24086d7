"""Optuna's pruners by name."""

from __future__ import annotations

import binascii
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from optuna import Study
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import (
    BasePruner,
    HyperbandPruner,
    MedianPruner,
    NopPruner,
    PatientPruner,
    PercentilePruner,
    SuccessiveHalvingPruner,
    ThresholdPruner,
    WilcoxonPruner,
)
from optuna.trial import FrozenTrial

from actsearch.schemas import Pruner
from actsearch.schemas import pruners as named

# Hyperband's thirds leave two rungs before the end, at epochs 1 and 3; with fewer there is little to save.
_WORTH_PRUNING = 9


def make_pruner(pruner: Pruner, epochs: int, seed: int) -> BasePruner:
    """The pruner for trials of at most `epochs` epochs; its steps are epochs.

    Args:
        seed: of the job; it decides which trials go to which bracket.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return _made(pruner, epochs, seed)


def _made(pruner: Pruner, epochs: int, seed: int) -> BasePruner:
    if isinstance(pruner, named.AutoPruner):
        return _made(named.HyperbandPruner() if epochs >= _WORTH_PRUNING else named.NoPruner(), epochs, seed)
    if isinstance(pruner, named.PatientPruner):
        wrapped = pruner.wrapped_pruner
        inner = None if isinstance(wrapped, named.NoPruner) else _made(wrapped, epochs, seed)
        return PatientPruner(inner, pruner.patience, pruner.min_delta)
    options = pruner.model_dump(exclude={"name"})
    if options.get("n_warmup_steps", 0) is None:
        options["n_warmup_steps"] = max(1, epochs // 10)
    return _MAKERS[pruner.name](options, epochs, seed)


class SeededHyperbandPruner(HyperbandPruner):
    """Optuna's Hyperband, but the seed and not the study's name spreads trials over brackets.

    A study is named after its job, so the same request would otherwise prune other trials every time.
    """

    def __init__(self, seed: int, epochs: int, *, min_resource: int, reduction_factor: int) -> None:
        least = min(min_resource, epochs)
        super().__init__(min_resource=least, max_resource=epochs, reduction_factor=reduction_factor)
        self._seed = seed

    def _get_bracket_id(self, study: Study, trial: FrozenTrial) -> int:
        if not self._pruners:
            return 0
        place = binascii.crc32(f"{self._seed}_{trial.number}".encode()) % self._total_trial_allocation_budget
        for bracket, budget in enumerate(self._trial_allocation_budgets):
            place -= budget
            if place < 0:
                return bracket
        raise AssertionError("the brackets' budgets add up to the total")


_MAKERS: Mapping[str, Callable[[dict[str, Any], int, int], BasePruner]] = {
    "none": lambda _, __, ___: NopPruner(),
    "hyperband": lambda options, epochs, seed: SeededHyperbandPruner(seed, epochs, **options),
    "asha": lambda options, _, __: SuccessiveHalvingPruner(**options),
    "median": lambda options, _, __: MedianPruner(**options),
    "percentile": lambda options, _, __: PercentilePruner(**options),
    "wilcoxon": lambda options, _, __: WilcoxonPruner(**options),
    "threshold": lambda options, _, __: ThresholdPruner(**options),
}
