"""Optuna's storage on our tables: one row a trial, finished trials cached, writes of a cohort in one statement."""

from __future__ import annotations

import math
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from optuna.distributions import BaseDistribution, check_distribution_compatibility, distribution_to_json
from optuna.exceptions import DuplicatedStudyError
from optuna.storages import BaseStorage
from optuna.storages._base import DEFAULT_STUDY_NAME_PREFIX
from optuna.study._frozen import FrozenStudy
from optuna.study._study_direction import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Engine, TextClause, insert, text
from sqlalchemy.exc import IntegrityError
from uuid_utils.compat import uuid7

from actsearch.store.encoding import encode
from actsearch.store.engine import create_store_engine
from actsearch.store.frozen import STATES, copied, to_columns
from actsearch.store.models import StudyRow, TrialRow
from actsearch.store.trial_cache import TrialCache


@dataclass
class _Batch:
    """What a `batch` block has read and written.

    Args:
        trials: by id, as the block sees them.
        changed: ids of those that were written to.
        reported: intermediate values that the block adds, by id of trial.
        fixed: answers to questions about what never changes.
        studies: all trials of the studies that were asked for, as they were then, by id in order of number.
    """

    trials: dict[int, FrozenTrial]
    changed: set[int] = field(default_factory=set)
    reported: dict[int, dict[int, float]] = field(default_factory=dict)
    studies: dict[int, dict[int, FrozenTrial]] = field(default_factory=dict)
    fixed: dict[tuple[Any, ...], Sequence[Any]] = field(default_factory=dict)

    def put(self, trial: FrozenTrial) -> None:
        """Show a trial from now on."""
        self.trials[trial._trial_id] = trial
        for trials in self.studies.values():
            if trial._trial_id in trials:
                trials[trial._trial_id] = trial


