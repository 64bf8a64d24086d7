"""Which searched parameters matter, by Optuna's importance evaluators."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Literal

import optuna
from optuna import Study
from optuna.exceptions import ExperimentalWarning
from optuna.importance import FanovaImportanceEvaluator, PedAnovaImportanceEvaluator, get_param_importances
from optuna.importance._base import BaseImportanceEvaluator
from optuna.search_space import intersection_search_space
from optuna.trial import FrozenTrial, TrialState, create_trial

_LEAST_TRIALS = 4

Evaluator = Literal["ped_anova", "fanova"]


def importances(study: Study, method: Evaluator) -> tuple[int, dict[str, float]]:
    """Complete trials, and the share of the objective's variation that each parameter which all have explains.

    Empty where fewer than four trials are complete or their values do not differ.
    """
    complete = [trial for trial in study.get_trials(deepcopy=False) if trial.state == TrialState.COMPLETE]
    return len(complete), _shares(complete, study, method)


def importances_within(study: Study, method: Evaluator) -> dict[str, dict[str, float]]:
    """The same among the trials of each family alone, its own hyperparameters among the parameters."""
    complete = [trial for trial in study.get_trials(deepcopy=False) if trial.state == TrialState.COMPLETE]
    families: dict[str, list[FrozenTrial]] = {}
    for trial in complete:
        if "family" in trial.params:
            families.setdefault(trial.params["family"], []).append(trial)
    found = {family: _shares(trials, study, method) for family, trials in sorted(families.items())}
    return {family: shares for family, shares in found.items() if shares}


def _shares(trials: Sequence[FrozenTrial], study: Study, method: Evaluator) -> dict[str, float]:
    varied = _varied(trials)
    if len(trials) < _LEAST_TRIALS or not varied or len({trial.values[0] for trial in trials}) < 2:
        return {}
    part = optuna.create_study(direction=study.directions[0])
    part.add_trials([_first_objective(trial) for trial in trials])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        found: Mapping[str, float] = get_param_importances(part, evaluator=_evaluator(method), params=varied)
    return dict(found)


def _first_objective(trial: FrozenTrial) -> FrozenTrial:
    return create_trial(params=trial.params, distributions=trial.distributions, value=trial.values[0])


def _varied(trials: Sequence[FrozenTrial]) -> list[str]:
    """Parameters that all trials have and that took more than one value."""
    return [
        name for name in intersection_search_space(list(trials)) if len({trial.params[name] for trial in trials}) > 1
    ]


def _evaluator(method: Evaluator) -> BaseImportanceEvaluator:
    return FanovaImportanceEvaluator(seed=0) if method == "fanova" else PedAnovaImportanceEvaluator()
