"""People in browsers: signing in with a key, what a session allows, and how it ends."""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from fastapi import FastAPI
from sqlalchemy import Engine, text
from starlette.testclient import TestClient

from actsearch.schemas import KeyScope
from actsearch.settings import Settings
from actsearch.store import sessions
from actsearch.store.keys import create_key, revoke_key
from actsearch.store.tokens import hint, new_token
from actsearch_api.app import create_app

SECRET = "s" * 32
HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
COOKIE = "actsearch-session"
REQUEST = {"task": "digits", "budget": {"trials": 12}}

Key = Callable[..., str]


@pytest.fixture
def key(engine: Engine) -> Key:
    """A new key."""

    def make(name: str = "ada", scope: str = "submit") -> str:
        with engine.begin() as connection:
            return create_key(connection, [SECRET.encode()], name, KeyScope(scope))[0]

    return make


@pytest.fixture
def app(engine: Engine) -> FastAPI:
    """The service as it is where others reach it."""
    return create_app(Settings(_env_file=None, host="0.0.0.0", key_secret=SECRET), engine)


@pytest.fixture
def over_tls(app: FastAPI) -> Iterator[TestClient]:
    """A browser that reaches the service by TLS."""
    with TestClient(app, "https://localhost", follow_redirects=False) as client:
        yield client


def sign_in(http: TestClient, key: str, onward: str = "") -> Any:
    """What a browser does with the form."""
    return http.post("/login", data={"key": key, "next": onward}, headers=HTML | {"Origin": str(http.base_url)})


# --- in and out -----------------------------------------------------------------------------------------


def test_a_person_signs_in_sees_everything_and_signs_out(http: TestClient, key: Key) -> None:
    begun = sign_in(http, key(), "/dashboard/studies/1?x=2")
    assert (begun.status_code, begun.headers["location"]) == (303, "/dashboard/studies/1?x=2")
    assert http.get("/dashboard", headers=HTML).status_code == 200
    assert http.get("/api/studies").status_code == 200
    job = http.post("/v1/jobs", json=REQUEST).json()
    assert job["owner"] == "ada"
    page = http.get("/login").text
    assert "<b>ada</b>" in page
    assert 'action="/logout"' in page

    identity = http.cookies[COOKIE]
    ended = http.post("/logout", headers=HTML)
    assert (ended.status_code, ended.headers["location"]) == (303, "/login")
    assert COOKIE not in http.cookies
    for cookie in ({}, {"Cookie": f"{COOKIE}={identity}"}):
        assert http.get("/v1/jobs", headers=cookie).status_code == 401


@pytest.mark.parametrize("path", ["/dashboard", "/api/studies", "/static/bundle.js", "/v1/jobs", "/openapi.json"])
def test_what_a_person_saw_is_not_shown_to_the_next_one(http: TestClient, key: Key, path: str) -> None:
    """A browser asks again before it shows a page that it has kept, and proxies keep none."""
    sign_in(http, key())
    answer = http.get(path)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "private, no-cache"


def test_the_cookie_is_the_browsers_alone(http: TestClient, over_tls: TestClient, key: Key) -> None:
    [plain], [secure] = (sign_in(client, key()).headers.get_list("set-cookie") for client in (http, over_tls))
    assert re.fullmatch(rf"{COOKIE}=[\w-]{{43}}; HttpOnly; Max-Age=43200; Path=/; SameSite=lax", plain)
    assert secure.startswith(f"__Host-{COOKIE}=")
    assert secure.endswith("; Secure")
    assert over_tls.get("/v1/jobs").status_code == 200
    identity = over_tls.cookies[f"__Host-{COOKIE}"]
    over_tls.cookies.clear()
    # What another host of the domain, or this one without TLS, can have set is not asked over TLS.
    assert over_tls.get("/v1/jobs", headers={"Cookie": f"{COOKIE}={identity}"}).status_code == 401


def test_a_session_may_do_what_its_key_may(http: TestClient, key: Key) -> None:
    other = http.post("/v1/jobs", json=REQUEST, headers={"Authorization": f"Bearer {key('other')}"}).json()
    sign_in(http, key())
    assert http.post(f"/v1/jobs/{other['id']}/cancel").status_code == 403
    sign_in(http, key("reader", "read"))
    assert http.get("/v1/jobs").status_code == 200
    assert http.post("/v1/jobs", json=REQUEST).status_code == 403
    assert http.post("/logout").status_code == 303
    sign_in(http, key("ops", "admin"))
    assert http.post(f"/v1/jobs/{other['id']}/cancel").status_code == 200


