"""What stands in front of the routes: limits of bodies, ids of requests, HEAD. Small applications, no database."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import anyio
import pytest
import structlog
from fastapi import FastAPI
from sqlalchemy.exc import OperationalError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from actsearch_api import problems
from actsearch_api.access import AccessLog, HeadAsGet
from actsearch_api.guard import BodyGuard
from actsearch_api.origins import Cautious
from actsearch_api.problems import problem

JSON = {"Content-Type": "application/json"}


async def echo(request: Request) -> Response:
    """The body's size and whether the client is still there after it was read."""
    size = len(await request.body())
    return JSONResponse({"method": request.method, "size": size, "gone": await request.is_disconnected()})


async def broken(_: Request) -> Response:
    raise RuntimeError("out of order")


async def streamed(_: Request) -> Response:
    return StreamingResponse(iter([b"one", b"two"]), status_code=203)


ROUTES = [
    Route("/", echo, methods=["GET", "POST", "PUT", "PATCH", "DELETE"]),
    Route("/broken", broken),
    Route("/streamed", streamed),
]


@pytest.fixture
def guarded() -> TestClient:
    """Bodies of at most ten bytes."""
    app = Starlette(routes=ROUTES)
    app.add_middleware(BodyGuard, limit=10)
    return TestClient(app)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_a_body_up_to_the_limit_arrives_whole_and_a_larger_one_is_turned_away(guarded: TestClient, method: str) -> None:
    for size in (0, 1, 10):
        answer = guarded.request(method, "/", content=b"x" * size, headers=JSON)
        assert (answer.status_code, answer.json()) == (200, {"method": method, "size": size, "gone": False})
    refused = guarded.request(method, "/", content=b"x" * 11, headers=JSON)
    assert (refused.status_code, refused.headers["connection"]) == (413, "close")
    assert "larger than 10 bytes" in refused.json()["detail"]


def test_a_body_in_pieces_is_counted_together(guarded: TestClient) -> None:
    def pieces(count: int) -> Iterator[bytes]:
        yield from [b"12345"] * count

    assert guarded.post("/", content=pieces(2), headers=JSON).json()["size"] == 10
    assert guarded.post("/", content=pieces(3), headers=JSON).status_code == 413


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("application/json", 200),
        ("Application/JSON ; charset=utf-8", 200),
        ("application/merge-patch+json", 200),
        ("text/plain", 415),
        ("text/x+json", 415),
        ("application/xml", 415),
        ("application/json-seq", 415),
        ("", 415),
    ],
)
def test_a_body_is_json_or_turned_away(guarded: TestClient, kind: str, status: int) -> None:
    assert guarded.post("/", content=b"{}", headers={"Content-Type": kind}).status_code == status
    empty = guarded.post("/", headers={"Content-Type": kind} if kind else {})
    assert empty.status_code == status if kind else 200  # no body, no type


def test_methods_without_a_body_pass_as_they_are(guarded: TestClient) -> None:
    for method in ("GET", "DELETE"):
        assert guarded.request(method, "/", content=b"x" * 20).json()["size"] == 20


def test_after_the_body_comes_what_the_client_does_next() -> None:
    """A route that waits for the client to go away sees it, and not the body again."""
    told: list[str] = []
    client = [{"type": "http.request", "body": b"{}"}, {"type": "http.disconnect"}]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        told.extend([(await receive())["type"] for _ in range(2)])

    async def receive() -> Any:
        return client.pop(0)

    async def send(_: Any) -> None:
        raise AssertionError("nothing is sent")

    scope = {"type": "http", "method": "POST", "path": "/", "headers": [(b"content-type", b"application/json")]}
    anyio.run(BodyGuard(app, 10), scope, receive, send)
    assert told == ["http.request", "http.disconnect"]


@pytest.mark.parametrize("middleware", [AccessLog, Cautious, HeadAsGet, lambda app: BodyGuard(app, 1)])
def test_what_is_no_request_passes(middleware: Any) -> None:
    seen: list[Any] = []

    async def app(*given: Any) -> None:
        seen.extend(given)

    given = ({"type": "lifespan"}, object(), object())
    anyio.run(middleware(app), *given)
    assert seen == list(given)


@pytest.fixture
def logged() -> TestClient:
    """Answers with a request id."""
    app = Starlette(routes=ROUTES)
    app.add_middleware(AccessLog)
    return TestClient(app, raise_server_exceptions=False)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("a.B-9_", True),
        ("x" * 100, True),
        ("x" * 101, False),
        ("a b", False),
        ("", False),
        ("a/b", False),
        (None, False),
    ],
)
def test_a_request_keeps_a_sound_id_and_gets_one_otherwise(logged: TestClient, given: str | None, kept: bool) -> None:
    answer = logged.get("/", headers={} if given is None else {"X-Request-ID": given})
    found = answer.headers["x-request-id"]
    assert found == given if kept else re.fullmatch(r"[0-9a-f]{32}", found)


def test_each_request_is_logged_with_its_status_and_time(logged: TestClient) -> None:
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as said:
        for path, status in (("/", 200), ("/streamed", 203), ("/none", 404), ("/broken", 500)):
            logged.get(path, headers={"X-Request-ID": f"id{status}"})
    said = [line for line in said if line["event"] == "request"]
    lines = [(line["method"], line["path"], line["status"], line["request_id"]) for line in said]
    wanted = [("/", 200), ("/streamed", 203), ("/none", 404), ("/broken", 500)]
    assert lines == [("GET", path, status, f"id{status}") for path, status in wanted]
    assert all(0 <= line["ms"] < 60_000 for line in said)


def test_an_unexpected_error_is_answered_under_the_id_that_it_names(logged: TestClient) -> None:
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as said:
        answer = logged.get("/broken")
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert "X-Request-ID" in answer.json()["detail"]
    assert "out of order" not in answer.text
    [told] = [line for line in said if line["event"] == "unexpected error"]
    assert told["request_id"] == answer.headers["x-request-id"]


def test_an_error_after_the_answer_has_begun_ends_the_connection() -> None:
    """Half an answer is not to look like a whole one."""

    async def halfway(_: Any, __: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("out of order")

    with pytest.raises(RuntimeError):
        TestClient(AccessLog(halfway)).get("/")


def test_head_is_get_without_the_body() -> None:
    app = Starlette(routes=[Route("/", lambda request: JSONResponse({"method": request.method}), methods=["GET"])])
    app.add_middleware(HeadAsGet)
    client = TestClient(app)
    got, head = client.get("/"), client.head("/")
    assert got.json() == {"method": "GET"}
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == got.headers["content-length"]
    assert client.post("/").status_code == 405


def test_a_problem_says_what_it_is() -> None:
    answer = problem(409, "it is over", headers={"Retry-After": "5"})
    assert answer.media_type == "application/problem+json"
    assert answer.headers["retry-after"] == "5"
    assert b'"title":"Conflict","status":409' in answer.body


def test_a_lost_database_is_answered_in_a_sentence_and_logged_with_its_cause() -> None:
    app = FastAPI()
    problems.install(app)

    @app.get("/")
    async def away() -> None:
        raise OperationalError("SELECT 1", {}, Exception("terminating connection"))

    with structlog.testing.capture_logs() as logs:
        answer = TestClient(app).get("/")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "terminating" not in answer.text
    assert [("terminating connection" in line["error"], line["log_level"]) for line in logs] == [(True, "error")]
