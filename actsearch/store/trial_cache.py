"""What a process knows of the trials of its studies: finished ones never change and are read once."""

from __future__ import annotations

import gc
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial
from sqlalchemy import Connection, Engine, Row, text

from actsearch.store.frozen import COLUMNS, to_frozen
from actsearch.store.points import Told, Training, read_told

# New ones by number, because a study hands numbers out under its row's lock: they become visible in order.
_NEWS = text(f"""
    SELECT {COLUMNS} FROM trials WHERE study_id = :study AND number >= :next
    UNION ALL SELECT {COLUMNS} FROM trials WHERE id = ANY(:unfinished) AND number < :next
    ORDER BY number
""")  # noqa: S608 - a constant of ours
_MOST_TRAININGS = 16
"""Trainings that go on of which is kept what has been read; any number of others is read anew."""

_STUDY = text("SELECT id FROM studies WHERE id = :study")
_STUDY_OF = text("SELECT study_id FROM trials WHERE id = :trial")
_TRIAL = text(f"SELECT {COLUMNS} FROM trials WHERE id = :trial")  # noqa: S608 - a constant of ours
_CLAIMED = text(f"""
    SELECT {COLUMNS} FROM trials
    JOIN unnest(CAST(:trials AS bigint[]), CAST(:attempts AS int[])) AS claimed(id, attempt) USING (id, attempt)
    WHERE state = 'running'
""")  # noqa: S608 - a constant of ours


@dataclass
class _Known:
    """A study as a process knows it.

    Args:
        trials: in order of number, without gaps.
        unfinished: ids of those that must be read again.
        distributions: by name of parameter, of the first trial seen with it.
    """

    trials: list[FrozenTrial] = field(default_factory=list)
    unfinished: set[int] = field(default_factory=set)
    distributions: dict[str, BaseDistribution] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def learn(self, trial: FrozenTrial) -> None:
        """Put a trial, as just read, in its place."""
        if not trial.distributions.keys() <= self.distributions.keys():
            self.distributions = trial.distributions | self.distributions
        if trial.number == len(self.trials):
            self.trials.append(trial)
        else:
            self.trials[trial.number] = trial
        (self.unfinished.discard if trial.state.is_finished() else self.unfinished.add)(trial._trial_id)


class TrialCache:
    """Trials of the studies that a storage has been asked for; safe for several threads.

    What it returns is shared: copy before changing.

    Args:
        engine: in autocommit mode.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._known: dict[int, _Known] = {}
        self._finished: dict[int, FrozenTrial] = {}
        self._studies: dict[int, int] = {}
        self._trainings: OrderedDict[int, Training] = OrderedDict()
        self._reading = threading.Lock()

    @property
    def size(self) -> int:
        """How many trials are kept."""
        return sum(len(known.trials) for known in list(self._known.values()))

    def all(self, study_id: int) -> list[FrozenTrial]:
        """A study's trials in order of number; reads what is new or was unfinished.

        Raises:
            KeyError: no such study.
        """
        known = self._known.setdefault(study_id, _Known())
        with known.lock:
            values = {"study": study_id, "next": len(known.trials), "unfinished": list(known.unfinished)}
            with self._engine.connect() as connection:
                rows = connection.execute(_NEWS, values).all()
                if not rows and not known.trials and connection.execute(_STUDY, {"study": study_id}).first() is None:
                    raise KeyError(f"there is no study {study_id}")
                with _without_collector(len(rows)):
                    trials = self._frozen(connection, rows)
            with _without_collector(len(rows)):
                for trial in trials:
                    known.learn(trial)
                    if trial.state.is_finished():
                        self._finished[trial._trial_id] = trial
            return known.trials.copy()

    def one(self, trial_id: int) -> FrozenTrial:
        """A trial as it is now.

        Raises:
            KeyError: no such trial.
        """
        found = self._finished.get(trial_id)
        if found is not None:
            return found
        with self._engine.connect() as connection:
            row = connection.execute(_TRIAL, {"trial": trial_id}).first()
            if row is None:
                raise KeyError(f"there is no trial {trial_id}")
            [trial] = self._frozen(connection, [row])
        return trial

    def claimed(self, attempts: Mapping[int, int]) -> dict[int, FrozenTrial]:
        """Running trials by id, read in one statement; those whose attempt is not the given one are left out."""
        values = {"trials": list(attempts), "attempts": list(attempts.values())}
        with self._engine.connect() as connection:
            rows = connection.execute(_CLAIMED, values).all()
            return {trial._trial_id: trial for trial in self._frozen(connection, rows)}

    def _frozen(self, connection: Connection, rows: Sequence[Row[Any]]) -> list[FrozenTrial]:
        """The trials of rows, with what was told of them; of trainings that go on, only news are read."""
        with self._reading:
            wanted = {row.training for row in rows if row.training is not None}
            trainings = {one: self._trainings.get(one, Training(0, {})) for one in wanted}
            read_told(connection, trainings)
            going_on = {row.training for row in rows if row.state == "running" and row.training is not None}
            for one in going_on:
                self._trainings[one] = trainings[one]
                self._trainings.move_to_end(one)
            for one in wanted - going_on:
                self._trainings.pop(one, None)
            while len(self._trainings) > _MOST_TRAININGS:
                self._trainings.popitem(last=False)
            return [to_frozen(row, _told_of(trainings, row)) for row in rows]

    def study_of(self, trial_id: int) -> int:
        """The study of a trial.

        Raises:
            KeyError: no such trial.
        """
        if trial_id not in self._studies:
            with self._engine.connect() as connection:
                row = connection.execute(_STUDY_OF, {"trial": trial_id}).first()
            if row is None:
                raise KeyError(f"there is no trial {trial_id}")
            self._studies[trial_id] = row[0]
        return self._studies[trial_id]

    def created(self, study_id: int, trial_ids: Sequence[int]) -> None:
        """Remember the study of new trials."""
        self._studies.update(dict.fromkeys(trial_ids, study_id))

    def distribution(self, study_id: int, name: str) -> BaseDistribution | None:
        """The distribution that a study has for a parameter, or None as long as it has none."""
        known = self._known.setdefault(study_id, _Known())
        if name not in known.distributions:
            self.all(study_id)
        return known.distributions.get(name)

    def settle(self, study_id: int, name: str, distribution: BaseDistribution) -> None:
        """Remember the distribution of a study's new parameter."""
        self._known.setdefault(study_id, _Known()).distributions.setdefault(name, distribution)

    def forget(self, study_id: int) -> None:
        """Drop a deleted study."""
        for trial in self._known.pop(study_id, _Known()).trials:
            self._finished.pop(trial._trial_id, None)


def _told_of(trainings: Mapping[int, Training], row: Row[Any]) -> Told:
    return {} if row.training is None else trainings[row.training].told.get(row.place, {})


@contextmanager
def _without_collector(objects: int) -> Iterator[None]:
    """Pause the cycle collector while thousands of objects are made of which none is garbage."""
    pause = objects > 1000 and gc.isenabled()
    if pause:
        gc.disable()
    try:
        yield
    finally:
        if pause:
            gc.enable()
