"""What is kept of trials as they finish equals what would be found by reading them all."""

from __future__ import annotations

import json
import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import optuna
import pytest
from alembic import command
from optuna.storages import BaseStorage
from sqlalchemy import Connection, Engine, insert, text

from actsearch.store import OptunaStorage
from actsearch.store.engine import create_store_engine
from actsearch.store.migrate import alembic_config
from actsearch.store.models import StudyRow, TrialRow

# As they would be counted from the trials, by group; the baseline is one activation however it is written down.
_COUNTED = """
    WITH ranked AS (
        SELECT t.*, CASE WHEN s.directions[1] = 'maximize' THEN t.value ELSE -t.value END AS merit
        FROM trials t JOIN studies s ON s.id = t.study_id
        WHERE t.study_id = :study AND t.state = 'complete' AND t.value > '-Infinity' AND t.value < 'Infinity')
    SELECT {group}, count(*), avg(value), var_pop(value) * count(*), max(merit),
        (array_agg(number ORDER BY merit DESC, number))[1], (array_agg(id ORDER BY merit DESC, number))[1]
        {wins}
    FROM ranked GROUP BY {group} ORDER BY 1, 2
"""
_WINS = ", count(*) FILTER (WHERE merit > (SELECT max(merit) FROM ranked WHERE is_baseline))"


def new_study(engine: Engine, direction: str = "maximize") -> int:
    with engine.begin() as connection:
        name = f"study {np.random.default_rng().integers(2**62)}"
        values = {"name": name, "directions": [direction]}
        return int(connection.execute(insert(StudyRow).values(values).returning(StudyRow.id)).scalar_one())


def begin(connection: Connection, study: int, trials: list[dict[str, Any]]) -> list[int]:
    row = {"study_id": study, "state": "running"}
    rows = [row | {key: value for key, value in trial.items() if key not in ("end", "value")} for trial in trials]
    return list(
        connection.execute(insert(TrialRow).returning(TrialRow.id, sort_by_parameter_order=True), rows).scalars()
    )


def end(connection: Connection, ids: list[int], trials: list[dict[str, Any]]) -> None:
    query = """UPDATE trials t SET state = c.state, value = c.value FROM unnest(CAST(:ids AS bigint[]),
        CAST(:states AS text[]), CAST(:values AS float8[])) c(id, state, value) WHERE t.id = c.id"""
    states = [trial["end"] for trial in trials]
    values = {"ids": ids, "states": states, "values": [trial["value"] for trial in trials]}
    connection.execute(text(query), values)


def some_trials(count: int, seed: int, first: int = 0) -> list[dict[str, Any]]:
    rng = np.random.default_rng(seed)
    found = []
    for number in range(first, first + count):
        family = str(rng.choice(["relu", "elu", "gelu"]))
        parameters = {"alpha": float(rng.integers(3))} if family == "elu" else {}
        value = float(rng.choice([*np.round(rng.normal(size=6), 1), math.inf, math.nan]))
        state = str(rng.choice(["complete", "complete", "complete", "pruned", "failed"]))
        found.append(
            {
                "number": number,
                "family": family,
                "activations": {"network": {"family": family, "parameters": parameters}},
                "is_baseline": family == "relu" and bool(rng.integers(2)),
                "value": None if state == "failed" else value,
                "end": state,
            }
        )
    return found


def assert_kept(engine: Engine, study: int) -> None:
    with engine.connect() as connection:
        states = "SELECT state, count(*) FROM trials WHERE study_id = :study GROUP BY state"
        counts = dict(tuple(row) for row in connection.execute(text(states), {"study": study}))
        kept = connection.execute(text("SELECT * FROM tallies WHERE study_id = :study"), {"study": study}).one()
        assert [kept.complete, kept.pruned, kept.failed] == [
            counts.get(state, 0) for state in ("complete", "pruned", "failed")
        ]
        for table, group, kept_group, wins in (
            ("family_tallies", "is_baseline, family", "is_baseline, family", _WINS),
            (
                "activation_tallies",
                "study_id, activation_key(is_baseline, activations)",
                "study_id, key",
                "",
            ),
        ):
            query = _COUNTED.format(group=group, wins=wins)
            wanted = connection.execute(text(query), {"study": study}).all()
            columns = f"{kept_group}, trials, mean, squares, merit, number, trial_id{', wins' if wins else ''}"
            found = connection.execute(
                text(f"SELECT {columns} FROM {table} WHERE study_id = :study ORDER BY 1, 2"), {"study": study}
            ).all()
            assert [(*row[:3], *row[5:]) for row in found] == [(*row[:3], *row[5:]) for row in wanted]
            assert [row[3:5] for row in found] == [pytest.approx(row[3:5], abs=1e-9) for row in wanted]


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
@pytest.mark.parametrize("seed", range(4))
def test_tallies_follow_every_cohort_that_ends(engine: Engine, direction: str, seed: int) -> None:
    study = new_study(engine, direction)
    for place in range(5):
        trials = some_trials(12, 10 * seed + place, first=12 * place)
        with engine.begin() as connection:
            end(connection, begin(connection, study, trials), trials)
        assert_kept(engine, study)


