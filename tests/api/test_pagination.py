"""Pages put together are the whole list, in order, whatever the page size."""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, insert, text
from starlette.testclient import TestClient

from actsearch.store.models import EvaluationRow

VALUES = [0.5, 0.9, None, 0.9, 0.1, 0.5, None, 0.5, 0.7, 0.9, 0.2]


def _pages(http: TestClient, path: str, limit: int, **query: Any) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        wanted = query | {"limit": limit} | ({"cursor": cursor} if cursor else {})
        page = http.get(path, params=wanted).json()
        assert len(page["items"]) <= limit
        items += page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return items
        assert len(page["items"]) == limit


@pytest.fixture
def trials(http: TestClient, submit: Callable[..., dict[str, Any]], finish: Callable[..., None]) -> str:
    """Path of a job's trials, with values that tie and trials that failed."""
    job = submit()
    finish(job["id"], VALUES)
    return f"/v1/jobs/{job['id']}/trials"


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    limit=st.integers(1, 12),
    sort=st.sampled_from(["number", "-number", "value", "-value"]),
    state=st.sampled_from([None, "complete", "failed"]),
)
def test_trials(http: TestClient, trials: str, limit: int, sort: str, state: str | None) -> None:
    paged = _pages(http, trials, limit, sort=sort, **({"state": state} if state else {}))

    kept = [
        (number, value)
        for number, value in enumerate(VALUES)
        if (state is None or (value is None) == (state == "failed")) and not (value is None and "value" in sort)
    ]
    sign = -1 if sort.startswith("-") else 1
    by = {"number": lambda t: sign * t[0], "value": lambda t: (sign * (t[1] or 0), t[0])}[sort.removeprefix("-")]
    assert [(trial["number"], trial["value"]) for trial in paged] == sorted(kept, key=by)


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8])
def test_jobs(http: TestClient, submit: Callable[..., dict[str, Any]], limit: int) -> None:
    made = [submit()["id"] for _ in range(7)]
    assert [job["id"] for job in _pages(http, "/v1/jobs", limit)] == made[::-1]


def test_a_job_submitted_meanwhile_does_not_shift_the_pages(
    http: TestClient, submit: Callable[..., dict[str, Any]]
) -> None:
    made = [submit()["id"] for _ in range(3)]
    first = http.get("/v1/jobs", params={"limit": 2}).json()
    submit()
    second = http.get("/v1/jobs", params={"limit": 2, "cursor": first["next_cursor"]}).json()
    assert [job["id"] for job in first["items"] + second["items"]] == made[::-1]


@pytest.fixture
def evaluations(engine: Engine, trials: str) -> str:
    """Path of a job's evaluations: 3 seeds of 4 arms, neither stored in order."""
    job = trials.split("/")[3]
    with engine.begin() as connection:
        found = "SELECT t.id, t.study_id FROM trials t JOIN jobs j USING (study_id) WHERE j.id = :job AND t.number = 0"
        trial, study = connection.execute(text(found), {"job": job}).one()
        places = [(replicate, arm) for arm in (2, 0, 3, 1) for replicate in (1, 2, 0)]
        same = {"job_id": UUID(job), "study_id": study, "trial_id": trial, "state": "waiting"}
        rows = [same | {"replicate": r, "arm": a, "twin": a == 3, "seed": 100 + r} for r, a in places]
        connection.execute(insert(EvaluationRow), rows)
    return f"/v1/jobs/{job}/evaluations"


def test_evaluations(http: TestClient, evaluations: str) -> None:
    for limit in (1, 2, 3, 4, 5, 11, 12, 13):
        paged = _pages(http, evaluations, limit)
        assert [(e["replicate"], e["arm"]) for e in paged] == [(r, a) for r in range(3) for a in range(4)], limit


def test_evaluations_of_another_job_are_not_among_them(
    http: TestClient, evaluations: str, submit: Callable[..., dict[str, Any]]
) -> None:
    other = submit()
    assert _pages(http, f"/v1/jobs/{other['id']}/evaluations", 5) == []
    assert len(_pages(http, evaluations, 5)) == 12


def test_a_cursor_is_good_for_the_list_and_the_order_that_made_it_only(
    http: TestClient, trials: str, evaluations: str, submit: Callable[..., dict[str, Any]]
) -> None:
    submit()
    lists = [("/v1/jobs", {}), (evaluations, {})]
    lists += [(trials, {"sort": sort}) for sort in ("number", "-number", "value", "-value")]
    made = {}
    for path, query in lists:
        made[path, *query.values()] = http.get(path, params=query | {"limit": 1}).json()["next_cursor"]
        again = http.get(path, params=query | {"limit": 1, "cursor": made[path, *query.values()]})
        assert again.status_code == 200, again.text
    for (path, query), (other, its_query) in permutations(lists, 2):
        answer = http.get(path, params=query | {"cursor": made[other, *its_query.values()]})
        assert answer.status_code == 422, (path, query, other, its_query)
        assert [error["field"] for error in answer.json()["errors"]] == ["cursor"]


@pytest.mark.parametrize("state", ["queued", "cancelled"])
def test_jobs_in_a_state(http: TestClient, submit: Callable[..., dict[str, Any]], state: str) -> None:
    made = [submit()["id"] for _ in range(6)]
    ended = made[1::2]
    for job in ended:
        assert http.post(f"/v1/jobs/{job}/cancel").status_code == 200
    wanted = ended if state == "cancelled" else made[::2]
    assert [job["id"] for job in _pages(http, "/v1/jobs", 2, state=state)] == wanted[::-1]
