"""The Pareto front and its hypervolume, against Optuna's own."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from actsearch.errors import NotFound
from actsearch.schemas import ActivationSpec, JobRequest, Objective, ObjectiveInfo
from actsearch.store import jobs, pareto

DIRECTIONS = ("maximize", "minimize", "minimize")


def job_with(engine: Engine, values: list[tuple[float, ...]]) -> UUID:
    """A job with three objectives and complete trials of these values; trial 0 is the baseline."""
    names = ("accuracy", "latency_ms", "int8_drop")
    request = JobRequest(task="digits", objectives=[Objective(metric=name) for name in names])
    infos = [ObjectiveInfo(metric=name, direction=way) for name, way in zip(names, DIRECTIONS, strict=True)]
    relu = {"network": ActivationSpec(family="relu")}
    with engine.begin() as connection:
        job_id = jobs.create_job(connection, request, infos[0], relu, {"family": "relu"}, further_objectives=infos[1:])
        for number, row in enumerate(values):
            connection.execute(
                text(
                    "INSERT INTO trials (uid, study_id, number, state, values, value, finished_at)"
                    " SELECT :uid, study_id, :number, 'complete', :values, :value, now() FROM jobs WHERE id = :job"
                    " ON CONFLICT (study_id, number) DO UPDATE SET state = 'complete', values = :values,"
                    " value = :value, finished_at = now()"
                ),
                {"uid": uuid4(), "number": number, "values": list(row), "value": row[0], "job": job_id},
            )
    return job_id


def test_the_front_is_optunas(engine: Engine) -> None:
    values = [tuple(row) for row in np.random.default_rng(5).integers(0, 5, (60, 3)).astype(float).tolist()]
    job_id = job_with(engine, values)
    study = optuna.create_study(directions=list(DIRECTIONS))
    study.add_trials([optuna.trial.create_trial(values=list(row)) for row in values])

    with engine.connect() as connection:
        front = pareto.pareto_front(connection, job_id)

    assert {tuple(entry.values) for entry in front.entries} == {tuple(t.values) for t in study.best_trials}
    assert len({tuple(entry.values) for entry in front.entries}) == len(front.entries)  # equal ones are shown once
    assert [entry.values[0] for entry in front.entries] == sorted((e.values[0] for e in front.entries), reverse=True)
    assert front.complete == 60
    assert front.baseline is not None
    assert tuple(front.baseline.values) == values[0]
    assert [o.metric for o in front.objectives] == ["accuracy", "latency_ms", "int8_drop"]


def test_a_job_without_complete_trials_has_an_empty_front(engine: Engine) -> None:
    job_id = job_with(engine, [])
    with engine.connect() as connection:
        front = pareto.pareto_front(connection, job_id)
        with pytest.raises(NotFound):
            pareto.pareto_front(connection, uuid4())
    assert (front.entries, front.baseline, front.hypervolume, front.reference) == ([], None, [], [])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 6)] * 2), min_size=1, max_size=25))
def test_hypervolume_only_grows_and_ends_at_what_can_be_counted(points: list[tuple[int, int]]) -> None:
    losses = np.array(points, dtype=float)
    history = list(pareto._history(losses))
    values = [point.value for point in history]
    assert values == sorted(values)
    assert history[-1].trials == len(points)
    reference = losses.max(0)
    cells = sum(  # unit squares that some point dominates, up to the reference
        any(a <= x and b <= y for a, b in points) for x in range(int(reference[0])) for y in range(int(reference[1]))
    )
    assert values[-1] == pytest.approx(cells)


def test_values_that_are_not_finite_are_left_out(engine: Engine) -> None:
    rows: list[Any] = [(0.5, 1.0, 0.1), (float("inf"), 1.0, 0.1), (0.4, float("nan"), 0.0)]
    job_id = job_with(engine, rows)
    with engine.connect() as connection:
        front = pareto.pareto_front(connection, job_id)
    assert [entry.trial.number for entry in front.entries] == [0]
    assert front.complete == 1
