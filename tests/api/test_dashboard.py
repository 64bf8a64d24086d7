"""The Optuna dashboard on the same server, read-only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient


@pytest.fixture
def study(http: TestClient, submit: Callable[..., dict[str, Any]], finish: Callable[..., None]) -> dict[str, Any]:
    """The study of a job with three finished trials, as the dashboard tells it."""
    job = submit()
    finish(job["id"], [0.5, 0.9, None])
    (found,) = http.get("/api/studies").json()["study_summaries"]
    assert found["study_name"] == job["id"]
    assert job["dashboard"].endswith(f"/{found['study_id']}")
    return dict(found)


def test_it_shows_the_rows_that_the_api_ranks(http: TestClient, study: dict[str, Any]) -> None:
    trials = http.get(f"/api/studies/{study['study_id']}").json()["trials"]
    assert [(t["number"], t["state"], t.get("values")) for t in trials] == [
        (0, "Complete", [0.5]),
        (1, "Complete", [0.9]),
        (2, "Fail", None),
    ]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_nothing_can_be_changed(http: TestClient, study: dict[str, Any], method: str) -> None:
    for path in (f"/api/studies/{study['study_id']}", "/api/studies", "/dashboard", "/static/bundle.js"):
        answer = http.request(method, path)
        assert answer.status_code == 405, path
        assert answer.headers["allow"] == "GET, HEAD"
        assert answer.headers["content-type"] == "application/problem+json"
    assert len(http.get("/api/studies").json()["study_summaries"]) == 1


def test_its_files_come_whatever_encodings_the_client_takes(http: TestClient) -> None:
    for encodings in ({}, {"Accept-Encoding": "gzip"}, {"Accept-Encoding": "br"}, {"Accept-Encoding": ""}):
        request = http.build_request("GET", "/static/bundle.js")
        request.headers.pop("accept-encoding", None)
        request.headers.update(encodings)
        answer = http.send(request)
        assert answer.status_code == 200, encodings
        assert "javascript" in answer.headers["content-type"]
        assert len(answer.content) > 10_000
    assert "<html" in http.get("/dashboard").text.lower()
