"""Optuna's storage on our tables: one row a trial, finished trials cached, writes of a cohort in one statement."""

from __future__ import annotations

import copy
import time
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import uuid4

from optuna.distributions import BaseDistribution, check_distribution_compatibility
from optuna.exceptions import DuplicatedStudyError
from optuna.storages import BaseStorage
from optuna.storages._base import DEFAULT_STUDY_NAME_PREFIX
from optuna.study._frozen import FrozenStudy
from optuna.study._study_direction import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Connection, Engine, insert, text
from sqlalchemy.exc import IntegrityError
from uuid_utils.compat import uuid7

from actsearch.store.encoding import encode
from actsearch.store.engine import create_store_engine
from actsearch.store.frozen import COLUMNS, STATES, distribution_entry, to_columns, to_frozen
from actsearch.store.models import StudyRow, TrialRow


@dataclass
class _Known:
    """What a process knows of a study's trials.

    Args:
        trials: by number; finished ones never change.
        unfinished: ids of those that must be read again.
        last_id: the largest id seen; a study's ids grow with its numbers.
    """

    trials: dict[int, FrozenTrial] = field(default_factory=dict)
    unfinished: set[int] = field(default_factory=set)
    last_id: int = 0
    distributions: dict[str, BaseDistribution] = field(default_factory=dict)


