"""Between rows of `trials` and Optuna's `FrozenTrial`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from datetime import datetime
from functools import lru_cache
from typing import Any

from optuna.distributions import BaseDistribution, distribution_to_json, json_to_distribution
from optuna.trial import FrozenTrial, TrialState

from actsearch.store.encoding import decode

STATES = {
    TrialState.RUNNING: "running",
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.WAITING: "waiting",
}
_STATES = {name: state for state, name in STATES.items()}

# As text and seconds: a study of thousands of trials is read at once, and so they cost least.
COLUMNS = """id, number, state, values, CAST(params AS text), CAST(distributions AS text), CAST(intermediate AS text),
    CAST(user_attrs AS text), CAST(system_attrs AS text), CAST(extract(epoch FROM started_at) AS float8),
    CAST(extract(epoch FROM finished_at) AS float8), training, place"""


def to_frozen(row: Sequence[Any], told: Mapping[int, float]) -> FrozenTrial:
    """The trial of a row of `COLUMNS`.

    Args:
        told: intermediate values that are in `points`.
    """
    trial_id, number, state, values, params, distributions, intermediate, user, system, started, finished, *_ = row
    known, given = _distributions(distributions), decode(params)
    return FrozenTrial(
        number=number,
        state=_STATES[state],
        value=None,
        values=values,
        datetime_start=_local(started),
        datetime_complete=_local(finished),
        params={name: given[name] for name in known},
        distributions=known.copy(),
        user_attrs=decode(user),
        system_attrs=decode(system),
        intermediate_values={**told, **{int(step): value for step, value in decode(intermediate).items()}},
        trial_id=trial_id,
    )


def copied(trial: FrozenTrial) -> FrozenTrial:
    """A copy that may be changed. What never changes in place is shared, so this is far cheaper than `deepcopy`."""
    return FrozenTrial(
        number=trial.number,
        state=trial.state,
        value=None,
        values=trial._values,
        datetime_start=trial.datetime_start,
        datetime_complete=trial.datetime_complete,
        params=trial.params.copy(),
        distributions=trial.distributions.copy(),
        user_attrs=deepcopy(trial.user_attrs) if trial.user_attrs else {},
        system_attrs=deepcopy(trial.system_attrs) if trial.system_attrs else {},
        intermediate_values=trial.intermediate_values.copy(),
        trial_id=trial._trial_id,
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
            name: [place, distribution_to_json(trial.distributions[name])] for place, name in enumerate(trial.params)
        },
        "intermediate": {str(step): value for step, value in trial.intermediate_values.items()},
        "user_attrs": trial.user_attrs,
        "system_attrs": trial.system_attrs,
        "started_at": _aware(trial.datetime_start),
        "finished_at": _aware(trial.datetime_complete),
    }


@lru_cache(maxsize=4096)
def _distributions(entries: str) -> dict[str, BaseDistribution]:
    """Distributions by name in the order in which the parameters came. Trials of a study mostly share theirs."""
    found = sorted((place, name, distribution) for name, (place, distribution) in json.loads(entries).items())
    return {name: json_to_distribution(distribution) for _, name, distribution in found}


def _local(seconds: float | None) -> datetime | None:
    """A time since the epoch as Optuna says it: local, without a zone."""
    return None if seconds is None else datetime.fromtimestamp(seconds)  # noqa: DTZ006


def _aware(moment: datetime | None) -> datetime | None:
    return moment.astimezone() if moment else None
