"""Who may do what: a service that asks for keys, and one on loopback that does not."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import structlog
import uvicorn
from fastapi import FastAPI
from sqlalchemy import Engine, text
from starlette.testclient import TestClient

from actsearch import AccessDenied, Client
from actsearch.errors import InvalidRequest
from actsearch.schemas import KeyScope
from actsearch.settings import Settings
from actsearch.store.keys import create_key, revoke_key
from actsearch.store.tokens import hint, new_token
from actsearch_api.app import create_app
from actsearch_api.callers import asks_for_keys
from actsearch_api.main import serve

SECRET = "s" * 32
REQUEST = {"task": "digits", "budget": {"trials": 12}}
READS = ["/v1/jobs", "/v1/tasks", "/v1/workers", "/dashboard", "/api/studies", "/static/bundle.js", "/docs", "/", "/no"]
WRITES = ["/v1/jobs", "/v1/jobs/00000000-0000-4000-8000-000000000000/cancel", "/api/studies", "/no"]

Key = Callable[..., dict[str, str]]


@pytest.fixture
def key(engine: Engine) -> Key:
    """Headers with a new key."""

    def make(name: str = "ci", scope: str = "submit") -> dict[str, str]:
        with engine.begin() as connection:
            token, _ = create_key(connection, [SECRET.encode()], name, KeyScope(scope))
        return {"Authorization": f"Bearer {token}"}

    return make


@pytest.fixture
def app(engine: Engine) -> FastAPI:
    """The service as it is where others reach it."""
    return create_app(Settings(_env_file=None, host="0.0.0.0", key_secret=SECRET), engine)


@pytest.fixture
def local(engine: Engine) -> Iterator[TestClient]:
    """A client of the same service on loopback."""
    with TestClient(create_app(Settings(_env_file=None, key_secret=SECRET), engine), "http://localhost") as client:
        yield client


def challenge(answer: Any) -> str:
    """The problem's detail; it says how to get in."""
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"].startswith('Bearer realm="actsearch"')
    return str(answer.json()["detail"])


# --- in or out ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", READS)
def test_without_a_key_nothing_is_to_be_seen(http: TestClient, key: Key, path: str) -> None:
    for headers in ({}, {"Authorization": "Basic YTpi"}, {"Authorization": key()["Authorization"].split()[1]}):
        answer = http.get(path, headers=headers)
        assert answer.status_code == 401
        assert "ACTSEARCH_API_KEY" in challenge(answer)
    assert http.get(path, headers=key(scope="read")).status_code in (200, 307, 404)


@pytest.mark.parametrize("path", WRITES)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_without_a_key_that_allows_it_nothing_is_to_be_changed(
    http: TestClient, key: Key, path: str, method: str
) -> None:
    assert http.request(method, path, json=REQUEST).status_code == 401
    refused = http.request(method, path, json=REQUEST, headers=key("reader", "read"))
    assert refused.status_code == 403
    assert "scope submit is needed" in challenge(refused)
    assert http.get("/v1/jobs", headers=key()).json()["items"] == []


def test_whether_it_lives_is_for_all_to_know(http: TestClient) -> None:
    assert http.get("/healthz").status_code == http.get("/readyz").status_code == 200


