"""The Pareto front of a job's complete trials, and how its hypervolume grew."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from optuna._hypervolume import compute_hypervolume
from sqlalchemy import Connection, text

from actsearch.errors import NotFound
from actsearch.schemas import Direction, HypervolumePoint, ObjectiveInfo, ParetoEntry, ParetoFront, Trial
from actsearch.store.trials import COLUMNS, to_trial

Losses = NDArray[np.float64]
"""Values turned so that smaller is better, (trials, objectives)."""

_VALUES = """
    SELECT number, values FROM trials
    WHERE study_id = :study AND state = 'complete' AND cardinality(values) = :objectives
    ORDER BY finished_at, number
"""


def pareto_front(connection: Connection, job_id: UUID) -> ParetoFront:
    """The front of a job; with a single objective, its best trial.

    Raises:
        NotFound: no such job.
    """
    study, objectives = objectives_of(connection, job_id)
    numbers, values = objective_values(connection, study, len(objectives))
    signs = np.array([-1.0 if o.direction == Direction.maximize else 1.0 for o in objectives])
    losses = values * signs
    front = sorted(_front(losses), key=lambda place: (*losses[place], numbers[place]))
    shown = {numbers[place]: values[place].tolist() for place in front}
    baseline = dict(zip(numbers[numbers == 0].tolist(), values[numbers == 0].tolist(), strict=True))
    trials = _trials(connection, study, [*shown, *baseline])
    entries = [ParetoEntry(trial=trials[number], values=found) for number, found in shown.items()]
    return ParetoFront(
        job_id=job_id,
        objectives=list(objectives),
        complete=len(numbers),
        entries=entries,
        baseline=next((ParetoEntry(trial=trials[n], values=found) for n, found in baseline.items()), None),
        reference=(losses.max(0) * signs).tolist() if len(losses) else [],
        hypervolume=list(_history(losses)),
    )


def objectives_of(connection: Connection, job_id: UUID) -> tuple[int, list[ObjectiveInfo]]:
    """A job's study and all its objectives.

    Raises:
        NotFound: no such job.
    """
    query = """SELECT j.study_id, j.metric, s.directions, j.request -> 'objectives' AS objectives
        FROM jobs j JOIN studies s ON s.id = j.study_id WHERE j.id = :job"""
    row = connection.execute(text(query), {"job": job_id}).first()
    if row is None:
        raise NotFound("job", str(job_id))
    names = [row.metric, *(objective["metric"] for objective in (row.objectives or [])[1:])]
    infos = [ObjectiveInfo(metric=n, direction=Direction(d)) for n, d in zip(names, row.directions, strict=True)]
    return row.study_id, infos


def objective_values(connection: Connection, study: int, objectives: int) -> tuple[NDArray[np.int64], Losses]:
    """Numbers (n,) and values (n, objectives) of the complete trials whose values are all finite, as they completed."""
    rows = connection.execute(text(_VALUES), {"study": study, "objectives": objectives}).all()
    numbers = np.array([row.number for row in rows], dtype=np.int64)
    values = np.array([row.values for row in rows], dtype=np.float64).reshape(len(rows), objectives)
    finite = np.isfinite(values).all(1)
    return numbers[finite], values[finite]


def _trials(connection: Connection, study: int, numbers: Sequence[int]) -> Mapping[int, Trial]:
    query = f"SELECT {COLUMNS} FROM trials t JOIN jobs j USING (study_id) WHERE t.study_id = :study AND t.number = ANY(:numbers)"  # noqa: S608, E501
    values: dict[str, Any] = {"study": study, "numbers": [int(number) for number in numbers]}
    return {row.number: to_trial(row) for row in connection.execute(text(query), values)}


def _fronts(losses: Losses) -> Iterator[tuple[int, list[int]]]:
    """The places on the front, each time that it changes: (how many trials were seen, places)."""
    front: list[int] = []
    for place, loss in enumerate(losses):
        others = losses[front]
        if front and (others <= loss).all(1).any():  # beaten, or equal to an earlier one
            continue
        beaten = (loss <= others).all(1) if front else np.zeros(0, dtype=bool)
        front = [*(old for old, gone in zip(front, beaten, strict=True) if not gone), place]
        yield place + 1, front


def _front(losses: Losses) -> list[int]:
    front: list[int] = []
    for _, found in _fronts(losses):
        front = found
    return front


def _history(losses: Losses) -> Iterator[HypervolumePoint]:
    if not len(losses):
        return
    reference, value, seen = losses.max(0), 0.0, 0
    for trials, front in _fronts(losses):
        seen, value = trials, float(compute_hypervolume(losses[front], reference))
        yield HypervolumePoint(trials=seen, value=value)
    if seen < len(losses):
        yield HypervolumePoint(trials=len(losses), value=value)
