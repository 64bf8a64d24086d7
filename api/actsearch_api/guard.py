"""What is turned away before a route sees it: bodies too large or of the wrong type."""

from __future__ import annotations

import json
import re

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from actsearch_api.problems import problem

_WITH_BODY = {"POST", "PUT", "PATCH"}
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


class BodyGuard:
    """ASGI middleware: reads a body up to a limit before the application runs.

    Args:
        limit: bytes; a larger body is answered with 413 without being read further.
    """

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self.app, self.limit = app, limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its whole body at hand, or answer 413 or 415."""
        if scope["type"] != "http" or scope["method"] not in _WITH_BODY:
            await self.app(scope, receive, send)
            return
        kind = Headers(scope=scope).get("content-type")
        body = await self._read(receive)
        if body is None:
            detail = f"the body is larger than {self.limit} bytes"
            await problem(413, detail, headers={"Connection": "close"})(scope, receive, send)
        elif _has_half_characters(body):
            await problem(400, "the body holds half a character (a lone surrogate, \\ud800 to \\udfff)")(
                scope, receive, send
            )
        elif (body or kind) and not _is_json(kind or ""):  # an empty form, too: any page can send one
            await problem(415, "send JSON, with Content-Type: application/json")(scope, receive, send)
        else:
            await self.app(scope, _replay(body, receive), send)

    async def _read(self, receive: Receive) -> bytes | None:
        parts, size, more = [], 0, True
        while more:
            message = await receive()
            part: bytes = message.get("body", b"")
            size += len(part)
            if size > self.limit:
                return None
            parts.append(part)
            more = message.get("more_body", False)
        return b"".join(parts)


def _has_half_characters(body: bytes) -> bool:
    """Whether a text in a JSON body cannot be written down: such a text fits no database and no answer."""
    if not _SURROGATE.search(body):
        return False
    try:
        json.dumps(json.loads(body), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return True
    except ValueError:  # not JSON, which the application says
        return False
    return False


def _is_json(content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


def _replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body once and then waits for what the client does next."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
