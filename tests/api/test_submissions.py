"""Submissions that are repeated under a key: exactly one job, whatever was lost on the way."""

from __future__ import annotations

import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from sqlalchemy import Engine, text
from starlette.testclient import TestClient

from actsearch.client import Client

REQUEST = {"task": "digits", "budget": {"trials": 12}}
JSON = {"Content-Type": "application/json"}
KEY = {"Idempotency-Key": "8e03978e-40d5-43dd-bc93-6894a57f9324"}


def count(http: TestClient) -> int:
    return len(http.get("/v1/jobs").json()["items"])


def test_the_same_key_and_request_give_the_same_job(http: TestClient) -> None:
    first, second = (http.post("/v1/jobs", json=REQUEST, headers=KEY) for _ in range(2))
    spaced = http.post("/v1/jobs", content=b'{"budget": {"trials": 12},  "task": "digits"}', headers=KEY | JSON)
    for again in (second, spaced):
        assert (
            (again.status_code, again.json()["id"])
            == (first.status_code, first.json()["id"])
            == (201, again.json()["id"])
        )
        assert again.headers["location"] == first.headers["location"]
    assert count(http) == 1


def test_another_request_under_the_key_is_refused_and_changes_nothing(http: TestClient) -> None:
    http.post("/v1/jobs", json=REQUEST, headers=KEY)
    answer = http.post("/v1/jobs", json=REQUEST | {"budget": {"trials": 13}}, headers=KEY)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["Idempotency-Key"]
    assert count(http) == 1


def test_without_a_key_or_with_another_there_are_two_jobs(http: TestClient) -> None:
    for headers in ({}, {}, KEY, {"Idempotency-Key": "another"}):
        assert http.post("/v1/jobs", json=REQUEST, headers=headers).status_code == 201
    assert count(http) == 4


def test_a_refused_request_uses_no_key_up(http: TestClient) -> None:
    assert http.post("/v1/jobs", json={"task": "nothing"}, headers=KEY).status_code == 422
    assert http.post("/v1/jobs", json=REQUEST, headers=KEY).status_code == 201


def test_a_key_is_forgotten_after_a_day(http: TestClient, engine: Engine) -> None:
    http.post("/v1/jobs", json=REQUEST, headers=KEY)
    for age, jobs in (("23 hours 59 minutes", 1), ("24 hours 1 minute", 2)):
        with engine.begin() as connection:
            connection.execute(text(f"UPDATE submissions SET created_at = now() - INTERVAL '{age}'"))
        assert http.post("/v1/jobs", json=REQUEST, headers=KEY).status_code == 201
        assert count(http) == jobs


def test_while_the_first_is_in_progress_the_second_is_told_so(http: TestClient, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(
            text("SELECT pg_advisory_xact_lock(hashtextextended(' ' || :key, 0))"), {"key": KEY["Idempotency-Key"]}
        )
        answer = http.post("/v1/jobs", json=REQUEST, headers=KEY)
    assert (answer.status_code, answer.headers["retry-after"]) == (409, "1")
    assert http.post("/v1/jobs", json=REQUEST, headers=KEY).status_code == 201


def test_many_at_once_make_one_job(http: TestClient) -> None:
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: http.post("/v1/jobs", json=REQUEST, headers=KEY), range(12)))
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 201}) == 1
    assert count(http) == 1


@pytest.mark.parametrize("key", ["", "x" * 256, "two words", "ä"])
def test_what_is_no_key_is_refused(http: TestClient, key: str) -> None:
    answer = http.post("/v1/jobs", json=REQUEST, headers={"Idempotency-Key": key.encode()})
    assert answer.status_code == 422
    assert "Idempotency-Key" in answer.json()["detail"]


def test_an_answer_that_was_lost_costs_no_second_job(live: Any) -> None:
    """A server between client and service that swallows the first answer."""
    address, lost = live
    with Client(address) as client:
        job = client.submit(task="digits", budget={"trials": 12})
        assert lost.is_set()
        assert [one.id for one in client.jobs()] == [job.id]


@pytest.fixture
def live(address: str) -> Any:
    """An address behind which the first answer to a submission is lost; and whether that has happened."""
    lost = threading.Event()

    class Between(BaseHTTPRequestHandler):
        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0))) or None
            kept = {
                name: value for name, value in self.headers.items() if name.lower() not in ("host", "content-length")
            }
            asked = urllib.request.Request(address + self.path, body, kept, method=self.command)
            with urllib.request.urlopen(asked) as answer:
                said = answer.read()
                if self.command == "POST" and not lost.is_set():
                    lost.set()
                    self.close_connection = True
                    return
                self.send_response(answer.status)
                for name in ("content-type", "location"):
                    if name in answer.headers:
                        self.send_header(name, answer.headers[name])
                self.send_header("content-length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

        do_GET = do_POST = _pass_on  # noqa: N815 - as the library wants it

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Between)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", lost
    server.shutdown()
    thread.join()
