"""What is turned away before a route sees it: bodies too large or of the wrong type.

FastAPI's own `max_body_size` answers a large body in plain text, whatever the application makes of it, and looks at no
type; errors here are problem details.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from actsearch_api.problems import problem

_WITH_BODY = {"POST", "PUT", "PATCH"}
_FORM = "application/x-www-form-urlencoded"
FORM_LIMIT = 10_000
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


class BodyGuard:
    """ASGI middleware: reads a body up to a limit before the application runs.

    Args:
        limit: bytes; a larger body is answered with 413 without being read further.
        forms: paths that take forms, of at most `FORM_LIMIT` bytes, in place of JSON.
    """

    def __init__(self, app: ASGIApp, limit: int, forms: Collection[str] = ()) -> None:
        self.app, self.limit, self.forms = app, limit, forms

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its whole body at hand, or answer 413 or 415."""
        if scope["type"] != "http" or scope["method"] not in _WITH_BODY:
            await self.app(scope, receive, send)
            return
        kind = Headers(scope=scope).get("content-type")
        takes_forms = scope["path"] in self.forms
        limit = FORM_LIMIT if takes_forms else self.limit
        try:
            body = await _read(receive, limit)
        except ClientDisconnect:
            return
        if body is None:
            detail = f"the body is larger than {limit} bytes"
            await problem(413, detail, headers={"Connection": "close"})(scope, receive, send)
        elif refused := (_refused_form if takes_forms else _refused)(body, kind):
            await refused(scope, receive, send)
        else:
            await self.app(scope, _replay(body, receive), send)


async def _read(receive: Receive, limit: int) -> bytes | None:
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":  # what has come is not what the client was about to ask for
            raise ClientDisconnect
        part: bytes = message.get("body", b"")
        size += len(part)
        if size > limit:
            return None
        parts.append(part)
        more = message.get("more_body", False)
    return b"".join(parts)


def _refused(body: bytes, kind: str | None) -> Response | None:
    if _has_half_characters(body):
        return problem(400, "the body holds half a character (a lone surrogate, \\ud800 to \\udfff)")
    if (body or kind) and not _is_json(kind or ""):  # an empty form, too: any page can send one
        return problem(415, "send JSON, with Content-Type: application/json")
    return None


def _refused_form(body: bytes, kind: str | None) -> Response | None:
    if (body or kind) and _essence(kind or "") != _FORM:
        return problem(415, f"send a form, with Content-Type: {_FORM}")
    return None


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
    kind = _essence(content_type)
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


def _essence(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


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
