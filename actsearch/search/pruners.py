"""Optuna's pruners by name."""

from __future__ import annotations

import binascii

from optuna import Study
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner
from optuna.trial import FrozenTrial

from actsearch.schemas import Pruner


def make_pruner(pruner: Pruner, epochs: int, seed: int) -> BasePruner:
    """The pruner for trials of at most `epochs` epochs; its steps are epochs.

    Args:
        seed: of the job; it decides which trials go to which bracket.
    """
    if pruner.name == "median":
        return MedianPruner(n_startup_trials=5, n_warmup_steps=max(1, epochs // 10))
    if pruner.name == "hyperband":
        return SeededHyperbandPruner(seed, epochs)
    return NopPruner()


class SeededHyperbandPruner(HyperbandPruner):
    """Optuna's Hyperband, but the seed and not the study's name spreads trials over brackets.

    A study is named after its job, so the same request would otherwise prune other trials every time.
    """

    def __init__(self, seed: int, epochs: int) -> None:
        super().__init__(min_resource=1, max_resource=epochs, reduction_factor=3)
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
