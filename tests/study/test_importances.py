"""Importances and the regret bound, on studies whose truth is known."""

from __future__ import annotations

import optuna
import pytest

from actsearch.study.judging.importances import importances, importances_within
from actsearch.study.proposing.terminators import regret_is_bounded


def _study(trials: int, noise: float = 0.0) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(seed=1))

    def objective(trial: optuna.Trial) -> float:
        family = trial.suggest_categorical("family", ["relu", "elu"])
        rate = trial.suggest_float("training.learning_rate", 1e-4, 1.0, log=True)
        bonus = trial.suggest_float("elu.alpha", 0.1, 3) if family == "elu" else 0.0
        return -((rate - 0.1) ** 2) + 0.001 * bonus + noise * (trial.number % 3)

    study.optimize(objective, n_trials=trials)
    return study


@pytest.mark.parametrize("method", ["ped_anova", "fanova"])
def test_the_parameter_that_matters_is_found(method: str) -> None:
    count, shares = importances(_study(60), method)
    assert count == 60
    assert set(shares) == {"family", "training.learning_rate"}
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["training.learning_rate"] > 0.5


def test_within_a_family_its_own_hyperparameters_count() -> None:
    found = importances_within(_study(60), "ped_anova")
    assert set(found["elu"]) == {"training.learning_rate", "elu.alpha"}
    assert set(found["relu"]) == {"training.learning_rate"}


@pytest.mark.parametrize("trials", [0, 1, 3])
def test_too_few_trials_have_no_importances(trials: int) -> None:
    assert importances(_study(trials), "ped_anova") == (trials, {})


def test_the_regret_bound_needs_trials_and_then_falls() -> None:
    study = _study(30)
    assert not regret_is_bounded(_study(10), 100.0, seed=0)
    assert regret_is_bounded(study, 100.0, seed=0)
    assert not regret_is_bounded(study, 1e-9, seed=0)
