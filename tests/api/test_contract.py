"""Schemathesis holds the service to its own OpenAPI document: no 5xx, answers as documented."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)
from starlette.types import ASGIApp, Receive, Scope, Send

from actsearch.settings import Settings
from actsearch.store import create_store_engine
from actsearch_api.app import create_app

CHECKS = [
    not_a_server_error,
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
]
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
    case.call_and_validate(checks=CHECKS)


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
    answer = case.call_and_validate(checks=[check for check in CHECKS if check is not negative_data_rejection])
    # A report may have no such chart (yet).
    assert answer.status_code != 404 or "chart" in (case.query or {})
