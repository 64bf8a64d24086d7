"""Names that the service answers to, and pages of other origins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine
from starlette.testclient import TestClient

from actsearch.settings import Settings
from actsearch_api.app import create_app, known_names

Submit = Callable[..., dict[str, Any]]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("localhost:8800", 200),
        ("LOCALHOST:1", 200),
        ("a.localhost", 200),
        ("127.0.0.1:8800", 200),
        ("127.8.8.8", 200),
        ("[::1]:8800", 200),
        ("evil.example", 421),
        ("evil.example:8800", 421),
        ("localhost.evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("10.0.0.1", 421),
        ("", 421),
        ("localhost:8800@evil.example", 421),
        ("localhost:8800/evil.example", 421),
        ("localhost:x", 421),
        ("[::1]x", 421),
    ],
)
def test_a_name_that_points_here_is_not_enough(http: TestClient, host: str, status: int) -> None:
    for path in ("/healthz", "/v1/jobs", "/dashboard", "/"):
        answer = http.get(path, headers={"Host": host})
        assert (answer.status_code == 421) is (status == 421), path
    if status == 421:
        assert "ACTSEARCH_ALLOWED_HOSTS" in answer.json()["detail"]


def test_two_names_are_none(http: TestClient) -> None:
    request = http.build_request("GET", "/healthz")
    request.headers = httpx.Headers([("Host", "localhost"), ("Host", "evil.example")])
    assert http.send(request).status_code == 421


@pytest.mark.parametrize(
    ("host", "allowed", "names"),
    [
        ("127.0.0.1", "", []),
        ("::1", "", []),
        ("localhost", "search.example, other", ["search.example", "other"]),
        ("0.0.0.0", "", ["*"]),
        ("::", "", ["*"]),
        ("0.0.0.0", "search.example", ["search.example"]),
        ("192.168.1.2", "", ["192.168.1.2"]),
        ("fd00::1", "", ["fd00::1"]),
    ],
)
def test_the_names_follow_the_address(host: str, allowed: str, names: list[str]) -> None:
    assert known_names(Settings(_env_file=None, host=host, allowed_hosts=allowed)) == names


def test_an_allowed_name_is_answered(engine: Engine) -> None:
    app = create_app(Settings(_env_file=None, allowed_hosts="Search.example"), engine)
    with TestClient(app, "http://search.example:8800") as http:
        assert http.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:9999"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example", "Content-Type": "application/x-www-form-urlencoded"},
    ],
)
def test_pages_of_other_origins_change_nothing(http: TestClient, submit: Submit, headers: dict[str, str]) -> None:
    job = submit()["id"]
    assert http.post(f"/v1/jobs/{job}/cancel", headers=headers).status_code in (403, 415)
    assert http.post("/v1/jobs", json={"task": "digits"}, headers=headers).status_code in (403, 415)
    assert [one["state"] for one in http.get("/v1/jobs").json()["items"]] == ["queued"]


def test_an_empty_form_is_turned_away_whatever_else_it_says(http: TestClient, submit: Submit) -> None:
    job = submit()["id"]
    for kind in ("application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain"):
        assert http.post(f"/v1/jobs/{job}/cancel", headers={"Content-Type": kind}).status_code == 415
    assert http.get(f"/v1/jobs/{job}").json()["state"] == "queued"


@pytest.mark.parametrize("headers", [{}, {"Origin": "http://localhost"}, {"Sec-Fetch-Site": "same-origin"}])
def test_ones_own_pages_and_programs_may(http: TestClient, submit: Submit, headers: dict[str, str]) -> None:
    assert http.post(f"/v1/jobs/{submit()['id']}/cancel", headers=headers).json()["state"] == "cancelled"


def test_no_other_origin_may_read(http: TestClient) -> None:
    answer = http.get("/v1/jobs", headers={"Origin": "https://evil.example"})
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/healthz", {}, 200),
        ("GET", "/v1/jobs", {}, 200),
        ("GET", "/dashboard", {}, 200),
        ("GET", "/docs", {}, 200),
        ("GET", "/nowhere", {}, 404),
        ("DELETE", "/dashboard", {}, 405),
        ("GET", "/v1/jobs", {"Host": "evil.example"}, 421),
        ("POST", "/v1/jobs", {"Origin": "https://evil.example"}, 403),
        ("POST", "/v1/jobs", {"Content-Type": "text/plain"}, 415),
    ],
)
def test_no_page_may_frame_an_answer_and_no_browser_guesses_its_type(
    http: TestClient, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    answer = http.request(method, path, headers=headers)
    assert answer.status_code == status
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["referrer-policy"] == "same-origin"