def test_a_key_that_is_shown_counts_not_the_session(http: TestClient, key: Key) -> None:
    sign_in(http, key("ops", "admin"))
    assert http.post("/v1/jobs", json=REQUEST, headers={"Authorization": f"Bearer {new_token()}"}).status_code == 401
    reader = {"Authorization": f"Bearer {key('reader', 'read')}"}
    assert http.post("/v1/jobs", json=REQUEST, headers=reader).status_code == 403


def test_revoking_the_key_ends_its_sessions_at_once(http: TestClient, key: Key, engine: Engine) -> None:
    sign_in(http, key())
    assert http.get("/v1/jobs").status_code == 200
    with engine.begin() as connection:
        revoke_key(connection, [SECRET.encode()], "ada")
        assert connection.scalar(text("SELECT count(*) FROM sessions")) == 0
    assert http.get("/v1/jobs").status_code == 401


def test_a_session_is_refused_however_its_key_came_to_be_revoked(http: TestClient, key: Key, engine: Engine) -> None:
    sign_in(http, key())
    with engine.begin() as connection:
        connection.execute(text("UPDATE api_keys SET revoked_at = now()"))
    assert http.get("/v1/jobs").status_code == 401


def test_a_session_ends_by_itself(http: TestClient, key: Key, engine: Engine) -> None:
    sign_in(http, key())
    with engine.begin() as connection:
        assert connection.scalar(text("SELECT extract(epoch FROM expires_at - created_at) FROM sessions")) == 43200
        connection.execute(text("UPDATE sessions SET expires_at = now()"))
    assert http.get("/v1/jobs").status_code == 401
    sign_in(http, key("other"))
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM sessions")) == 1  # those that are over are forgotten


def test_signing_in_again_makes_a_new_session_and_ends_the_old(http: TestClient, key: Key) -> None:
    planted = {"Cookie": f"{COOKIE}={'a' * 43}"}
    http.post("/login", data={"key": key()}, headers=planted)
    first = http.cookies[COOKIE]
    assert first != "a" * 43
    sign_in(http, key("other"))
    assert http.get("/v1/jobs", headers={"Cookie": f"{COOKIE}={first}"}).status_code == 401


def test_two_cookies_are_none(http: TestClient, key: Key) -> None:
    sign_in(http, key())
    identity = http.cookies[COOKIE]
    http.cookies.clear()
    twice = [("Cookie", f"{COOKIE}={identity}")] * 2
    assert http.get("/v1/jobs", headers=twice).status_code == 401


def test_a_session_outlives_a_new_secret_until_the_old_one_is_dropped(key: Key, engine: Engine) -> None:
    identity = ""
    for secrets, status in ((SECRET, 200), (f"{'n' * 32},{SECRET}", 200), ("n" * 32, 401)):
        app = create_app(Settings(_env_file=None, require_key=True, key_secret=secrets), engine)
        with TestClient(app, "http://localhost", follow_redirects=False) as http:
            if not identity:
                sign_in(http, key())
                identity = http.cookies[COOKIE]
            assert http.get("/v1/jobs", headers={"Cookie": f"{COOKIE}={identity}"}).status_code == status


# --- page or problem ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/dashboard", "/docs", "/", "/no", "/v1/jobs/0/report?chart=front", "/dashboard/a%20b"]
)
def test_a_browser_without_a_session_gets_the_login_page(http: TestClient, path: str) -> None:
    answer = http.get(path, headers=HTML)
    assert (answer.status_code, answer.headers["content-type"]) == (401, "text/html; charset=utf-8")
    assert f'name="next" value="{path}"' in answer.text
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", "/v1/jobs", HTML),
        ("GET", "/api/studies", HTML),
        ("GET", "/dashboard", {"Accept": "*/*"}),
        ("GET", "/dashboard", {"Accept": "application/json"}),
        ("GET", "/dashboard", HTML | {"Authorization": "Bearer x"}),
        ("GET", "/static/bundle.js", HTML | {"Sec-Fetch-Dest": "script"}),
        ("POST", "/dashboard", HTML),
        ("POST", "/v1/jobs/0/report", HTML),
    ],
)
def test_a_call_gets_problem_details_and_never_a_page(
    http: TestClient, method: str, path: str, headers: dict[str, str]
) -> None:
    answer = http.request(method, path, headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_no_page_needs_a_script_or_another_host(http: TestClient, key: Key) -> None:
    pages = [http.get("/login"), http.get("/dashboard", headers=HTML), sign_in(http, new_token())]
    sign_in(http, key())
    for page in (*pages, http.get("/login")):
        [style] = re.findall("<style>(.*?)</style>", page.text, re.DOTALL)
        own = b64encode(hashlib.sha256(style.encode()).digest()).decode()
        policy, frames = page.headers.get_list("content-security-policy")
        assert policy == f"default-src 'none'; style-src 'sha256-{own}'; form-action 'self'; base-uri 'none'"
        assert frames == "frame-ancestors 'none'"
        assert "://" not in page.text
        assert "<script" not in page.text


# --- what does not let in -------------------------------------------------------------------------------


def test_a_wrong_key_begins_nothing(http: TestClient, key: Key, engine: Engine) -> None:
    revoked = key("gone")
    with engine.begin() as connection:
        revoke_key(connection, [SECRET.encode()], "gone")
    for wrong in ("", "x", new_token(), key()[:-1], revoked, "\0", "<script>", "ü" * 1000):
        answer = sign_in(http, wrong)
        assert (answer.status_code, answer.headers["content-type"]) == (401, "text/html; charset=utf-8")
        assert "not valid" in answer.text
        assert "set-cookie" not in answer.headers
        assert len(wrong) < 2 or wrong not in answer.text
    for body in (b"", b"&&=", b"key", b"\xff\xfe", b"key=%ff"):
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        assert http.post("/login", content=body, headers=form).status_code == 401


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "\\/evil",
        "/\t/evil.example",
        "javascript:x",
        "/a\r\nb",
    ],
)
def test_signing_in_leads_nowhere_else(http: TestClient, key: Key, elsewhere: str) -> None:
    assert 'value="/dashboard"' in http.get("/login", params={"next": elsewhere}).text
    assert sign_in(http, key(), elsewhere).headers["location"] == "/dashboard"


