"""What a client has already is not sent again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient


@pytest.mark.parametrize(
    "path", ["/v1/activations", "/v1/jobs", "/openapi.json", "/docs", "/docs-files/swagger-ui.css"]
)
def test_the_same_content_is_sent_once(http: TestClient, path: str) -> None:
    first = http.get(path)
    tag = first.headers["etag"]
    for having in (tag, tag.removeprefix("W/"), f'"other", {tag}', "*"):
        again = http.get(path, headers={"If-None-Match": having})
        assert again.status_code == 304, having
        assert again.content == b""
        assert again.headers["etag"] == tag
    for having in ('"other"', "", "W/"):
        assert http.get(path, headers={"If-None-Match": having}).content == first.content
    head = http.head(path, headers={"If-None-Match": tag})
    assert (head.status_code, head.content) == (304, b"")


def test_other_content_is_sent(
    http: TestClient, submit: Callable[..., dict[str, Any]], finish: Callable[..., None]
) -> None:
    path = f"/v1/jobs/{submit()['id']}"
    tag = http.get(path).headers["etag"]
    assert http.get(path, headers={"If-None-Match": tag}).status_code == 304
    finish(path.rpartition("/")[2], [0.5])
    changed = http.get(path, headers={"If-None-Match": tag})
    assert changed.status_code == 200
    assert changed.json()["progress"]["complete"] == 1
    assert changed.headers["etag"] != tag


def test_errors_and_changes_have_no_tag(http: TestClient, submit: Callable[..., dict[str, Any]]) -> None:
    everything = {"If-None-Match": "*"}
    missing = http.get("/v1/jobs/00000000-0000-7000-8000-000000000000", headers=everything)
    assert (missing.status_code, "etag" in missing.headers) == (404, False)
    assert http.get("/v1/jobs?limit=0", headers=everything).status_code == 422
    made = http.post("/v1/jobs", json={"task": "digits"}, headers=everything)
    assert (made.status_code, "etag" in made.headers) == (201, False)


def test_compressed_or_not_it_is_the_same(http: TestClient) -> None:
    plain = http.get("/v1/activations", headers={"Accept-Encoding": "identity"})
    small = http.get("/v1/activations", headers={"Accept-Encoding": "gzip"})
    assert small.headers["content-encoding"] == "gzip"
    assert small.headers["etag"] == plain.headers["etag"]
    again = http.get("/v1/activations", headers={"Accept-Encoding": "gzip", "If-None-Match": plain.headers["etag"]})
    assert again.status_code == 304
    assert "content-encoding" not in again.headers


def test_the_dashboards_files_are_sent_once(http: TestClient) -> None:
    first = http.get("/static/bundle.js")
    again = http.get("/static/bundle.js", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
