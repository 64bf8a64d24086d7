"""Pages for people in browsers: plain HTML with its style inside, no scripts, nothing fetched."""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Mapping
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.datastructures import Headers
from starlette.responses import HTMLResponse
from starlette.types import Scope

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 0; color: #1c2733; background: #f4f6f8 }
main { max-width: 24rem; margin: 12vh auto; padding: 2rem; background: #fff; border: 1px solid #d5dce3 }
h1 { margin: 0 0 1rem; font-size: 1.4rem }
label, input, button { display: block; width: 100%; box-sizing: border-box; font: inherit }
input { margin: .25rem 0 1rem; padding: .5rem; border: 1px solid #8a97a5; border-radius: 4px }
button { padding: .55rem; border: 0; border-radius: 4px; color: #fff; background: #1f5fa8; cursor: pointer }
[role=alert] { padding: .5rem .75rem; border-left: 4px solid #b3261e; background: #fbeceb }
"""
_HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'; "
        "form-action 'self'; base-uri 'none'"
    ),
    "Cache-Control": "no-store",
}
_OWN_PATH = re.compile(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]{0,2000}")
HOME = "/dashboard"


def login_page(
    status: int = 200,
    *,
    message: str = "",
    caller: object = None,
    needed: bool = True,
    onward: str = HOME,
    headers: Mapping[str, str] | None = None,
) -> HTMLResponse:
    """The page where people sign in and out.

    Args:
        message: what went wrong.
        caller: who is signed in, with `name` and `scope`; None for nobody.
        needed: whether the service asks for keys.
        onward: path to go to after signing in.
    """
    given: dict[str, Any] = {"message": message, "caller": caller, "needed": needed, "next": onward}
    page = _environment().get_template("login.html.j2").render(style=Markup(_STYLE), **given)  # noqa: S704 - ours
    return HTMLResponse(page, status, headers=_HEADERS | dict(headers or {}))


def own_path(wanted: str) -> str:
    """`wanted` if it is a path of this service, else the dashboard's: no link leads from the login page elsewhere."""
    return wanted if _OWN_PATH.fullmatch(wanted) else HOME


def asks_for_a_page(scope: Scope) -> bool:
    """Whether a browser asks for something to show to a person, which is never so for calls of the API."""
    path: str = scope["path"]
    is_call = path.startswith(("/v1", "/api")) and not path.endswith("/report")
    headers = Headers(scope=scope)
    shown = headers.get("sec-fetch-dest", "document") == "document" and "authorization" not in headers
    return scope["method"] == "GET" and not is_call and shown and "text/html" in headers.get("accept", "").lower()


def path_of(scope: Scope) -> str:
    """Path and query of a request, to come back to."""
    path = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
    query = scope["query_string"].decode("latin-1")
    return own_path(f"{path}?{query}" if query else path)


@cache
def _environment() -> Environment:
    return Environment(loader=PackageLoader("actsearch_api"), autoescape=True, undefined=StrictUndefined)