def test_other_pages_sign_nobody_in_or_out(http: TestClient, key: Key) -> None:
    token = key()
    foreign = {"Origin": "https://evil.example"}
    assert http.post("/login", data={"key": token}, headers=foreign).status_code == 403
    sign_in(http, token)
    assert http.post("/logout", headers=foreign).status_code == 403
    assert http.get("/logout").status_code == 405
    assert http.post("/v1/jobs", json=REQUEST, headers=foreign).status_code == 403
    assert http.get("/v1/jobs").status_code == 200


def test_only_the_login_page_takes_forms_and_short_ones(http: TestClient, key: Key) -> None:
    sign_in(http, key("ops", "admin"))
    assert http.post("/v1/jobs", data={"task": "digits"}).status_code == 415
    assert http.post("/login", json={"key": key()}).status_code == 415
    assert http.post("/login", data={"key": "x" * 20_000}).status_code == 413


# --- on this machine ------------------------------------------------------------------------------------


def test_where_no_key_is_needed_one_may_still_sign_in(engine: Engine, key: Key) -> None:
    app = create_app(Settings(_env_file=None, key_secret=SECRET), engine)
    with TestClient(app, "http://localhost", follow_redirects=False) as http:
        assert "needs no API key" in http.get("/login").text
        assert http.get("/v1/jobs", headers={"Cookie": f"{COOKIE}={'a' * 43}"}).status_code == 200
        sign_in(http, key())
        assert http.post("/v1/jobs", json=REQUEST).json()["owner"] == "ada"


# --- what is kept ---------------------------------------------------------------------------------------


def test_who_came_and_went_is_kept_and_no_secret_is(http: TestClient, key: Key, engine: Engine) -> None:
    token = key()
    with structlog.testing.capture_logs() as logged:
        sign_in(http, new_token())
        page = sign_in(http, token)
        identity = http.cookies[COOKIE]
        http.get("/v1/jobs")
        http.post("/logout")
    with engine.begin() as connection:
        revoke_key(connection, [SECRET.encode()], "ada", by="root@here")
        events = connection.execute(text("SELECT kind, data FROM events ORDER BY id")).all()
        kept = "".join(str(connection.execute(text(f"SELECT * FROM {t}")).all()) for t in ("events", "api_keys"))
    assert [(kind, data["action"], data.get("by")) for kind, data in events] == [
        ("key", "created", None),
        ("session", "began", "ada"),
        ("session", "ended", "ada"),
        ("key", "revoked", "root@here"),
    ]
    assert [line.get("caller") for line in logged] == [None, "ada", "ada", "ada"]
    for said in (str(logged), kept, page.text):
        assert identity not in said
        assert token[len(hint(token)) :] not in said


def test_nothing_in_the_database_is_a_session(http: TestClient, key: Key, engine: Engine) -> None:
    sign_in(http, key())
    identity = http.cookies[COOKIE]
    http.cookies.clear()
    with engine.begin() as connection:
        [digest] = connection.scalars(text("SELECT digest FROM sessions")).all()
        assert digest != hashlib.sha256(identity.encode()).hexdigest()
        # Somebody writes a session into the database, and does not know the secret.
        forged = hashlib.sha256(b"f" * 43).hexdigest()
        connection.execute(text("UPDATE sessions SET digest = :digest"), {"digest": forged})
        for shown in (digest[:43], "f" * 43):
            assert sessions.find_session(connection, [SECRET.encode()], shown) is None