class OptunaStorage(BaseStorage):
    """A trial store for `optuna.load_study(storage=...)`; not for several threads at once inside `batch`.

    Args:
        engine: of a migrated database (`create_store_engine`).
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        # One statement is a transaction by itself: no round trips to begin and end one.
        self._single = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._cache = TrialCache(self._single)
        self._batch: _Batch | None = None

    def __getstate__(self) -> dict[str, Any]:
        """The database's URL: connections and caches stay behind."""
        return {"url": self._engine.url.render_as_string(hide_password=False)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Connect anew."""
        self.__init__(create_store_engine(state["url"]))  # type: ignore[misc]

    @property
    def trials_kept(self) -> int:
        """How many trials it keeps in memory: all of the studies that it was asked for."""
        return self._cache.size

    # --- studies ----------------------------------------------------------------------------------

    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> int:
        """See Optuna."""
        name = f"{DEFAULT_STUDY_NAME_PREFIX}{uuid4()}" if study_name is None else study_name
        values = {"name": name, "directions": [direction.name.lower() for direction in directions]}
        try:
            with self._single.connect() as connection:
                row = connection.execute(insert(StudyRow).values(values).returning(StudyRow.id))
                return int(row.scalar_one())
        except IntegrityError:
            raise DuplicatedStudyError(f"study {name!r} exists already") from None

    def delete_study(self, study_id: int) -> None:
        """See Optuna."""
        self._one("DELETE FROM studies WHERE id = :id RETURNING id", id=study_id)
        self._cache.forget(study_id)

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        """See Optuna."""
        self._set_study_attr("user_attrs", study_id, key, value)

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        """See Optuna."""
        self._set_study_attr("system_attrs", study_id, key, value)

    def _set_study_attr(self, column: str, study_id: int, key: str, value: Any) -> None:
        query = f"UPDATE studies SET {column} = {column} || CAST(:item AS jsonb) WHERE id = :id RETURNING id"  # noqa: S608
        self._one(query, id=study_id, item=encode({key: value}))

    def get_study_id_from_name(self, study_name: str) -> int:
        """See Optuna."""
        return int(self._fixed("SELECT id FROM studies WHERE name = :name", name=study_name)[0])

    def get_study_name_from_id(self, study_id: int) -> str:
        """See Optuna."""
        return str(self._fixed("SELECT name FROM studies WHERE id = :id", id=study_id)[0])

    def _fixed(self, query: str, **values: Any) -> Sequence[Any]:
        """What never changes of a study: inside a batch asked only once (Hyperband asks for every trial)."""
        if self._batch is None:
            return self._one(query, **values)
        key = (query, *values.values())
        if key not in self._batch.fixed:
            self._batch.fixed[key] = self._one(query, **values)
        return self._batch.fixed[key]

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        """See Optuna."""
        (directions,) = self._fixed("SELECT directions FROM studies WHERE id = :id", id=study_id)
        return [StudyDirection[name.upper()] for name in directions]

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        """See Optuna."""
        return dict(self._one("SELECT user_attrs FROM studies WHERE id = :id", id=study_id)[0])

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        """See Optuna."""
        return dict(self._one("SELECT system_attrs FROM studies WHERE id = :id", id=study_id)[0])

    def get_all_studies(self) -> list[FrozenStudy]:
        """See Optuna."""
        query = "SELECT id, name, directions, user_attrs, system_attrs FROM studies ORDER BY id"
        with self._single.connect() as connection:
            rows = connection.execute(text(query)).all()
        return [
            FrozenStudy(
                study_name=name,
                direction=None,
                directions=[StudyDirection[direction.upper()] for direction in directions],
                user_attrs=user_attrs,
                system_attrs=system_attrs,
                study_id=study_id,
            )
            for study_id, name, directions, user_attrs, system_attrs in rows
        ]

    # --- creating trials --------------------------------------------------------------------------

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """See Optuna."""
        if template_trial is not None:
            return self.add_trials(study_id, [template_trial])[0]
        (trial_id,) = self._one(_CREATE, study=study_id, uid=uuid7())
        self._cache.created(study_id, [trial_id])
        return int(trial_id)

    def add_trials(self, study_id: int, trials: Sequence[FrozenTrial]) -> list[int]:
        """Add trials as they are, but numbered anew, in one transaction; returns their ids in the same order.

        Raises:
            KeyError: no such study.
        """
        with self._engine.begin() as connection:
            first = connection.execute(text(_NUMBERS), {"id": study_id, "n": len(trials)}).scalar()
            if first is None:
                raise KeyError(f"there is no study {study_id}")
            rows = [
                {"uid": uuid7(), "study_id": study_id, "number": first + place} | to_columns(trial)
                for place, trial in enumerate(trials)
            ]
            created = connection.execute(insert(TrialRow).returning(TrialRow.id, sort_by_parameter_order=True), rows)
            trial_ids = [int(trial_id) for trial_id in created.scalars()]
        self._cache.created(study_id, trial_ids)
        return trial_ids

    # --- writing trials ---------------------------------------------------------------------------

    @contextmanager
    def batch(self, attempts: Mapping[int, int] | None = None) -> Iterator[set[int]]:
        """Collect what is written to running trials and write it in one statement at the end of the block.

        The block sees what it writes, and everything else as it was when the block first asked for it. If the block
        raises, nothing is written. Nor is anything to a trial of `attempts` that has gone to another runner by then; to
        other trials, what is written meanwhile to the same columns is overwritten.

        Args:
            attempts: of the claims that the block is about, by id of trial; read in one statement, while other trials
                are read as they are needed.

        Yields:
            Ids of those that are still the caller's, and can be written to in the block whatever becomes of them.
        """
        if self._batch is not None:
            raise RuntimeError("a batch is already open")
        attempts = attempts or {}
        batch = self._batch = _Batch(self._cache.claimed(attempts) if attempts else {})
        try:
            yield set(batch.trials)
        finally:
            self._batch = None
        if batch.changed:
            rows = [_flushed(batch, one) | {"attempt": attempts.get(one)} for one in sorted(batch.changed)]
            with self._single.connect() as connection:
                connection.execute(_FLUSH, {"rows": encode(rows)})

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        """See Optuna."""
        value = distribution.to_external_repr(param_value_internal)
        trial = self._owned(trial_id)
        study_id = self._cache.study_of(trial_id)
        self._check_compatible(study_id, trial_id, param_name, distribution)
        if trial is not None:
            trial.params = trial.params | {param_name: value}
            trial.distributions = trial.distributions | {param_name: distribution}
        else:
            given = {"name": param_name, "value": encode(value), "text": distribution_to_json(distribution)}
            self._write(trial_id, _SET_PARAM, given)
        self._cache.settle(study_id, param_name, distribution)

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        """See Optuna; what a runner has reported already (`points`) is not written again."""
        if self._batch is not None:
            known = self._batched(self._batch, trial_id)
            self.check_trial_is_updatable(trial_id, known.state)
            if _same(known.intermediate_values.get(step), intermediate_value):
                return
            self._batch.reported.setdefault(trial_id, {})[step] = intermediate_value
        trial = self._owned(trial_id)
        if trial is not None:
            trial.intermediate_values = trial.intermediate_values | {step: intermediate_value}
            return
        self._write(trial_id, _MERGE["intermediate"], {"items": encode({str(step): intermediate_value})})

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """See Optuna."""
        trial = self._owned(trial_id)
        if trial is not None:
            trial.user_attrs = trial.user_attrs | {key: value}
            return
        self._write(trial_id, _MERGE["user_attrs"], {"items": encode({key: value})})

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """See Optuna."""
        trial = self._owned(trial_id)
        if trial is not None:
            trial.system_attrs = trial.system_attrs | {key: value}
            return
        self._write(trial_id, _MERGE["system_attrs"], {"items": encode({key: value})})

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        """See Optuna; outside any batch, because it decides who runs a trial."""
        numbers = None if values is None else list(values)
        given = {"id": trial_id, "state": STATES[state], "values": numbers, "finished": state.is_finished()}
        with self._single.connect() as connection:
            query = _CLAIM_STATE if state == TrialState.RUNNING else _SET_STATE
            row = connection.execute(query, given | {"value": numbers[0] if numbers else None}).first()
        if row is not None:
            return True
        current = self.get_trial(trial_id).state
        if state == TrialState.RUNNING and not current.is_finished():
            return False
        self.check_trial_is_updatable(trial_id, current)
        return False

    def _owned(self, trial_id: int) -> FrozenTrial | None:
        """The batch's new copy of a trial, to be written to, or None outside a batch.

        Whoever has read the trial keeps it as it was, as with Optuna's storage in memory: its pruners count on that.
        """
        if self._batch is None:
            return None
        trial = copy(self._batched(self._batch, trial_id))
        self.check_trial_is_updatable(trial_id, trial.state)
        self._batch.changed.add(trial_id)
        self._batch.put(trial)
        return trial

    def _batched(self, batch: _Batch, trial_id: int) -> FrozenTrial:
        if trial_id not in batch.trials:
            batch.put(copied(self._cache.one(trial_id)))
        return batch.trials[trial_id]

    def _write(self, trial_id: int, query: TextClause, given: dict[str, Any]) -> None:
        with self._single.connect() as connection:
            row = connection.execute(query, given | {"id": trial_id}).first()
        if row is None:
            self.check_trial_is_updatable(trial_id, self.get_trial(trial_id).state)

    def _check_compatible(self, study_id: int, trial_id: int, name: str, distribution: BaseDistribution) -> None:
        """A parameter keeps its kind of distribution throughout a study.

        Raises:
            ValueError: it does not.
        """
        known = self._cache.distribution(study_id, name)
        if known is None:
            return
        try:
            check_distribution_compatibility(known, distribution)
        except ValueError:
            self.check_trial_is_updatable(trial_id, self.get_trial(trial_id).state)
            raise

    # --- reading trials ---------------------------------------------------------------------------

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """See Optuna."""
        return copied(self._cache.one(trial_id) if self._batch is None else self._batched(self._batch, trial_id))

    def get_trial_id_from_study_id_trial_number(self, study_id: int, trial_number: int) -> int:
        """See Optuna."""
        query = "SELECT id FROM trials WHERE study_id = :study AND number = :number"
        return int(self._one(query, study=study_id, number=trial_number)[0])

    def get_trial_param(self, trial_id: int, param_name: str) -> float:
        """See Optuna."""
        trial = self.get_trial(trial_id)
        return trial.distributions[param_name].to_internal_repr(trial.params[param_name])

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """See Optuna; reads only what is new or unfinished."""
        trials = self._all(study_id)
        if states is not None:
            trials = [trial for trial in trials if trial.state in states]
        return [copied(trial) for trial in trials] if deepcopy else trials

    def _all(self, study_id: int) -> list[FrozenTrial]:
        if self._batch is None:
            return self._cache.all(study_id)
        if study_id not in self._batch.studies:
            own = self._batch.trials
            self._batch.studies[study_id] = {t._trial_id: own.get(t._trial_id, t) for t in self._cache.all(study_id)}
        return list(self._batch.studies[study_id].values())

    def _one(self, query: str, **values: Any) -> Sequence[Any]:
        """The one row of a statement that is a transaction by itself.

        Raises:
            KeyError: there is none.
        """
        with self._single.connect() as connection:
            row = connection.execute(text(query), values).first()
        if row is None:
            raise KeyError(f"there is no such row: {values}")
        return row


def _same(one: float | None, other: float) -> bool:
    return one is not None and (one == other or (math.isnan(one) and math.isnan(other)))


_NUMBERS = "UPDATE studies SET next_number = next_number + :n WHERE id = :id RETURNING next_number - :n"

_CREATE = """
    WITH place AS (
        UPDATE studies SET next_number = next_number + 1 WHERE id = :study RETURNING next_number - 1 AS number)
    INSERT INTO trials (uid, study_id, number, state, started_at)
    SELECT :uid, :study, number, 'running', now() FROM place RETURNING id
"""

# What a running trial reports is not flushed to disk at once: a crash of PostgreSQL may cost its last moments, never a
# finished trial. The setting holds until the end of the transaction, which is this statement.
_UNFINISHED = "id = :id AND state IN ('running', 'waiting')"
_SOON = f"WHERE {_UNFINISHED} AND set_config('synchronous_commit', 'off', true) = 'off' RETURNING id"

_MERGE = {
    column: text(f"UPDATE trials SET {column} = {column} || CAST(:items AS jsonb) {_SOON}")  # noqa: S608 - ours
    for column in ("intermediate", "user_attrs", "system_attrs")
}

# With its place among the trial's parameters, because JSONB forgets the order in which they came.
_SET_PARAM = text(f"""
    UPDATE trials SET
        params = params || jsonb_build_object(CAST(:name AS text), CAST(:value AS jsonb)),
        distributions = distributions || jsonb_build_object(CAST(:name AS text), jsonb_build_array(
            coalesce(distributions -> :name -> 0, to_jsonb((SELECT count(*) FROM jsonb_object_keys(distributions)))),
            CAST(:text AS text)))
    {_SOON}
""")  # noqa: S608 - a constant of ours

_STATE = """
    UPDATE trials SET state = :state, values = :values, value = :value,
        started_at = CASE WHEN :state = 'running' THEN now() ELSE started_at END,
        finished_at = CASE WHEN :finished THEN now() END
    WHERE
"""
_SET_STATE = text(f"{_STATE} {_UNFINISHED} RETURNING id")
_CLAIM_STATE = text(f"{_STATE} id = :id AND state = 'waiting' RETURNING id")

_FLUSH = text("""
    UPDATE trials t SET params = r.params, distributions = r.distributions,
        intermediate = t.intermediate || r.intermediate,
        user_attrs = r.user_attrs, system_attrs = r.system_attrs
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(id bigint, attempt int, params jsonb,
        distributions jsonb, intermediate jsonb, user_attrs jsonb, system_attrs jsonb)
    WHERE t.id = r.id AND (t.state = 'running' AND t.attempt = r.attempt
                           OR t.state IN ('running', 'waiting') AND r.attempt IS NULL)
        AND set_config('synchronous_commit', 'off', true) = 'off'
""")


def _flushed(batch: _Batch, trial_id: int) -> dict[str, Any]:
    columns = to_columns(batch.trials[trial_id])
    kept = ("params", "distributions", "user_attrs", "system_attrs")
    reported = {str(step): value for step, value in batch.reported.get(trial_id, {}).items()}
    return {"id": trial_id, "intermediate": reported} | {name: columns[name] for name in kept}
