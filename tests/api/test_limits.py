"""What one client may ask for, so that others are served too."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import Engine, event, text
from starlette.testclient import TestClient

from actsearch import Client
from actsearch.client.errors import ServerError
from actsearch.schemas import KeyScope
from actsearch.settings import Settings
from actsearch.store.keys import create_key, revoke_key
from actsearch.store.tokens import new_token
from actsearch_api.app import create_app
from actsearch_api.limits import RequestRates, WrongKeys

SECRET = "s" * 32
REQUEST = {"task": "digits", "budget": {"trials": 12}}
LIMITED = {"request_rate": 1, "open_jobs": 2}

Key = Callable[..., dict[str, str]]


@pytest.fixture
def app(engine: Engine) -> FastAPI:
    """A service with narrow limits."""
    return create_app(Settings(_env_file=None, require_key=True, key_secret=SECRET, **LIMITED), engine)


@pytest.fixture
def key(engine: Engine) -> Key:
    """Headers with a new key."""

    def make(name: str = "ci", scope: str = "submit") -> dict[str, str]:
        with engine.begin() as connection:
            token, _ = create_key(connection, [SECRET.encode()], name, KeyScope(scope))
        return {"Authorization": f"Bearer {token}"}

    return make


# --- how often ------------------------------------------------------------------------------------------


def _until_refused(http: TestClient, **given: Any) -> tuple[int, Any]:
    for served in range(100):
        answer = http.get("/v1/tasks", **given)
        if answer.status_code != 200:
            return served, answer
    raise AssertionError("never refused")


def test_who_asks_too_often_is_told_when_to_come_back(http: TestClient, key: Key) -> None:
    served, refused = _until_refused(http, headers=key())
    assert served == 10
    assert (refused.status_code, refused.headers["content-type"]) == (429, "application/problem+json")
    assert 1 <= int(refused.headers["retry-after"]) <= 11
    assert "ACTSEARCH_REQUEST_RATE" in refused.json()["detail"]
    # Another client is served, and the other key of the same one is not.
    assert http.get("/v1/tasks", headers=key("other")).status_code == 200
    assert http.get("/v1/tasks", headers=key()).status_code == 429
    assert http.get("/healthz").status_code == 200


def test_sessions_count_for_their_client(http: TestClient, key: Key) -> None:
    headers = key()
    http.post("/login", data={"key": headers["Authorization"].split()[1]})
    served, _ = _until_refused(http)
    assert served == 10
    assert http.get("/v1/tasks", headers=headers).status_code == 429


def test_what_is_too_much_costs_no_query(http: TestClient, key: Key, engine: Engine) -> None:
    headers = key()
    _until_refused(http, headers=headers)
    asked: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda _c, _cur, query, *_: asked.append(query))
    assert http.get("/v1/tasks", headers=headers).status_code == 429
    assert asked == []


def test_refused_keys_and_wrong_ones_do_not_use_up_what_others_may(http: TestClient, key: Key, engine: Engine) -> None:
    for _ in range(30):
        wrong = {"Authorization": f"Bearer {new_token()}"}
        assert http.get("/v1/tasks", headers=wrong).status_code == 401
    headers = key()
    assert http.get("/v1/tasks", headers=headers).status_code == 200
    with engine.begin() as connection:
        revoke_key(connection, [SECRET.encode()], "ci")
    assert http.get("/v1/tasks", headers=headers).status_code == 401  # known to be of `ci`, and yet not let in


def test_trying_many_keys_costs_no_query_and_locks_out_nobody_who_is_known(
    http: TestClient, key: Key, engine: Engine, app: FastAPI
) -> None:
    known, others = key(), [key("another"), key("third")]
    assert http.get("/v1/tasks", headers=known).status_code == 200
    asked: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda _c, _cur, query, *_: asked.append(query))
    answers = [http.get("/v1/tasks", headers={"Authorization": f"Bearer {new_token()}"}) for _ in range(130)]
    assert [answer.status_code for answer in answers] == [401] * 100 + [429] * 30
    assert "wrong keys" in answers[-1].json()["detail"]
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 10
    first = len(asked)
    assert http.get("/v1/tasks", headers=others[0]).status_code == 429  # it may be another guess
    guess = http.post("/login", data={"key": new_token()})
    assert (guess.status_code, "too many wrong keys" in guess.text) == (429, True)
    assert asked[first:] == []
    assert http.get("/v1/tasks", headers=known).status_code == 200
    elsewhere = TestClient(app, "http://localhost", client=("10.0.0.2", 1))
    assert elsewhere.get("/v1/tasks", headers=others[1]).status_code == 200


def test_wrong_keys_at_the_login_page_and_wrong_sessions_count(http: TestClient) -> None:
    for number in range(50):
        assert http.post("/login", data={"key": new_token()}).status_code == 401
        cookie = {"Cookie": f"actsearch-session={number:043}"}
        assert http.get("/v1/tasks", headers=cookie).status_code == 401
    assert http.post("/login", data={"key": new_token()}).status_code == 429


def test_wrong_keys_are_forgotten_and_an_ipv6_client_has_one_address(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong, now = WrongKeys(), [1000.0]
    monkeypatch.setattr("pyrate_limiter.clocks.MonotonicClock.now", lambda _: int(now[0] * 1000))
    for number in range(100):
        assert wrong.wait_for("2001:db8::1") == 0
        wrong.count(f"2001:db8::{number:x}")
    assert wrong.wait_for("2001:db8::abcd:1") == 10
    assert wrong.wait_for("2001:db8:0:1::1") == wrong.wait_for("10.0.0.1") == wrong.wait_for("") == 0
    now[0] += 8
    assert wrong.wait_for("2001:db8::1") == 2
    now[0] += 2.1
    assert wrong.wait_for("2001:db8::1") == 0


def test_the_local_user_asks_as_often_as_it_likes(engine: Engine) -> None:
    with TestClient(create_app(Settings(_env_file=None, **LIMITED), engine), "http://localhost") as http:
        assert {http.get("/v1/tasks").status_code for _ in range(30)} == {200}
        assert {http.post("/v1/jobs", json=REQUEST).status_code for _ in range(3)} == {201}


def test_the_rate_is_an_average_over_the_last_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    rates, now = RequestRates(2), [1000.0]
    monkeypatch.setattr("pyrate_limiter.clocks.MonotonicClock.now", lambda _: int(now[0] * 1000))
    assert [rates.count("ci") for _ in range(21)] == [0] * 20 + [11]
    now[0] += 4
    assert rates.count("ci") == 7
    now[0] += 6.1
    assert [rates.count("ci") for _ in range(21)] == [0] * 20 + [11]
    unlimited = RequestRates(0)
    assert {unlimited.count("ci") for _ in range(1000)} == {0}


def test_what_is_remembered_is_bounded() -> None:
    rates = RequestRates(1)
    begin = time.perf_counter()
    for number in range(12_000):
        rates.remember(f"key {number}", f"client {number}")
    assert time.perf_counter() - begin < 5
    assert len(rates._clients) == len(rates._requests) == 10_000


# --- how many jobs --------------------------------------------------------------------------------------


def test_a_client_has_so_many_jobs_at_once(http: TestClient, key: Key, engine: Engine) -> None:
    mine = key()
    jobs = [http.post("/v1/jobs", json=REQUEST, headers=mine | {"Idempotency-Key": str(n)}) for n in range(3)]
    assert [job.status_code for job in jobs] == [201, 201, 429]
    assert jobs[2].headers["retry-after"] == "60"
    assert "'ci' has 2 jobs" in jobs[2].json()["detail"]
    assert http.post("/v1/jobs", json=REQUEST, headers=key("other")).status_code == 201
    # Sent again, the second answers as it did; and where there is room, the third succeeds.
    assert http.post("/v1/jobs", json=REQUEST, headers=mine | {"Idempotency-Key": "1"}).json() == jobs[1].json()
    for state, status in (("running", 429), ("paused", 429), ("confirming", 429), ("completed", 201)):
        with engine.begin() as connection:
            connection.execute(
                text("UPDATE jobs SET state = :state WHERE id = :id"), {"state": state, "id": jobs[0].json()["id"]}
            )
        assert http.post("/v1/jobs", json=REQUEST, headers=mine | {"Idempotency-Key": "2"}).status_code == status


def test_jobs_submitted_at_the_same_time_are_not_too_many_together(http: TestClient, key: Key) -> None:
    mine = key()
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: http.post("/v1/jobs", json=REQUEST, headers=mine), range(6)))
    assert sorted(answer.status_code for answer in answers) == [201] * 2 + [429] * 4


def test_the_sdk_says_at_once_that_there_are_too_many(address: str, key: Key) -> None:
    begin = time.monotonic()
    with Client(address, api_key=key()["Authorization"].split()[1]) as client:
        client.submit(task="digits")
        client.submit(task="digits")
        with pytest.raises(ServerError, match="cancel some"):
            client.submit(task="digits")
    assert time.monotonic() - begin < 15
