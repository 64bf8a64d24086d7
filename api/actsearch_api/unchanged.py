"""Answers that a client has already: it says which by `If-None-Match`, and is told that nothing has changed."""

from __future__ import annotations

import hashlib

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_PATHS = ("/v1/", "/openapi.json", "/docs")


class Unchanged:
    """ASGI middleware: gives what is read an `ETag` made of its content, and answers 304 where the client has that.

    What has a tag keeps it. Streams have none.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; hold the beginning of the answer back until its content is there."""
        if scope["type"] != "http" or scope["method"] != "GET" or not scope["path"].startswith(_PATHS):
            await self.app(scope, receive, send)
            return
        held: Message | None = None

        async def answer(message: Message) -> None:
            nonlocal held
            if message["type"] == "http.response.start" and message["status"] == 200:
                held = message
            elif held is None:
                await send(message)
            else:
                for part in _told(scope, held, message):
                    await send(part)
                held = None

        await self.app(scope, receive, answer)


def tag_of(content: bytes) -> str:
    """The `ETag` of content; a weak one, as the same content may be compressed or not."""
    return f'W/"{hashlib.sha256(content).hexdigest()[:32]}"'


def _told(scope: Scope, start: Message, body: Message) -> tuple[Message, Message]:
    headers = MutableHeaders(scope=start)
    content: bytes = body.get("body", b"")
    if body.get("more_body"):
        return start, body
    tag = headers.setdefault("ETag", tag_of(content))
    if not _has(Headers(scope=scope).getlist("if-none-match"), tag):
        return start, body
    for name in ("Content-Length", "Content-Type", "Content-Encoding"):
        del headers[name]
    return {**start, "status": 304}, {**body, "body": b""}


def _has(conditions: list[str], tag: str) -> bool:
    """Whether a client names the content among what it has; compared weakly, as RFC 9110 has it for reads."""
    named = {part.strip().removeprefix("W/") for condition in conditions for part in condition.split(",")}
    return "*" in named or tag.removeprefix("W/") in named
