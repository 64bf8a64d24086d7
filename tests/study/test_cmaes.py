"""CMA-ES whose state is told anew from its trials: the same as Optuna's own, and nothing is unpickled."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna import Study, Trial
from optuna.samplers import CmaEsSampler

from actsearch.study.proposing.cmaes import ReplayedCmaEsSampler


def bowl(trial: Trial) -> float:
    x, y = trial.suggest_float("x", -1, 1), trial.suggest_float("y", 1e-3, 1, log=True)
    return (x - 0.3) ** 2 + np.log10(y) ** 2 + trial.suggest_int("n", 0, 8, step=2) / 10


def told(sampler: CmaEsSampler, study: Study) -> list[np.ndarray]:
    """Generation, mean and covariance of the optimizer that a sampler restores from a study."""
    optimizer = sampler._restore_optimizer(study.get_trials(deepcopy=False))
    normal = getattr(optimizer, "_cma", optimizer)
    return [np.array(optimizer.generation), normal.mean, normal._sigma**2 * normal._C]


@pytest.mark.parametrize("margin", [False, True])
@pytest.mark.parametrize("direction", ["minimize", "maximize"])
@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_the_optimizer_told_anew_is_the_one_that_optuna_stores(margin: bool, direction: str) -> None:
    theirs, ours = (kind(seed=1, with_margin=margin) for kind in (CmaEsSampler, ReplayedCmaEsSampler))
    study = optuna.create_study(sampler=theirs, direction=direction)
    study.optimize(bowl, n_trials=60)
    study.sampler = ours
    study.tell(asked := study.ask(), bowl(asked))  # by which ours learns the space, and begins no generation
    wanted, found = told(theirs, study), told(ours, study)
    assert wanted[0] == found[0] > 5
    for one, other in zip(wanted[1:], found[1:], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)


def test_a_pickle_in_the_store_is_neither_written_nor_read(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / "exploded",)

    study = optuna.create_study(sampler=ReplayedCmaEsSampler(seed=1))
    study.optimize(bowl, n_trials=30)
    assert not [key for trial in study.trials for key in trial.system_attrs if "optimizer" in key]
    planted = study.ask()
    study._storage.set_trial_system_attr(planted._trial_id, "cma:optimizer:0", pickle.dumps(Bomb()).hex())
    study.tell(planted, bowl(planted))
    study.optimize(bowl, n_trials=10)
    assert not (tmp_path / "exploded").exists()
