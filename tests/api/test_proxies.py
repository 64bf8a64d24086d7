"""Proxies: what the named ones say is believed, and what others say is not."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine, text
from starlette.testclient import TestClient

from actsearch.errors import InvalidRequest
from actsearch.schemas import KeyScope
from actsearch.settings import Settings
from actsearch.store.keys import create_key
from actsearch_api.app import create_app
from actsearch_api.callers import asks_for_keys

SECRET = "s" * 32
REQUEST = {"task": "digits", "budget": {"trials": 12}}
PROXY, NEXT_PROXY, STRANGER = "10.0.0.5", "192.168.7.9", "10.0.0.6"


def service(engine: Engine, peer: str, **settings: Any) -> TestClient:
    """The service as one sees it who comes from `peer`."""
    given = {"host": "0.0.0.0", "key_secret": SECRET, "trusted_proxies": f"{PROXY}, 192.168.0.0/16"} | settings
    app = create_app(Settings(_env_file=None, **given), engine)
    return TestClient(app, "http://localhost", follow_redirects=False, client=(peer, 1))


def with_user(engine: Engine, peer: str, **settings: Any) -> TestClient:
    """The same, with users whom the proxy has authenticated."""
    return service(engine, peer, trusted_user_header="X-Forwarded-User", **settings)


# --- users ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("peer", [PROXY, NEXT_PROXY])
def test_whom_a_named_proxy_names_is_in(engine: Engine, peer: str) -> None:
    http = with_user(engine, peer)
    ada = {"x-forwarded-user": "ada@example.org"}
    assert http.get("/dashboard", headers=ada).status_code == 200
    job = http.post("/v1/jobs", json=REQUEST, headers=ada).json()
    assert job["owner"] == "ada@example.org"
    assert http.post(f"/v1/jobs/{job['id']}/cancel", headers={"X-Forwarded-User": "bob"}).status_code == 403
    assert http.post(f"/v1/jobs/{job['id']}/cancel", headers=ada).status_code == 200
    assert http.get("/v1/jobs").status_code == 401  # the proxy let pass someone without a name
    reader = with_user(engine, peer, trusted_user_scope="read")
    assert reader.post("/v1/jobs", json=REQUEST, headers=ada).status_code == 403


@pytest.mark.parametrize("peer", [STRANGER, "127.0.0.1", "::1", "::ffff:10.0.0.5", "testclient"])
def test_whom_others_name_is_not(engine: Engine, peer: str) -> None:
    http = with_user(engine, peer)
    for pretended in ({}, {"X-Forwarded-For": PROXY}, {"X-Forwarded-For": f"{PROXY}, {PROXY}"}):
        assert http.get("/v1/jobs", headers={"X-Forwarded-User": "ada"} | pretended).status_code == 401


def test_a_user_is_named_once_and_by_a_name(engine: Engine) -> None:
    http = with_user(engine, PROXY)
    twice = [("X-Forwarded-User", "admin"), ("X-Forwarded-User", "ada")]
    assert http.get("/v1/jobs", headers=twice).status_code == 401
    for name in ("", " ", "a b", "ada, bob", "<script>", "x" * 101, "-", "ad\xe4".encode("latin-1")):
        answer = http.get("/v1/jobs", headers={"X-Forwarded-User": name})
        assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")


def test_no_header_is_believed_by_default(engine: Engine) -> None:
    assert service(engine, PROXY).get("/v1/jobs", headers={"X-Forwarded-User": "ada"}).status_code == 401
    local = TestClient(create_app(Settings(_env_file=None), engine), "http://localhost", client=("127.0.0.1", 1))
    assert local.post("/v1/jobs", json=REQUEST, headers={"X-Forwarded-User": "ada"}).json()["owner"] is None


def test_a_key_counts_behind_a_proxy_too(engine: Engine) -> None:
    with engine.begin() as connection:
        token, _ = create_key(connection, [SECRET.encode()], "ci", KeyScope.submit)
    http = with_user(engine, PROXY)
    key = {"Authorization": f"Bearer {token}"}
    assert http.post("/v1/jobs", json=REQUEST, headers=key).json()["owner"] == "ci"
    assert http.get("/v1/jobs", headers={"Authorization": "Bearer x", "X-Forwarded-User": "ada"}).status_code == 401


def test_users_of_a_proxy_have_limits(engine: Engine) -> None:
    http = with_user(engine, PROXY, request_rate=1)
    codes = [http.get("/v1/tasks", headers={"X-Forwarded-User": "ada"}).status_code for _ in range(11)]
    assert codes == [200] * 10 + [429]
    assert http.get("/v1/tasks", headers={"X-Forwarded-User": "bob"}).status_code == 200


# --- address and scheme ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("peer", "forwarded", "address", "secure"),
    [
        (PROXY, {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https"}, "203.0.113.7", True),
        (PROXY, {"X-Forwarded-For": f"1.2.3.4, 203.0.113.7, {NEXT_PROXY}"}, "203.0.113.7", False),
        (PROXY, {}, PROXY, False),
        (STRANGER, {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https"}, STRANGER, False),
        ("127.0.0.1", {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https"}, "127.0.0.1", False),
    ],
)
def test_address_and_scheme_are_those_that_named_proxies_tell(
    engine: Engine, peer: str, forwarded: dict[str, str], address: str, secure: bool
) -> None:
    with engine.begin() as connection:
        token, _ = create_key(connection, [SECRET.encode()], "ada", KeyScope.read)
    answer = service(engine, peer).post("/login", data={"key": token}, headers=forwarded)
    [cookie] = answer.headers.get_list("set-cookie")
    assert ("; Secure" in cookie) is cookie.startswith("__Host-") is secure
    with engine.connect() as connection:
        [kept] = connection.scalars(text("SELECT data ->> 'address' FROM events WHERE kind = 'session'")).all()
    assert kept == address


# --- settings -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"trusted_proxies": "proxy.example"}, "ACTSEARCH_TRUSTED_PROXIES"),
        ({"trusted_proxies": "10.0.0.5/8"}, "host bits"),
        ({"trusted_proxies": "*"}, "ACTSEARCH_TRUSTED_PROXIES"),
        ({"trusted_proxies": "0.0.0.0/0"}, "everybody"),
        ({"trusted_proxies": "10.0.0.5, ::/0"}, "everybody"),
        ({"trusted_user_header": "X-User"}, "needs ACTSEARCH_TRUSTED_PROXIES"),
        ({"trusted_user_header": "X User", "trusted_proxies": PROXY}, "not the name of a header"),
    ],
)
def test_settings_that_trust_nobody_or_everybody_are_refused(
    engine: Engine, settings: dict[str, str], told: str
) -> None:
    with pytest.raises(InvalidRequest, match=told):
        create_app(Settings(_env_file=None, **settings), engine)


def test_behind_a_named_proxy_keys_are_asked_for_on_loopback_too() -> None:
    assert asks_for_keys(Settings(_env_file=None, trusted_proxies="127.0.0.1"))
    assert asks_for_keys(Settings(_env_file=None, trusted_user_header="X-User"))
