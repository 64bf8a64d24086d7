"""The cookie that holds the id of a person's session, and nothing else."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import Response
from starlette.types import Scope

_NAME = "actsearch-session"


def name_of(scope: Scope) -> str:
    """The cookie's name. Over TLS, one that browsers take from this very host alone."""
    return f"__Host-{_NAME}" if scope["scheme"] == "https" else _NAME


def session_of(scope: Scope) -> str | None:
    """The id that a request shows; None without one, and with more than one."""
    cookies = [cookie_parser(header).get(name_of(scope)) for header in Headers(scope=scope).getlist("cookie")]
    shown = [cookie for cookie in cookies if cookie]
    return shown[0] if len(shown) == 1 else None


def give(response: Response, scope: Scope, identity: str, lifetime: int) -> None:
    """Have the browser keep the id for `lifetime` seconds, show it to no script, and send it with no foreign form."""
    _set(response, scope, identity, lifetime)


def take(response: Response, scope: Scope) -> None:
    """Have the browser forget the id."""
    _set(response, scope, "", 0)


def _set(response: Response, scope: Scope, value: str, age: int) -> None:
    is_secure = scope["scheme"] == "https"
    response.set_cookie(name_of(scope), value, max_age=age, path="/", secure=is_secure, httponly=True, samesite="lax")
