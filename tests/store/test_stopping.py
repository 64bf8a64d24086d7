"""Stop rules: whichever limit is reached first ends the search, exactly, and is named."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine, insert, text

from actsearch.schemas import StopRule
from actsearch.store import claims, stopping
from actsearch.store.models import JobRow, StudyRow


def make_job(engine: Engine, direction: str = "maximize", **budget: Any) -> UUID:
    budget = {"trials": 100} | budget
    with engine.begin() as connection:
        study = {"name": "study", "directions": [direction]}
        row = {
            "study_id": connection.execute(insert(StudyRow).values(study).returning(StudyRow.id)).scalar_one(),
            "state": "running",
            "architecture": "mlp",
            "task": "digits",
            "metric": "accuracy",
            "direction": direction,
            "parallelism": 4,
            "budget_trials": budget["trials"],
            "request": {"budget": budget},
        }
        job = connection.execute(insert(JobRow).values(row).returning(JobRow.id)).scalar_one()
        connection.execute(text("UPDATE jobs SET started_at = now() - interval '60 seconds'"))
    return job


def take(engine: Engine, job: UUID, k: int = 1) -> list[claims.Claim]:
    with engine.begin() as connection:
        return claims.claim(connection, job, 1, "worker", k)


def finish(engine: Engine, claimed: list[claims.Claim], values: list[float], seconds: float = 1.0) -> None:
    for claim, value in zip(claimed, values, strict=True):  # one transaction each, so that they end one after another
        with engine.begin() as connection:
            claims.finish(connection, [claims.Finish(claim, "complete", value, {"seconds": seconds})])


def ended(engine: Engine, job: UUID) -> tuple[str | None, int]:
    with engine.connect() as connection:
        row = connection.execute(text("SELECT stopped_by, budget_trials FROM jobs WHERE id = :job"), {"job": job}).one()
        return row.stopped_by, row.budget_trials


@pytest.mark.parametrize(("limit", "stops"), [(59.0, True), (3600.0, False)])
def test_wall_time(engine: Engine, limit: float, stops: bool) -> None:
    job = make_job(engine, seconds=limit)
    assert bool(take(engine, job)) is not stops
    assert ended(engine, job) == (("seconds", 0) if stops else (None, 100))


def test_device_seconds_add_up_over_trials(engine: Engine) -> None:
    job = make_job(engine, device_seconds=5)
    finish(engine, take(engine, job, 2), [0.1, 0.2], seconds=2.0)
    assert len(take(engine, job)) == 1
    finish(engine, take(engine, job), [0.3], seconds=1.5)
    assert take(engine, job) == []
    assert ended(engine, job) == ("device_seconds", 4)


@pytest.mark.parametrize(("direction", "near", "there"), [("maximize", 0.8, 0.91), ("minimize", 0.95, 0.9)])
def test_a_target_reached_ends_the_search(engine: Engine, direction: str, near: float, there: float) -> None:
    job = make_job(engine, direction, target=0.9)
    finish(engine, take(engine, job), [near])
    assert take(engine, job)
    finish(engine, take(engine, job), [there])
    assert take(engine, job) == []
    assert ended(engine, job)[0] == "target"


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_patience_counts_from_the_last_improvement(engine: Engine, direction: str) -> None:
    sign = 1 if direction == "maximize" else -1
    job = make_job(engine, direction, patience=3)
    finish(engine, take(engine, job, 4), [sign * v for v in (0.1, 0.05, 0.06, 0.2)])
    finish(engine, take(engine, job, 2), [sign * v for v in (0.2, 0.1)])  # the same again is no improvement
    assert len(take(engine, job)) == 1
    with engine.begin() as connection:
        connection.execute(text("UPDATE trials SET state = 'failed', finished_at = now() WHERE state = 'running'"))
    assert take(engine, job) == []
    assert ended(engine, job) == ("patience", 7)


def test_what_was_given_back_is_still_trained(engine: Engine) -> None:
    job = make_job(engine, target=0.9)
    first, _ = take(engine, job, 2)
    finish(engine, [first], [0.95])
    with engine.begin() as connection:
        claims.give_back(connection, 1, attempts=3)
    assert [claim.number for claim in take(engine, job, 8)] == [1]
    assert ended(engine, job) == ("target", 2)
    with engine.connect() as connection:
        assert claims.remaining(connection, job).unclaimed == 0


def test_the_first_reason_stays(engine: Engine) -> None:
    job = make_job(engine)
    take(engine, job)
    with engine.begin() as connection:
        assert stopping.stop(connection, job, StopRule.regret_bound)
        assert not stopping.stop(connection, job, StopRule.target)
        stopping.record_spent(connection, job)
    assert ended(engine, job) == ("regret_bound", 1)


def test_no_limit_costs_nothing_and_trials_are_spent(engine: Engine) -> None:
    job = make_job(engine, trials=2)
    assert len(take(engine, job, 8)) == 2
    with engine.begin() as connection:
        stopping.record_spent(connection, job)
    assert ended(engine, job) == ("trials", 2)
