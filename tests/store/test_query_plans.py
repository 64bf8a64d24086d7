"""The statements that lists and rankings live on use their indexes: a page costs a page, however large the study."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, Engine, event, text

from actsearch.schemas import ActivationSpec, Direction, JobRequest, ObjectiveInfo, TrialState
from actsearch.store import job_views, jobs, ranking, trials
from actsearch.store.leaderboard import jobs_of_pair
from actsearch.store.statements import RUNS, statement, statements

STUDIES, TRIALS = 4, 10_000

_FILL = """
    INSERT INTO trials (uid, study_id, number, state, value, values, family, params)
    SELECT gen_random_uuid(), :study, n, CASE WHEN n % 10 = 9 THEN 'failed' ELSE 'complete' END,
        CASE WHEN n % 10 = 9 THEN NULL ELSE (n * 7919 % :trials) / CAST(:trials AS float8) END,
        NULL, 'family' || n % 20, '{"training.learning_rate": 0.001}'
    FROM generate_series(1, :trials - 1) AS n
"""


@pytest.fixture(scope="module")
def job(module_engine: Engine) -> UUID:
    """One of several jobs with thousands of trials each."""
    request = JobRequest.model_validate({"task": "digits", "budget": {"trials": TRIALS}})
    objective = ObjectiveInfo(metric="accuracy", direction=Direction.maximize)
    for _ in range(STUDIES):
        with module_engine.begin() as connection:
            job = jobs.create_job(connection, request, objective, {"network": ActivationSpec(family="relu")}, {})
            study = connection.execute(text("SELECT study_id FROM jobs WHERE id = :job"), {"job": job}).scalar_one()
            connection.execute(text(_FILL), {"study": study, "trials": TRIALS})
            connection.execute(
                text("UPDATE studies SET next_number = :trials WHERE id = :study"), {"study": study, "trials": TRIALS}
            )
    with module_engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE trials"))
    return job


def _rows_touched(engine: Engine, call: Callable[[Connection], Any]) -> int:
    """How many rows of `trials` PostgreSQL looks at, in all statements of a call."""
    said: list[tuple[str, Any]] = []
    with engine.connect() as connection:
        event.listen(
            connection, "before_cursor_execute", lambda _c, _cur, query, given, *_: said.append((query, given))
        )
        call(connection)
    touched = 0
    for query, given in said:
        with engine.connect() as connection:
            (plan,) = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}", given).scalar_one()
        touched += sum(_scanned(plan["Plan"]))
    return touched


def _scanned(node: dict[str, Any]) -> Iterator[int]:
    if node.get("Relation Name") == "trials":
        looked_at = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
        yield round(looked_at * node["Actual Loops"])
    for part in node.get("Plans", ()):
        yield from _scanned(part)


@pytest.mark.parametrize("sort", ["number", "-number", "value", "-value"])
def test_a_page_of_trials_costs_a_page(module_engine: Engine, job: UUID, sort: trials.Sort) -> None:
    with module_engine.connect() as connection:
        page = trials.list_trials(connection, job, sort=sort, limit=50)
        for _ in range(3):
            page = trials.list_trials(connection, job, sort=sort, limit=50, cursor=page.next_cursor)
    touched = _rows_touched(
        module_engine, lambda c: trials.list_trials(c, job, sort=sort, limit=50, cursor=page.next_cursor)
    )
    assert 0 < touched <= 4 * 51


@pytest.mark.parametrize("sort", ["number", "-value"])
@pytest.mark.parametrize("filters", [{"state": TrialState.failed}, {"family": "family7"}])
def test_a_filtered_page_costs_a_page(
    module_engine: Engine, job: UUID, sort: trials.Sort, filters: dict[str, Any]
) -> None:
    touched = _rows_touched(module_engine, lambda c: trials.list_trials(c, job, sort=sort, limit=50, **filters))
    assert touched <= 4 * 51


_KEPT: dict[str, Callable[[Connection, UUID], Any]] = {
    "job": lambda c, job: job_views.get_job(c, job, 30),
    "jobs": lambda c, job: job_views.list_jobs(c, 30, limit=4),
    "trials": lambda c, job: ranking.rank_trials(c, job, 20),
    "families": lambda c, job: ranking.rank_families(c, job, 20),
    "activations": lambda c, job: ranking.rank_activations(c, job, 20),
    "leaderboard": lambda c, job: jobs_of_pair(c, "mlp", "digits", 20),
}


@pytest.mark.parametrize("name", _KEPT)
def test_what_is_kept_as_trials_finish_is_not_counted_again(module_engine: Engine, job: UUID, name: str) -> None:
    assert _rows_touched(module_engine, lambda c: _KEPT[name](c, job)) <= 4 * 21


# Statements of runners and of the reconciler, which run all the time, with the most rows of `trials` each may look at.
_LEDGER: dict[str, tuple[dict[str, Any], int]] = {
    "left_to_claim": ({}, 8),
    "claim_given_back": ({"runner": 1, "worker": "w", "cohort": 1}, 8),
    "claim_planned": ({"runner": 1, "worker": "w", "cohort": 0, "most": 4}, 16),
    "propose": ({}, 8),
    "forget": ({}, 8),
    "start": ({"together": 2}, 8),
    "standing": ({"attempts": [1, 1]}, 8),
    "finish": ({}, 8),
    "release": ({}, 8),
    "held": ({"runner": 1, "worker": None}, 8),
    "orphans": ({}, 8),
    "give_back": ({"tries": 3, "blamed": True}, 16),
    "fail_cancelled": ({}, 8),
    "remaining": ({}, 8),
    "tally": ({}, 8),
}


@pytest.fixture
def under_way(module_engine: Engine, job: UUID) -> Iterator[tuple[Connection, dict[str, Any]]]:
    """Two trials of the job in training, two that wait; gone after the test."""
    with module_engine.connect() as connection:
        study = connection.execute(text("SELECT study_id FROM jobs WHERE id = :job"), {"job": job}).scalar_one()
        query = "SELECT id FROM trials WHERE study_id = :study AND number BETWEEN 1 AND 4 ORDER BY number"
        ids = list(connection.execute(text(query), {"study": study}).scalars())
        change = "UPDATE trials SET state = :state, runner = 1, worker = 'w', cohort = 1 WHERE id = ANY(:ids)"
        for state, some in (("running", ids[:2]), ("waiting", ids[2:])):
            connection.execute(text(change), {"state": state, "ids": some})
        row = {"attempt": 1, "state": "complete", "values": [0.5], "metrics": {}, "point": {"1": {}}}
        row |= {"family": "relu", "activations": {}, "is_baseline": False}
        rows = json.dumps([{"id": one} | row for one in ids[:2]])
        yield connection, {"job": job, "study": study, "ids": ids[:2], "rows": rows}
        connection.rollback()


@pytest.mark.parametrize("name", _LEDGER)
def test_runners_and_the_reconciler_look_at_what_is_under_way_only(
    under_way: tuple[Connection, dict[str, Any]], name: str
) -> None:
    connection, given = under_way
    values, most = _LEDGER[name]
    query = statement(name)
    bound = {name: value for name, value in (given | values).items() if name in query._bindparams}
    explained = text(f"EXPLAIN (ANALYZE, FORMAT JSON) {query.text}")
    (plan,) = connection.execute(explained, bound).scalar_one()
    assert sum(_scanned(plan["Plan"])) <= most


def test_every_statement_is_valid_on_every_table_that_it_names(module_engine: Engine, job: UUID) -> None:
    """PostgreSQL plans each of them with parameters that it does not know yet."""
    for name in statements():
        for runs in RUNS:
            query = statement(name, runs)
            with module_engine.connect() as connection:
                numbered = query.text
                for place, key in enumerate(query._bindparams, start=1):
                    numbered = re.sub(rf"(?<!:):{key}\b", f"${place}", numbered)
                connection.exec_driver_sql(f"PREPARE checked AS {numbered.replace('%', '%%')}")
                connection.exec_driver_sql("DEALLOCATE checked")
