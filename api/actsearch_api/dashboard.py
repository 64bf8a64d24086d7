"""The Optuna dashboard on our trial store, read-only."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from typing import Any, cast

import optuna_dashboard
from a2wsgi import WSGIMiddleware
from sqlalchemy import Engine
from starlette.datastructures import Headers
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from actsearch.store import OptunaStorage
from actsearch_api.problems import problem

_PATHS = ("/dashboard", "/api", "/static", "/csv", "/favicon.ico")

MOST_TRIALS = 200_000
"""Trials in memory, some kB each, from which on the dashboard begins anew."""


def dashboard_routes(engine: Engine) -> list[Route]:
    """The dashboard's routes; its paths are absolute, so it cannot be mounted below a prefix."""
    app = ReadOnly(cast("ASGIApp", WSGIMiddleware(cast("Any", Forgetful(engine)))))
    paths = [*_PATHS, *(f"{path}/{{rest:path}}" for path in _PATHS)]
    return [Route(path, app, include_in_schema=False) for path in paths]


class Forgetful:
    """WSGI application: the dashboard, begun anew when it has read many trials, as it forgets none by itself.

    Args:
        engine: of the trial store.
        most_trials: see `MOST_TRIALS`.
    """

    def __init__(self, engine: Engine, most_trials: int = MOST_TRIALS) -> None:
        self.engine, self.most_trials = engine, most_trials
        self._lock = threading.Lock()
        self._begin()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request."""
        with self._lock:
            if self.storage.trials_kept > self.most_trials:
                self._begin()
            app = self._app
        answer: Iterable[bytes] = app(environ, start_response)
        return answer

    def _begin(self) -> None:
        self.storage = OptunaStorage(self.engine)
        self._app: Any = optuna_dashboard.wsgi(self.storage)  # type: ignore[attr-defined]


class ReadOnly:
    """ASGI middleware: only GET and HEAD pass (the dashboard would let anyone delete a study); errors are problems."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 405."""
        if scope["method"] not in ("GET", "HEAD"):
            headers = {"Allow": "GET, HEAD"}
            await problem(405, "the dashboard is read-only", headers=headers)(scope, receive, send)
            return
        failed: Message | None = None
        said = bytearray()

        async def answer(message: Message) -> None:
            nonlocal failed
            if message["type"] == "http.response.start" and message["status"] >= 400:
                failed = message
            elif failed is None:
                await send(message)
            else:
                said.extend(message.get("body", b""))
                if not message.get("more_body"):
                    reason = _reason(failed, bytes(said))
                    await problem(failed["status"], reason, members={"reason": reason})(scope, receive, send)

        await self.app(_with_encoding(scope), receive, answer)


def _reason(start: Message, body: bytes) -> str:
    """What the dashboard says of its error: JSON with a reason, which its page shows, or else a page."""
    if Headers(raw=start["headers"]).get("content-type", "").startswith("application/json"):
        return str(json.loads(body).get("reason", ""))
    return "the dashboard has nothing here"


def _with_encoding(scope: Scope) -> Scope:
    """The dashboard fails on requests that do not say which encodings they take."""
    if any(name == b"accept-encoding" for name, _ in scope["headers"]):
        return scope
    return {**scope, "headers": [*scope["headers"], (b"accept-encoding", b"identity")]}
