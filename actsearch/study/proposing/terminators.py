"""Whether further trials are worth their while, by Optuna's regret bound."""

from __future__ import annotations

import warnings

from optuna import Study
from optuna.exceptions import ExperimentalWarning
from optuna.search_space import intersection_search_space
from optuna.terminator import RegretBoundEvaluator
from optuna.trial import TrialState

_LEAST_TRIALS = 20


def regret_is_bounded(study: Study, bound: float, seed: int) -> bool:
    """Whether no further trial is expected to improve the objective by more than `bound`.

    The bound comes from a Gaussian process on the parameters that all trials share, so it needs some of those, and 20
    complete trials; before that, and with several objectives, the answer is no.

    Reference:
        Makarova et al., Automatic termination for hyperparameter optimization, AutoML 2022.
    """
    trials = study.get_trials(deepcopy=False)
    complete = sum(trial.state == TrialState.COMPLETE for trial in trials)
    if len(study.directions) > 1 or complete < _LEAST_TRIALS or not intersection_search_space(trials):
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        evaluator = RegretBoundEvaluator(min_n_trials=_LEAST_TRIALS, seed=seed)
    return evaluator.evaluate(trials, study.direction) < bound
