"""Between rows of `trials` and Optuna's `FrozenTrial`."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import Any

from optuna.distributions import BaseDistribution, distribution_to_json, json_to_distribution
from optuna.trial import FrozenTrial, TrialState

STATES = {
    TrialState.RUNNING: "running",
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.WAITING: "waiting",
}
_STATES = {name: state for state, name in STATES.items()}

COLUMNS = (
    "id, number, state, values, params, distributions, intermediate, user_attrs, system_attrs, started_at, finished_at"
)


def to_frozen(row: tuple[Any, ...]) -> FrozenTrial:
    """The trial of a row of `COLUMNS`."""
    trial_id, number, state, values, params, distributions, intermediate, user, system, started, finished = row
    names = sorted(distributions, key=lambda name: distributions[name][0])
    return FrozenTrial(
        number=number,
        state=_STATES[state],
        value=None,
        values=values,
        datetime_start=_naive(started),
        datetime_complete=_naive(finished),
        params={name: params[name] for name in names},
        distributions={name: _distribution(distributions[name][1]) for name in names},
        user_attrs=user,
        system_attrs=system,
        intermediate_values={int(step): value for step, value in intermediate.items()},
        trial_id=trial_id,
    )


def to_columns(trial: FrozenTrial) -> dict[str, Any]:
    """What a trial is in the columns that are Optuna's, `id` and `number` left out."""
    values = trial.values
    return {
        "state": STATES[trial.state],
        "values": values,
        "value": values[0] if values else None,
        "params": trial.params,
        "distributions": {
            name: distribution_entry(place, trial.distributions[name]) for place, name in enumerate(trial.params)
        },
        "intermediate": {str(step): value for step, value in trial.intermediate_values.items()},
        "user_attrs": trial.user_attrs,
        "system_attrs": trial.system_attrs,
        "started_at": _aware(trial.datetime_start),
        "finished_at": _aware(trial.datetime_complete),
    }


def distribution_entry(place: int, distribution: BaseDistribution) -> tuple[int, str]:
    """A distribution as it is stored: with its place, because JSONB forgets the order in which parameters came."""
    return place, distribution_to_json(distribution)


@lru_cache(maxsize=4096)
def _distribution(text: str) -> BaseDistribution:
    return json_to_distribution(text)


def _naive(moment: datetime | None) -> datetime | None:
    """Optuna's times are local and say no zone."""
    return moment.astimezone().replace(tzinfo=None) if moment else None


def _aware(moment: datetime | None) -> datetime | None:
    return moment.astimezone() if moment else None
