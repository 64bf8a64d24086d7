"""A request's id, its line in the log, and HEAD."""

from __future__ import annotations

import re
import time
from uuid import uuid4

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from actsearch_api.problems import unexpected

log = structlog.get_logger()
_ID = re.compile(r"[A-Za-z0-9._-]{1,100}")


class AccessLog:
    """ASGI middleware: echoes `X-Request-ID` (or makes one up) and logs method, path, status, duration and caller.

    It also answers for what the application did not expect: any layer further out would do so without the id.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _ID.fullmatch(given) else uuid4().hex
        state = scope.setdefault("state", {})
        status, begun, begin = 500, False, time.perf_counter()

        async def answer(message: Message) -> None:
            nonlocal status, begun
            if message["type"] == "http.response.start":
                begun, status = True, message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = request_id
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self.app(scope, receive, answer)
            except Exception as error:
                if begun:
                    raise
                await unexpected(error)(scope, receive, answer)
            finally:
                milliseconds = round(1000 * (time.perf_counter() - begin), 1)
                caller = getattr(state.get("caller"), "name", None)
                of_whom = {} if caller is None else {"caller": caller}
                log.info(
                    "request", method=scope["method"], path=scope["path"], status=status, ms=milliseconds, **of_whom
                )


class HeadAsGet:
    """ASGI middleware: answers HEAD as the route answers GET, without the body."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self.app(scope, receive, send)
            return

        async def without_body(message: Message) -> None:
            await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

        await self.app({**scope, "method": "GET"}, receive, without_body)
