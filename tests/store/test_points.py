"""Learning curves: appended once, read back as they were, small, and nobody's but their runner's."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from uuid import UUID

import numpy as np
import optuna
import pytest
from alembic import command
from sqlalchemy import Engine, text

from actsearch.schemas import ActivationSpec, Direction, JobRequest, ObjectiveInfo
from actsearch.store import OptunaStorage, jobs, points, runs
from actsearch.store.engine import create_store_engine
from actsearch.store.migrate import alembic_config
from actsearch.store.runs import Holder
from actsearch.study.ledger import Claim, Report

HAND_OUT = """
    INSERT INTO procrastinate_jobs (queue_name, task_name, status, args)
    VALUES ('runners', 'run_job', 'doing', jsonb_build_object('job_id', CAST(:job AS text))) RETURNING id
"""
NAMES = ("train_loss", "validation_accuracy", "validation_loss")


def claimed(engine: Engine, count: int) -> tuple[UUID, list[Claim]]:
    request = JobRequest.model_validate({"task": "digits", "budget": {"trials": count}})
    objective = ObjectiveInfo(metric="accuracy", direction=Direction.maximize)
    with engine.begin() as connection:
        job = jobs.create_job(connection, request, objective, {"network": ActivationSpec(family="relu")}, {})
        jobs.transition(connection, job, jobs.JobState.running)
        connection.execute(text("DELETE FROM procrastinate_jobs"))
        runner = connection.execute(text(HAND_OUT), {"job": job}).scalar_one()
        return job, runs.claim_trials(connection, Holder(job, runner, 0, "here"), count)


def report(engine: Engine, claims: list[Claim], epoch: int, metrics: list[dict[str, float]], *, tell: bool) -> None:
    told = [m.get("validation_accuracy") if tell else None for m in metrics]
    with engine.begin() as connection:
        runs.report(connection, [Report(c, epoch, m, t) for c, m, t in zip(claims, metrics, told, strict=True)])


def test_curves_are_read_as_they_were_reported(engine: Engine) -> None:
    """Some leave, a metric comes later, another is missing at times, and values are what JSON cannot say."""
    _, claims = claimed(engine, 4)
    with engine.begin() as connection:
        runs.start(connection, claims)
    rng, wanted = np.random.default_rng(0), {claim.id: {} for claim in claims}
    for epoch, there in enumerate([claims, claims[1:], [claims[3], claims[1]], claims[3:]], start=1):
        metrics = [dict(zip(NAMES[: 1 + epoch], rng.normal(size=3).tolist(), strict=False)) for _ in there]
        metrics[0]["train_loss"] = [math.inf, -math.inf, 1e308, 5e-324][epoch - 1]
        if epoch == 3:
            del metrics[1]["train_loss"]
        report(engine, list(there), epoch, metrics, tell=False)
        for claim, one in zip(there, metrics, strict=True):
            wanted[claim.id][epoch] = one
    with engine.connect() as connection:
        assert points.curves(connection, [claim.id for claim in claims]) == wanted


def test_a_new_start_has_a_new_curve_and_others_keep_theirs(engine: Engine) -> None:
    job, claims = claimed(engine, 3)
    with engine.begin() as connection:
        runs.start(connection, claims)
    report(engine, claims, 1, [{"validation_accuracy": 0.1}] * 3, tell=True)
    with engine.begin() as connection:
        runs.start(connection, claims[:2])
    report(engine, claims[:2], 1, [{"validation_accuracy": 0.2}] * 2, tell=True)
    report(engine, claims[2:], 2, [{"validation_accuracy": 0.3}], tell=True)
    with engine.connect() as connection:
        curves = points.curves(connection, [claim.id for claim in claims])
    accuracies = [{epoch: m["validation_accuracy"] for epoch, m in curves[claim.id].items()} for claim in claims]
    assert accuracies == [{1: 0.2}, {1: 0.2}, {1: 0.1, 2: 0.3}]
    study = optuna.load_study(study_name=str(job), storage=OptunaStorage(engine))
    assert [trial.intermediate_values for trial in study.get_trials()] == accuracies


def test_storages_follow_what_is_told_while_a_training_goes_on(engine: Engine) -> None:
    job, claims = claimed(engine, 3)
    storage, other = OptunaStorage(engine), OptunaStorage(engine)
    study = storage.get_study_id_from_name(str(job))
    with engine.begin() as connection:
        runs.start(connection, claims)
    for epoch in range(1, 5):
        report(engine, claims, epoch, [{"validation_accuracy": epoch + n / 10} for n in range(3)], tell=True)
        with storage.batch(runs.attempts(claims)):
            for place, claim in enumerate(claims):
                storage.set_trial_intermediate_value(claim.id, epoch, epoch + place / 10)
                storage.set_trial_system_attr(claim.id, f"completed_rung_{epoch}", 0.5)
        for one in (storage, other, OptunaStorage(engine)):
            seen = [trial.intermediate_values for trial in one.get_all_trials(study)]
            assert seen == [{e: e + place / 10 for e in range(1, epoch + 1)} for place in range(3)]
    with engine.connect() as connection:
        assert set(connection.execute(text("SELECT intermediate FROM trials")).scalars().all()[0]) == set()


def _sizes(engine: Engine) -> tuple[int, int]:
    """Bytes of learning curves, and of the rows of trials."""
    curves = "SELECT pg_total_relation_size('points') + pg_total_relation_size('trainings'), pg_table_size('trials')"
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM trials, points, trainings"))
        row = connection.execute(text(curves)).one()
    return row[0], row[1]


def test_curves_take_little_more_than_they_weigh_and_trials_do_not_grow(engine: Engine) -> None:
    _, claims = claimed(engine, 64)
    with engine.begin() as connection:
        runs.start(connection, claims)
    before, rng, epochs = _sizes(engine), np.random.default_rng(1), 100
    for epoch in range(1, epochs + 1):
        metrics = [dict(zip(NAMES, row, strict=True)) for row in rng.random((64, 3)).tolist()]
        report(engine, claims, epoch, metrics, tell=True)
    curves, trials = _sizes(engine)
    assert curves - before[0] <= 4 * 8 * len(NAMES) * len(claims) * epochs
    assert trials == before[1]


@pytest.mark.heavy
def test_ten_thousand_epochs_are_reported_and_read(engine: Engine) -> None:
    _, claims = claimed(engine, 2)
    with engine.begin() as connection:
        runs.start(connection, claims)
        for epoch in range(1, 10_001):
            runs.report(connection, [Report(claim, epoch, {"train_loss": 1 / epoch}, 0.5) for claim in claims])
    with engine.connect() as connection:
        curve = points.curves(connection, [claims[1].id])[claims[1].id]
    assert curve == {epoch: {"train_loss": 1 / epoch} for epoch in range(1, 10_001)}
    told = OptunaStorage(engine).get_trial(claims[0].id).intermediate_values
    assert len(told) == 10_000


def _words(curves: Mapping[int, points.Curve]) -> str:
    """What NaN does not make different from itself."""
    return json.dumps(curves, sort_keys=True)


def test_an_upgrade_keeps_curves(empty_database_url: str) -> None:
    engine, config = create_store_engine(empty_database_url), alembic_config()
    rng = np.random.default_rng(2)
    old = {
        n: {e: {"train_loss": float(rng.normal()), **({"extra": math.nan} if n == 2 else {})} for e in range(1, n + 2)}
        for n in range(5)
    }
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0010")
        connection.execute(text("INSERT INTO studies (id, name, directions) VALUES (1, 'old', '{minimize}')"))
        for number, curve in old.items():
            row = {"number": number, "cohort": number // 3, "curve": json.dumps(curve).replace("NaN", '"NaN"')}
            connection.execute(
                text(
                    "INSERT INTO trials (id, uid, study_id, number, state, cohort, curve)"
                    " VALUES (:number + 1, gen_random_uuid(), 1, :number, 'pruned', :cohort, :curve)"
                ),
                row,
            )
        command.upgrade(config, "head")
        found = points.curves(connection, range(1, 6))
        assert repr(
            {n - 1: {e: dict(sorted(m.items())) for e, m in sorted(c.items())} for n, c in found.items()}
        ) == repr({n: {e: dict(sorted(m.items())) for e, m in c.items()} for n, c in old.items()})
        assert connection.execute(text("SELECT pruned FROM tallies")).scalar_one() == 5
        command.downgrade(config, "0010")
        kept = connection.execute(text("SELECT number, curve FROM trials ORDER BY number")).all()
    assert [{int(e): m["train_loss"] for e, m in curve.items()} for _, curve in kept] == [
        {e: m["train_loss"] for e, m in curve.items()} for curve in old.values()
    ]
    engine.dispose()
