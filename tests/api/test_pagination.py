"""Pages put together are the whole list, in order, whatever the page size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

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
