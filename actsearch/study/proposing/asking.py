"""Asking a study's sampler for a trial that the store has created already."""

from __future__ import annotations

from optuna import Study, Trial


def claimed_trial(study: Study, trial_id: int) -> Trial:
    """A claimed trial, ready to be suggested values to: what `study.ask` returns for one that it creates itself."""
    # As `ask` does. Else samplers would see the study as it was at its first trial, and not what was proposed since.
    study._thread_local.cached_all_trials = None
    return Trial(study, trial_id)
