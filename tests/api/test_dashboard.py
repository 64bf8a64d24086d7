"""The Optuna dashboard on the same server, read-only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from a2wsgi import WSGIMiddleware
from sqlalchemy import Engine
from starlette.testclient import TestClient

from actsearch_api.dashboard import Forgetful


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


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/api/studies/999999", 404, "study_id=999999 is not found"),
        ("/api/studies/{study}?after=-1", 400, "`after` should be larger"),
        ("/api/nothing", 404, "nothing here"),
        ("/static/nothing.js", 404, "nothing here"),
        ("/csv/999999", 404, "999999"),
    ],
)
def test_its_errors_are_problems_like_all_others(
    http: TestClient, study: dict[str, Any], path: str, status: int, words: str
) -> None:
    answer = http.get(path.format(study=study["study_id"]))
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert words in answer.json()["detail"]
    assert answer.json()["reason"] == answer.json()["detail"]  # which its page shows
    assert http.head(path.format(study=study["study_id"])).status_code == status


def test_what_it_keeps_in_memory_has_a_bound(
    engine: Engine, submit: Callable[..., dict[str, Any]], finish: Callable[..., None], http: TestClient
) -> None:
    for _ in range(4):
        finish(submit()["id"], [0.5] * 6)
    studies = [one["study_id"] for one in http.get("/api/studies").json()["study_summaries"]]
    dashboard = Forgetful(engine, most_trials=10)
    kept = []
    with TestClient(WSGIMiddleware(dashboard), "http://localhost") as client:  # type: ignore[arg-type]
        for study in [*studies, *studies]:
            found = client.get(f"/api/studies/{study}", headers={"Accept-Encoding": "identity"}).json()
            assert len(found["trials"]) == 6
            kept.append(dashboard.storage.trials_kept)
    assert max(kept) == 12
    assert kept.count(6) == 4