def test_trials_that_are_added_finished_count_as_those_that_finish(engine: Engine) -> None:
    study = new_study(engine)
    rows = [
        {"study_id": study, "state": trial["end"]} | {key: trial[key] for key in trial.keys() - {"end"}}
        for trial in some_trials(60, 1)
    ]
    with engine.begin() as connection:
        connection.execute(insert(TrialRow), rows)
    assert_kept(engine, study)


def test_what_is_rolled_back_is_not_counted(engine: Engine) -> None:
    study, trials = new_study(engine), some_trials(12, 2)
    with engine.begin() as connection:
        end(connection, begin(connection, study, trials), trials)
    more = some_trials(12, 3, first=12)
    with engine.connect() as connection:
        end(connection, begin(connection, study, more), more)
        connection.rollback()
    assert_kept(engine, study)


def test_cohorts_that_end_at_once_are_all_counted(engine: Engine) -> None:
    study = new_study(engine)

    def cohort(place: int) -> None:
        trials = some_trials(8, place, first=8 * place)
        with engine.begin() as connection:
            ids = begin(connection, study, trials)
        with engine.begin() as connection:
            end(connection, ids, trials)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(cohort, range(24)))
    assert_kept(engine, study)


def test_enormous_values_do_not_keep_a_trial_from_finishing(engine: Engine) -> None:
    study, trials = new_study(engine, "minimize"), some_trials(8, 4)
    for trial, value in zip(trials, [1e308, -1e308, 1e200, 1.0, 5e-324, 2.0, -3e-310, 1e155], strict=True):
        trial |= {"end": "complete", "value": value, "family": "elu", "activations": {}, "is_baseline": False}
    with engine.begin() as connection:
        ids = begin(connection, study, trials)
    for place in range(0, 8, 4):
        with engine.begin() as connection:
            end(connection, ids[place : place + 4], trials[place : place + 4])
    with engine.connect() as connection:
        query = "SELECT trials, merit, squares FROM family_tallies WHERE study_id = :study"
        row = connection.execute(text(query), {"study": study}).one()
    assert (row.trials, row.merit) == (8, 1e308)  # minimized
    assert math.isfinite(row.squares)


def test_tiny_values_do_not_keep_a_trial_from_finishing(engine: Engine) -> None:
    study, trials = new_study(engine), some_trials(4, 4)
    for trial, value in zip(trials, [5e-324, 1e-150, 1.0000001e-150, 1e-200], strict=True):
        trial |= {"end": "complete", "value": value, "family": "elu", "activations": {}, "is_baseline": False}
    for trial in trials:
        with engine.begin() as connection:
            end(connection, begin(connection, study, [trial]), [trial])
    with engine.connect() as connection:
        query = "SELECT trials, merit FROM family_tallies WHERE study_id = :study"
        assert tuple(connection.execute(text(query), {"study": study}).one()) == (4, 1.0000001e-150)


def test_optunas_own_way_of_finishing_counts(engine: Engine) -> None:
    storage: BaseStorage = OptunaStorage(engine)
    study = optuna.create_study(storage=storage)
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=3)
    study.add_trial(optuna.trial.create_trial(value=0.5))
    study.tell(study.ask(), state=optuna.trial.TrialState.FAIL)
    with engine.connect() as connection:
        row = connection.execute(text("SELECT complete, failed FROM tallies")).one()
    assert tuple(row) == (4, 1)


def test_an_upgrade_counts_what_finished_before(empty_database_url: str) -> None:
    engine = create_store_engine(empty_database_url)
    config = alembic_config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0008")
        connection.execute(text("INSERT INTO studies (id, name, directions) VALUES (1, 'old', '{minimize}')"))
        for trial in some_trials(60, 5):
            row = {key: trial[key] for key in trial.keys() - {"end", "activations"}}
            row |= {"state": trial["end"], "activations": json.dumps(trial["activations"])}
            connection.execute(
                text(
                    "INSERT INTO trials (uid, study_id, number, state, value, family, is_baseline, activations) VALUES"
                    " (gen_random_uuid(), 1, :number, :state, :value, :family, :is_baseline, :activations)"
                ),
                row,
            )
        command.upgrade(config, "head")
    assert_kept(engine, 1)
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0008")
    engine.dispose()
