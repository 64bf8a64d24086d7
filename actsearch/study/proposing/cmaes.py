"""Optuna's CMA-ES without its pickled state: docs/decisions/0023-cmaes-replays-its-trials.md."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from optuna import Study
from optuna._transform import _SearchSpaceTransform
from optuna.distributions import BaseDistribution
from optuna.samplers import CmaEsSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial

_TOLD = "x_for_tell"
"""Where Optuna notes, with margin, what a trial's point is to the optimizer."""


class ReplayedCmaEsSampler(CmaEsSampler):
    """Optuna's sampler, but for where the optimizer comes from: told all generations anew instead of unpickled.

    The optimizer's state follows from the trials and their values alone. What a sampler has been told it keeps.
    """

    _searched: dict[str, BaseDistribution] | None = None
    _space: _SearchSpaceTransform
    _direction: StudyDirection
    _optimizer: Any = None

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """See Optuna."""
        if search_space and search_space != self._searched:
            self._searched, self._direction, self._optimizer = search_space, study.direction, None
            # As Optuna's own; with margin, the optimizer handles the steps.
            self._space = _SearchSpaceTransform(search_space, transform_step=not self._with_margin, transform_0_1=True)
        return super().sample_relative(study, trial, search_space)

    def _restore_optimizer(self, completed_trials: list[FrozenTrial]) -> Any:
        if self._optimizer is None:
            self._optimizer = self._init_optimizer(self._space, self._direction)
        while True:
            told = self._get_solution_trials(completed_trials, self._optimizer.generation)
            told = told[: self._optimizer.population_size]
            if len(told) < self._optimizer.population_size:
                return self._optimizer
            self._optimizer.tell([(self._point(trial), self._loss(trial)) for trial in told])

    def _split_optimizer_str(self, optimizer_str: str) -> dict[str, str]:
        return {}  # nothing is stored

    def _get_solution_trials(self, trials: Sequence[FrozenTrial], generation: int) -> list[FrozenTrial]:
        """Those of a generation, as they finished: the first of them are what the optimizer was told at the time."""
        found = super()._get_solution_trials(list(trials), generation)
        if self._with_margin:  # what all trials share may have become less since
            found = [trial for trial in found if len(trial.system_attrs[_TOLD]) == len(self._space.bounds)]
        return sorted(found, key=lambda trial: (trial.datetime_complete, trial.number))

    def _point(self, trial: FrozenTrial) -> np.ndarray:
        return np.array(trial.system_attrs[_TOLD]) if self._with_margin else self._space.transform(trial.params)

    def _loss(self, trial: FrozenTrial) -> float:
        if trial.value is None:
            raise AssertionError("completed trials have a value")
        return trial.value if self._direction == StudyDirection.MINIMIZE else -trial.value
