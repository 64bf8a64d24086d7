"""Slow, half-open and overlong clients, by real sockets on a real server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from actsearch_api.connections import Impatient, Patience

PATIENCE = 0.6
HEADER_BYTES = Patience().header_bytes
LONG = 50_000_000


@pytest.fixture
def port(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Of the service, with less patience than people get."""
    monkeypatch.setattr(Impatient, "patience", Patience(headers=PATIENCE, body=PATIENCE, answer=PATIENCE))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, http=Impatient, ws="none", log_level="warning"))
        thread = threading.Thread(target=server.run, args=[[listening]])
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield listening.getsockname()[1]
        server.should_exit = True
        thread.join()


def talk(port: int, *parts: bytes, pause: float = 0.0) -> tuple[int, dict[str, object], float]:
    """Status and body of the answer to parts of a request, and the seconds until the server closed."""
    begin = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        try:
            for part in parts:
                connection.sendall(part)
                time.sleep(pause)
        except (BrokenPipeError, ConnectionResetError):
            pass
        told = b""
        while more := connection.recv(65536):
            told += more
    head, _, body = told.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head, told
    return int(head.split()[1]), json.loads(body), time.monotonic() - begin


GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
POST = b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize("begun", [b"", b"G", GET, GET + b"X-Half: "])
def test_a_half_open_client_is_answered_and_closed(port: int, begun: bytes) -> None:
    status, told, seconds = talk(port, begun)
    assert status == told["status"] == 408
    assert PATIENCE <= seconds < 10


def test_a_byte_at_a_time_wins_no_time(port: int) -> None:
    status, _, seconds = talk(port, *(GET[place : place + 1] for place in range(len(GET))), pause=0.1)
    assert status == 408
    assert seconds < 10


def test_a_second_request_on_a_connection_has_the_same_limits(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(GET + b"\r\n")
        assert b" 200 " in connection.recv(65536)
        connection.sendall(GET)
        begin, told = time.monotonic(), b""
        while more := connection.recv(65536):
            told += more
    assert b" 408 " in told
    assert time.monotonic() - begin < 10


@pytest.mark.parametrize(
    "headers",
    [
        b"X-Long: " + b"a" * HEADER_BYTES + b"\r\n\r\n",
        b"".join(b"X-%d: 1\r\n" % n for n in range(5_000)) + b"\r\n",
    ],
    ids=["long", "many"],
)
def test_headers_have_a_limit(port: int, headers: bytes) -> None:
    status, told, _ = talk(port, GET, headers)
    assert status == 431
    assert str(HEADER_BYTES) in str(told["detail"])


def test_a_header_without_end_is_cut_off(port: int) -> None:
    """Whoever is still sending may see a reset before the answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        sent = 0
        try:
            while sent < 1_000:
                connection.sendall(GET + b"X-Endless: " + b"a" * 100_000)
                sent += 1
        except (BrokenPipeError, ConnectionResetError):
            pass
    assert sent < 1_000


def test_what_is_no_http_is_a_problem(port: int) -> None:
    assert talk(port, b"\x16\x03\x01 hello\r\n\r\n")[0] == 400


def test_a_body_that_does_not_come_is_given_up(port: int) -> None:
    status, told, seconds = talk(port, POST + b"Content-Length: 100\r\n\r\n{", b" ", b" ", pause=0.2)
    assert status == 408
    assert "body" in str(told["detail"])
    assert seconds < 10


def test_who_is_quick_is_not_cut_off_between_requests(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        for _ in range(3):
            connection.sendall(GET + b"\r\n")
            assert b" 200 " in connection.recv(65536)
            time.sleep(PATIENCE * 1.2)


@pytest.mark.parametrize("sent", [b"", b"{"])
def test_who_leaves_in_the_middle_of_a_body_has_asked_for_nothing(
    port: int, submit: Callable[..., dict[str, Any]], http: TestClient, sent: bytes
) -> None:
    job = submit()["id"]
    head = POST.replace(b"/v1/jobs", f"/v1/jobs/{job}/cancel".encode()) + b"Content-Length: 9\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(head + sent)
        time.sleep(0.1)
    time.sleep(0.2)
    assert http.get(f"/v1/jobs/{job}").json()["state"] == "queued"


def test_who_reads_no_answer_is_closed(port: int, app: FastAPI) -> None:
    app.router.routes.insert(0, Route("/long", lambda _: PlainTextResponse("x" * LONG)))
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(GET.replace(b"/healthz", b"/long") + b"\r\n")
        time.sleep(PATIENCE * 2)
        got = 0
        with contextlib.suppress(ConnectionResetError):
            while more := connection.recv(1 << 20):
                got += len(more)
    assert got < LONG  # what was on its way


def test_a_body_that_nobody_reads_wins_no_time_either(port: int) -> None:
    """Its request is answered at once; the rest of it is not waited for as long as a byte comes now and then."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(GET + b"Content-Length: 1000\r\n\r\n")
        assert b" 200 " in connection.recv(65536)
        begin = time.monotonic()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            while time.monotonic() - begin < 5 * PATIENCE:
                connection.sendall(b"x")
                time.sleep(0.05)
    assert time.monotonic() - begin < 4 * PATIENCE


def test_the_reason_arrives_though_more_is_on_its_way(port: int) -> None:
    status, told, _ = talk(port, GET + b"X-Long: " + b"a" * 1_000_000)
    assert status == 431
    assert str(HEADER_BYTES) in str(told["detail"])


def test_nonsense_does_not_break_into_the_answer_before_it(port: int, app: FastAPI) -> None:
    async def slow(_: Request) -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            yield b"first"
            await asyncio.sleep(0.2)
            yield b"last"

        return StreamingResponse(parts())

    app.router.routes.insert(0, Route("/slow", slow))
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(GET.replace(b"/healthz", b"/slow") + b"\r\n")
        time.sleep(0.1)
        connection.sendall(b"\x16\x03\x01 hello\r\n\r\n")
        told = b""
        while more := connection.recv(65536):
            told += more
    assert told.count(b"HTTP/1.1 ") == 1, told
