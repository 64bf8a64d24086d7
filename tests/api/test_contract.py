"""Schemathesis holds the service to its own OpenAPI document: no 5xx, answers as documented."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import httpx
import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)
from sqlalchemy import Engine
from starlette.types import ASGIApp, Receive, Scope, Send

from actsearch.schemas import KeyScope
from actsearch.settings import Settings
from actsearch.store import create_store_engine
from actsearch.store.keys import create_key
from actsearch_api.app import create_app
from actsearch_api.callers import OPEN_TO_ALL

CHECKS = [
    not_a_server_error,
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
]
PATIENCE = 60.0
"""Seconds: the first heavy answer of a process begins with imports, and the machine may be busy."""
FEW = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


class Service:
    """The application under test: Schemathesis wants one when tests are collected, before there is a database."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, under a name that the service knows."""
        if scope["type"] == "http":
            others = [(name, value) for name, value in scope["headers"] if name != b"host"]
            scope = {**scope, "headers": [(b"host", b"localhost"), *others]}
        await self.app(scope, receive, send)


service = Service(create_app(Settings(_env_file=None), create_store_engine("postgresql+psycopg://unused")))
schema = schemathesis.openapi.from_asgi("/openapi.json", service)


@pytest.fixture(autouse=True)
def _real_service(app: FastAPI) -> None:
    service.app = app


@schema.parametrize()
@FEW
def test_answers_are_as_documented(case: schemathesis.Case) -> None:
    case.call_and_validate(checks=CHECKS, timeout=PATIENCE)


@schema.include(path_regex="{(job|trial)_id}").parametrize()
@FEW
def test_so_are_those_about_what_exists(
    case: schemathesis.Case,
    submit: Callable[..., dict[str, Any]],
    finish: Callable[[str, Sequence[float]], None],
    http: Any,
) -> None:
    job = submit()
    finish(job["id"], [0.5, 0.7])
    trial = http.get(f"/v1/jobs/{job['id']}/trials").json()["items"][0]
    case.path_parameters = {"job_id": job["id"]} if "job_id" in case.path else {"trial_id": trial["id"]}
    # A made-up id may have been what made the case a wrong one.
    answer = case.call_and_validate(
        checks=[check for check in CHECKS if check is not negative_data_rejection], timeout=PATIENCE
    )
    # A report may have no such chart (yet).
    assert answer.status_code != 404 or "chart" in (case.query or {})


@pytest.fixture
def keys(engine: Engine) -> dict[KeyScope | None, dict[str, str]]:
    """The service as it is where others reach it; headers with a key of each scope, and with none."""
    secret = "s" * 32
    service.app = create_app(Settings(_env_file=None, require_key=True, key_secret=secret), engine)
    headers: dict[KeyScope | None, dict[str, str]] = {None: {}}
    with engine.begin() as connection:
        for scope in KeyScope:
            token, _ = create_key(connection, [secret.encode()], scope, scope)
            headers[scope] = {"Authorization": f"Bearer {token}"}
    return headers


@schema.parametrize()
@settings(FEW, max_examples=4, phases=[Phase.generate])
def test_so_are_those_to_keys_of_every_scope_and_to_none(
    case: schemathesis.Case, keys: dict[KeyScope | None, dict[str, str]]
) -> None:
    closed = case.path not in OPEN_TO_ALL
    for scope, headers in keys.items():
        # Who may not ask is told so, whatever else is wrong with the request.
        checks = [check for check in CHECKS if check not in (negative_data_rejection, unsupported_method)]
        status = case.call_and_validate(checks=checks, headers=headers, timeout=PATIENCE).status_code
        if scope is None:
            assert (status == 401) is closed
        elif scope == KeyScope.read:
            assert (status == 403) is (closed and case.method not in ("GET", "HEAD", "OPTIONS"))
        else:
            assert status not in (401, 403)


def test_what_is_too_long_for_headers_gets_a_documented_answer(address: str) -> None:
    for path, query in (
        ("/v1/tasks/{name}", {"parameters": "\U0010ffff" * 4_000}),
        ("/v1/jobs", {"cursor": "x" * 40_000}),
    ):
        answer = httpx.get(address + path.format(name="digits"), params=query, timeout=60)
        assert answer.status_code == 431
        assert answer.headers["content-type"] == "application/problem+json"
        document = httpx.get(f"{address}/openapi.json", timeout=60).json()
        assert "431" in document["paths"][path]["get"]["responses"]
    longest = "\U0010ffff" * 2000  # as the document has it: that much is read
    answer = httpx.get(f"{address}/v1/tasks/digits", params={"parameters": longest}, timeout=60)
    assert answer.status_code == 422
