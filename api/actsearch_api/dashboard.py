"""The Optuna dashboard on our trial store, read-only."""

from __future__ import annotations

from typing import Any, cast

import optuna_dashboard
from a2wsgi import WSGIMiddleware
from sqlalchemy import Engine
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from actsearch.store import OptunaStorage
from actsearch_api.problems import problem

_PATHS = ("/dashboard", "/api", "/static", "/csv", "/favicon.ico")


def dashboard_routes(engine: Engine) -> list[Route]:
    """The dashboard's routes; its paths are absolute, so it cannot be mounted below a prefix."""
    wsgi: Any = optuna_dashboard.wsgi(OptunaStorage(engine))  # type: ignore[attr-defined]
    app = ReadOnly(cast("ASGIApp", WSGIMiddleware(wsgi)))
    paths = [*_PATHS, *(f"{path}/{{rest:path}}" for path in _PATHS)]
    return [Route(path, app, include_in_schema=False) for path in paths]


class ReadOnly:
    """ASGI middleware: only GET and HEAD pass (the dashboard would let anyone delete a study)."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 405."""
        if scope["method"] not in ("GET", "HEAD"):
            headers = {"Allow": "GET, HEAD"}
            await problem(405, "the dashboard is read-only", headers=headers)(scope, receive, send)
        else:
            await self.app(_with_encoding(scope), receive, send)


def _with_encoding(scope: Scope) -> Scope:
    """The dashboard fails on requests that do not say which encodings they take."""
    if any(name == b"accept-encoding" for name, _ in scope["headers"]):
        return scope
    return {**scope, "headers": [*scope["headers"], (b"accept-encoding", b"identity")]}