class OptunaStorage(BaseStorage):
    """A trial store for `optuna.load_study(storage=...)`; not for several threads at once inside `batch`.

    Args:
        engine: of a migrated database (`create_store_engine`).
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._known: dict[int, _Known] = {}
        self._finished: dict[int, FrozenTrial] = {}
        self._studies: dict[int, int] = {}
        self._batch: dict[int, FrozenTrial] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """The database's URL: connections and caches stay behind."""
        return {"url": self._engine.url.render_as_string(hide_password=False)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Connect anew."""
        self.__init__(create_store_engine(state["url"]))  # type: ignore[misc]

    # --- studies ----------------------------------------------------------------------------------

    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> int:
        """See Optuna."""
        name = f"{DEFAULT_STUDY_NAME_PREFIX}{uuid4()}" if study_name is None else study_name
        values = {"name": name, "directions": [direction.name.lower() for direction in directions]}
        try:
            with self._engine.begin() as connection:
                row = connection.execute(insert(StudyRow).values(values).returning(StudyRow.id))
                return int(row.scalar_one())
        except IntegrityError:
            raise DuplicatedStudyError(f"study {name!r} exists already") from None

    def delete_study(self, study_id: int) -> None:
        """See Optuna."""
        with self._engine.begin() as connection:
            _one(connection, "DELETE FROM studies WHERE id = :id RETURNING id", id=study_id)
        for trial in self._known.pop(study_id, _Known()).trials.values():
            self._finished.pop(trial._trial_id, None)

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        """See Optuna."""
        self._set_study_attr("user_attrs", study_id, key, value)

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        """See Optuna."""
        self._set_study_attr("system_attrs", study_id, key, value)

    def _set_study_attr(self, column: str, study_id: int, key: str, value: Any) -> None:
        query = f"UPDATE studies SET {column} = {column} || CAST(:item AS jsonb) WHERE id = :id RETURNING id"  # noqa: S608
        with self._engine.begin() as connection:
            _one(connection, query, id=study_id, item=encode({key: value}))

    def get_study_id_from_name(self, study_name: str) -> int:
        """See Optuna."""
        return int(self._read_one("SELECT id FROM studies WHERE name = :name", name=study_name)[0])

    def get_study_name_from_id(self, study_id: int) -> str:
        """See Optuna."""
        return str(self._read_one("SELECT name FROM studies WHERE id = :id", id=study_id)[0])

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        """See Optuna."""
        (directions,) = self._read_one("SELECT directions FROM studies WHERE id = :id", id=study_id)
        return [StudyDirection[name.upper()] for name in directions]

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        """See Optuna."""
        return dict(self._read_one("SELECT user_attrs FROM studies WHERE id = :id", id=study_id)[0])

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        """See Optuna."""
        return dict(self._read_one("SELECT system_attrs FROM studies WHERE id = :id", id=study_id)[0])

    def get_all_studies(self) -> list[FrozenStudy]:
        """See Optuna."""
        query = "SELECT id, name, directions, user_attrs, system_attrs FROM studies ORDER BY id"
        with self._engine.connect() as connection:
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
        if template_trial is None:
            columns: dict[str, Any] = {"state": "running", "started_at": datetime.now().astimezone()}
        else:
            columns = to_columns(template_trial)
        return self._create(study_id, [columns])[0]

    def add_trials(self, study_id: int, trials: Sequence[FrozenTrial]) -> list[int]:
        """Add trials as they are, numbered anew, in one transaction; returns their ids in the same order.

        Raises:
            KeyError: no such study.
        """
        return self._create(study_id, [to_columns(trial) for trial in trials])

    def _create(self, study_id: int, columns: Sequence[dict[str, Any]]) -> list[int]:
        with self._engine.begin() as connection:
            query = "UPDATE studies SET next_number = next_number + :n WHERE id = :id RETURNING next_number - :n"
            (first,) = _one(connection, query, id=study_id, n=len(columns))
            rows = [
                {"uid": uuid7(), "study_id": study_id, "number": first + place} | own
                for place, own in enumerate(columns)
            ]
            created = connection.execute(insert(TrialRow).returning(TrialRow.id, sort_by_parameter_order=True), rows)
            return [int(trial_id) for trial_id in created.scalars()]

    # --- writing trials ---------------------------------------------------------------------------

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Collect what is written to running trials and write it in one statement at the end of the block.

        Reads inside the block see it. What other processes write meanwhile to the same columns of the same trials is
        overwritten: a batch is for trials that the caller owns. If the block raises, nothing is written.
        """
        if self._batch is not None:
            raise RuntimeError("a batch is already open")
        self._batch = {}
        try:
            yield
            changed = list(self._batch.values())
        finally:
            self._batch = None
        if changed:
            with self._engine.begin() as connection:
                connection.execute(text(_FLUSH), {"rows": encode([_flushed(trial) for trial in changed])})

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        """See Optuna."""
        value = distribution.to_external_repr(param_value_internal)
        trial = self._owned(trial_id)
        known = self._compatible(trial_id, param_name, distribution)
        if trial is not None:
            trial.params[param_name] = value
            trial.distributions[param_name] = distribution
        else:
            entry = distribution_entry(time.time_ns(), distribution)
            self._merge(trial_id, params={param_name: value}, distributions={param_name: entry})
        known.distributions.setdefault(param_name, distribution)

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        """See Optuna."""
        trial = self._owned(trial_id)
        if trial is not None:
            trial.intermediate_values[step] = intermediate_value
            return
        self._merge(trial_id, intermediate={str(step): intermediate_value})

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """See Optuna."""
        trial = self._owned(trial_id)
        if trial is not None:
            trial.user_attrs[key] = value
            return
        self._merge(trial_id, user_attrs={key: value})

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """See Optuna."""
        trial = self._owned(trial_id)
        if trial is not None:
            trial.system_attrs[key] = value
            return
        self._merge(trial_id, system_attrs={key: value})

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        """See Optuna; outside any batch, because it decides who runs a trial."""
        query = f"""UPDATE trials SET state = :state, values = :values, value = :value,
                started_at = CASE WHEN :state = 'running' THEN now() ELSE started_at END,
                finished_at = CASE WHEN :finished THEN now() END
            WHERE id = :id AND {"state = 'waiting'" if state == TrialState.RUNNING else _UNFINISHED} RETURNING id"""  # noqa: S608
        numbers = None if values is None else list(values)
        given = {"id": trial_id, "state": STATES[state], "values": numbers, "finished": state.is_finished()}
        with self._engine.begin() as connection:
            row = connection.execute(text(query), given | {"value": numbers[0] if numbers else None}).first()
        if row is not None:
            return True
        current = self.get_trial(trial_id).state
        if state == TrialState.RUNNING and not current.is_finished():
            return False
        self.check_trial_is_updatable(trial_id, current)
        return False

    def _owned(self, trial_id: int) -> FrozenTrial | None:
        """The batch's copy of a trial that is to be written, or None outside a batch."""
        if self._batch is None:
            return None
        if trial_id not in self._batch:
            trial = self._read_trial(trial_id)
            self.check_trial_is_updatable(trial_id, trial.state)
            self._batch[trial_id] = trial
        return self._batch[trial_id]

    def _merge(self, trial_id: int, **columns: dict[str, Any]) -> None:
        """Add items to JSON columns of an unfinished trial.

        Not flushed to disk at once: a power cut may cost the last moments of a running trial, never a finished one.
        """
        sets = ", ".join(f"{name} = {name} || CAST(:{name} AS jsonb)" for name in columns)
        query = f"UPDATE trials SET {sets} WHERE id = :id AND {_UNFINISHED} RETURNING id"  # noqa: S608
        values = {name: encode(items) for name, items in columns.items()}
        with self._engine.begin() as connection:
            connection.execute(text("SET LOCAL synchronous_commit = off"))
            row = connection.execute(text(query), values | {"id": trial_id}).first()
        if row is None:
            self.check_trial_is_updatable(trial_id, self.get_trial(trial_id).state)

    def _compatible(self, trial_id: int, name: str, distribution: BaseDistribution) -> _Known:
        """What is known of the trial's study; a parameter keeps its kind of distribution throughout.

        Raises:
            ValueError: it does not.
        """
        study_id = self._study_of(trial_id)
        if name not in self._known.setdefault(study_id, _Known()).distributions:
            for trial in self._sync(study_id):
                self._known[study_id].distributions |= trial.distributions
        known = self._known[study_id]
        try:
            check_distribution_compatibility(known.distributions.get(name, distribution), distribution)
        except ValueError:
            self.check_trial_is_updatable(trial_id, self.get_trial(trial_id).state)
            raise
        return known

    def _study_of(self, trial_id: int) -> int:
        if trial_id not in self._studies:
            (study_id,) = self._read_one("SELECT study_id FROM trials WHERE id = :id", id=trial_id)
            self._studies[trial_id] = study_id
        return self._studies[trial_id]

    # --- reading trials ---------------------------------------------------------------------------

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """See Optuna."""
        if self._batch is not None and trial_id in self._batch:
            return copy.deepcopy(self._batch[trial_id])
        if trial_id in self._finished:
            return copy.deepcopy(self._finished[trial_id])
        return self._read_trial(trial_id)

    def get_trial_id_from_study_id_trial_number(self, study_id: int, trial_number: int) -> int:
        """See Optuna."""
        query = "SELECT id FROM trials WHERE study_id = :study AND number = :number"
        return int(self._read_one(query, study=study_id, number=trial_number)[0])

    def get_trial_param(self, trial_id: int, param_name: str) -> float:
        """See Optuna."""
        trial = self.get_trial(trial_id)
        return trial.distributions[param_name].to_internal_repr(trial.params[param_name])

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """See Optuna; reads only what is new or unfinished."""
        trials = self._sync(study_id)
        if self._batch:
            trials = [self._batch.get(trial._trial_id, trial) for trial in trials]
        if states is not None:
            trials = [trial for trial in trials if trial.state in states]
        return copy.deepcopy(trials) if deepcopy else trials

    def _sync(self, study_id: int) -> list[FrozenTrial]:
        """A study's trials in order of number."""
        known = self._known.setdefault(study_id, _Known())
        query = f"SELECT {COLUMNS} FROM trials WHERE study_id = :study AND (id > :last OR id = ANY(:ids)) ORDER BY id"  # noqa: S608
        with self._engine.connect() as connection:
            values = {"study": study_id, "last": known.last_id, "ids": list(known.unfinished)}
            rows = connection.execute(text(query), values).all()
            if not rows and not known.trials:
                _one(connection, "SELECT id FROM studies WHERE id = :id", id=study_id)
        for row in rows:
            self._learn(known, to_frozen(tuple(row)))
        return [known.trials[number] for number in sorted(known.trials)]

    def _learn(self, known: _Known, trial: FrozenTrial) -> None:
        known.trials[trial.number] = trial
        known.last_id = max(known.last_id, trial._trial_id)
        if trial.state.is_finished():
            known.unfinished.discard(trial._trial_id)
            self._finished[trial._trial_id] = trial
        else:
            known.unfinished.add(trial._trial_id)

    def _read_trial(self, trial_id: int) -> FrozenTrial:
        return to_frozen(tuple(self._read_one(f"SELECT {COLUMNS} FROM trials WHERE id = :id", id=trial_id)))  # noqa: S608

    def _read_one(self, query: str, **values: Any) -> Sequence[Any]:
        with self._engine.connect() as connection:
            return _one(connection, query, **values)


_UNFINISHED = "state IN ('running', 'waiting')"

_FLUSH = """
    UPDATE trials t SET params = r.params, distributions = r.distributions, intermediate = r.intermediate,
        user_attrs = r.user_attrs, system_attrs = r.system_attrs
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(id bigint, params jsonb, distributions jsonb,
        intermediate jsonb, user_attrs jsonb, system_attrs jsonb)
    WHERE t.id = r.id AND t.state IN ('running', 'waiting')
"""


def _flushed(trial: FrozenTrial) -> dict[str, Any]:
    columns = to_columns(trial)
    kept = ("params", "distributions", "intermediate", "user_attrs", "system_attrs")
    return {"id": trial._trial_id} | {name: columns[name] for name in kept}


def _one(connection: Connection, query: str, **values: Any) -> Sequence[Any]:
    """The one row of a query.

    Raises:
        KeyError: there is none.
    """
    row = connection.execute(text(query), values).first()
    if row is None:
        raise KeyError(f"there is no such row: {values}")
    return row