def test_strangers_are_not_told_where_the_database_is(http: TestClient, local: TestClient, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    name = engine.url.database
    with structlog.testing.capture_logs() as logged:
        told = http.get("/readyz")
    assert told.status_code == 503
    assert name not in told.text
    assert name in str(logged)
    assert name in local.get("/readyz").text


def _mangled(token: str) -> list[str]:
    return [
        "",
        "x",
        token[:-1],
        token + "x",
        token[:-1] + ("A" if token[-1] != "A" else "B"),
        token.upper(),
        new_token(),
    ]


def test_a_wrong_key_lets_nobody_in_not_even_where_none_is_needed(
    http: TestClient, local: TestClient, key: Key
) -> None:
    token = key()["Authorization"].split()[1]
    for client in (http, local):
        for wrong in _mangled(token):
            answer = client.get("/v1/jobs", headers={"Authorization": f"Bearer {wrong}"})
            assert answer.status_code == 401, wrong
            assert "not valid" in challenge(answer)
            assert 'error="invalid_token"' in answer.headers["www-authenticate"]
        twice = [("Authorization", f"Bearer {token}")] * 2
        assert client.get("/v1/jobs", headers=twice).status_code == 401
        assert client.get("/v1/jobs", headers={"Authorization": f"bearer  {token} "}).status_code == 200


def test_a_revoked_key_is_refused_from_the_next_request_on(http: TestClient, key: Key, engine: Engine) -> None:
    headers = key()
    assert http.get("/v1/jobs", headers=headers).status_code == 200
    with engine.begin() as connection:
        revoke_key(connection, [SECRET.encode()], "ci")
    assert http.get("/v1/jobs", headers=headers).status_code == 401


def test_a_key_is_asked_for_before_a_body_is_looked_at(http: TestClient) -> None:
    for body in (b"{", b"x" * 2_000_000):
        assert http.post("/v1/jobs", content=body, headers={"Content-Type": "application/json"}).status_code == 401


def test_without_a_database_nobody_is_let_in(http: TestClient, key: Key, engine: Engine) -> None:
    headers = key()
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE api_keys CASCADE"))
    assert http.get("/v1/jobs", headers=headers).status_code == 500


def test_a_key_waits_its_turn_like_any_request(http: TestClient, key: Key, app: FastAPI) -> None:
    headers, app.state.slots.patience = key(), 0.0
    answer = http.get("/v1/jobs", headers=headers)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")


# --- whose job ------------------------------------------------------------------------------------------


def test_a_job_is_its_submitters_and_admins_to_change(http: TestClient, key: Key) -> None:
    mine, others, admin, reader = key("ci"), key("other"), key("ops", "admin"), key("reader", "read")
    jobs = [http.post("/v1/jobs", json=REQUEST, headers=mine).json() for _ in range(3)]
    assert {job["owner"] for job in jobs} == {"ci"}
    first, second, third = (f"/v1/jobs/{job['id']}" for job in jobs)
    for reading in (mine, others, admin, reader):
        assert http.get(first, headers=reading).json()["owner"] == "ci"

    refused = http.post(f"{first}/cancel", headers=others)
    assert refused.status_code == 403
    assert "'ci'" in refused.json()["detail"]
    assert http.post(f"{first}/cancel", headers=reader).status_code == 403
    assert http.get(first, headers=mine).json()["state"] == "queued"

    assert http.post(f"{first}/cancel", headers=mine).json()["state"] == "cancelled"
    assert http.post(f"{second}/cancel", headers=admin).json()["state"] == "cancelled"
    assert http.post(f"{third}/cancel", headers=key("ci")).json()["state"] == "cancelled"  # the same client's next key


def test_a_job_without_an_owner_is_for_admins(http: TestClient, local: TestClient, key: Key) -> None:
    job = local.post("/v1/jobs", json=REQUEST).json()
    assert job["owner"] is None
    assert http.post(f"/v1/jobs/{job['id']}/cancel", headers=key()).status_code == 403
    assert http.post(f"/v1/jobs/{job['id']}/cancel", headers=key("ops", "admin")).status_code == 200


def test_on_loopback_the_local_user_may_do_all_and_a_key_what_it_may_anywhere(local: TestClient, key: Key) -> None:
    job = local.post("/v1/jobs", json=REQUEST, headers=key()).json()
    assert job["owner"] == "ci"
    assert local.post("/v1/jobs", json=REQUEST, headers=key("reader", "read")).status_code == 403
    assert local.post(f"/v1/jobs/{job['id']}/cancel", headers=key("other")).status_code == 403
    assert local.post(f"/v1/jobs/{job['id']}/cancel").status_code == 200


def test_mine_are_the_jobs_of_the_client_that_asks(http: TestClient, local: TestClient, key: Key) -> None:
    def listed(client: TestClient, **given: Any) -> list[str]:
        return [job["id"] for job in client.get("/v1/jobs", **given).json()["items"]]

    first, second = (http.post("/v1/jobs", json=REQUEST, headers=key(name)).json()["id"] for name in ("ci", "other"))
    nobodys = local.post("/v1/jobs", json=REQUEST).json()["id"]
    mine = {"params": {"mine": "true"}}
    assert listed(http, **mine, headers=key("ci")) == [first]
    assert listed(http, **mine, headers=key("ops", "admin")) == []
    assert listed(local, **mine) == [nobodys]
    assert listed(http, headers=key("ci")) == [nobodys, second, first]


def test_clients_do_not_share_idempotency_keys(http: TestClient, key: Key) -> None:
    same = {"Idempotency-Key": "1"}
    answers = [http.post("/v1/jobs", json=REQUEST, headers=same | key(name)) for name in ("ci", "other", "ci")]
    assert [answer.status_code for answer in answers] == [201] * 3
    first, second, third = (answer.json()["id"] for answer in answers)
    assert first == third != second


def test_who_did_it_is_kept(http: TestClient, key: Key, engine: Engine) -> None:
    job = http.post("/v1/jobs", json=REQUEST, headers=key()).json()
    http.post(f"/v1/jobs/{job['id']}/cancel", headers=key("ops", "admin"))
    with engine.connect() as connection:
        events = connection.scalars(text("SELECT data FROM events WHERE kind = 'state' ORDER BY id")).all()
    assert [(event["state"], event["by"]) for event in events] == [("queued", "ci"), ("cancelled", "ops")]


# --- what is told ---------------------------------------------------------------------------------------


def test_keys_and_secrets_are_written_nowhere(http: TestClient, key: Key, capsys: pytest.CaptureFixture[str]) -> None:
    headers = key()
    token = headers["Authorization"].split()[1]
    with structlog.testing.capture_logs() as logged:
        answers = [
            http.get("/v1/jobs", headers=headers),
            http.post("/v1/jobs", json=REQUEST, headers=headers),
            http.post("/v1/jobs", json={"task": token}, headers={"Authorization": f"Bearer {token}x"}),
            http.get(f"/v1/jobs/{uuid4()}", headers=headers),
        ]
    assert [line.get("caller") for line in logged] == ["ci", "ci", None, "ci"]
    for said in (str(logged), capsys.readouterr().err, *(answer.text for answer in answers)):
        assert token[len(hint(token)) :] not in said
        assert SECRET not in said


def test_the_document_says_whether_a_key_is_needed(http: TestClient, local: TestClient, key: Key) -> None:
    assert "security" not in local.get("/openapi.json").text
    document = http.get("/openapi.json", headers=key(scope="read")).json()
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    for path, methods in document["paths"].items():
        for operation in methods.values():
            assert ("security" in operation) is path.startswith("/v1"), path
            assert ({"401", "403", "503"} <= set(operation["responses"])) is path.startswith("/v1"), path


# --- the SDK --------------------------------------------------------------------------------------------


def test_the_sdk_shows_its_key(address: str, key: Key) -> None:
    token = key()["Authorization"].split()[1]
    with Client(address, api_key=token) as client:
        job = client.submit(task="digits", trials=12)
        assert job.snapshot.owner == "ci"
        assert job.cancel().state == "cancelled"
        assert token not in repr(client.service)
    with Client(address, api_key="") as client, pytest.raises(AccessDenied, match="ACTSEARCH_API_KEY"):
        client.workers()
    with Client(address, api_key=new_token()) as client, pytest.raises(AccessDenied, match="not valid"):
        client.workers()


# --- where a key is asked for -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "asks"),
    [
        ("127.0.0.1", False),
        ("127.1.2.3", False),
        ("::1", False),
        ("localhost", False),
        ("0.0.0.0", True),
        ("::", True),
        ("", True),
        ("192.168.1.2", True),
        ("fd00::1", True),
        ("search.example", True),
        ("a.localhost", True),
        ("localhost.evil.example", True),
    ],
)
def test_a_key_is_asked_for_wherever_others_can_come_from(host: str, asks: bool) -> None:
    assert asks_for_keys(Settings(_env_file=None, host=host)) is asks
    assert asks_for_keys(Settings(_env_file=None, host=host, require_key=True))


def test_the_service_does_not_listen_where_others_come_from_without_a_key(
    database_url: str, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listened: list[Any] = []
    monkeypatch.setattr(uvicorn.Server, "run", lambda _, sockets: listened.extend(s.getsockname() for s in sockets))
    monkeypatch.setattr(sys, "setswitchinterval", lambda _: None)
    where = {"host": "0.0.0.0", "port": 0, "database_url": database_url, "data_dir": tmp_path}

    with pytest.raises(InvalidRequest, match="actsearch keys create --name admin --scope admin"):
        serve(Settings(_env_file=None, **where))
    with engine.begin() as connection:
        create_key(connection, [SECRET.encode()], "ci", KeyScope.read)
    with pytest.raises(InvalidRequest, match="ACTSEARCH_KEY_SECRET"):
        serve(Settings(_env_file=None, **where))
    assert not listened

    serve(Settings(_env_file=None, **where, key_secret=SECRET))
    serve(Settings(_env_file=None, **where | {"host": "127.0.0.1"}))
    assert [address for address, _ in listened] == ["0.0.0.0", "127.0.0.1"]
