"""Which names the service answers to, and that pages of other origins change nothing.

A browser sends requests to this machine for whatever page asks it to. A page whose own name was made to point here (DNS
rebinding) is told apart by the `Host` header; a form or script of another site by `Origin` and `Sec-Fetch-Site`.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from ipaddress import ip_address

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from actsearch_api.problems import problem

_READS = {"GET", "HEAD", "OPTIONS"}
_HOST = re.compile(r"(\[(?P<address>[0-9a-f:.]+)\]|(?P<name>[a-z0-9._-]+))(:[0-9]{0,5})?")
_OWN_SITE = {"", "same-origin", "none"}
_CAUTION = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
}


class KnownHosts:
    """ASGI middleware: answers 421 where `Host` names nobody known.

    Args:
        names: known besides loopback addresses, `localhost` and its subdomains; `*` is all.
    """

    def __init__(self, app: ASGIApp, names: Collection[str]) -> None:
        self.app, self.names = app, {name.lower() for name in names}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or turn it away."""
        if scope["type"] == "http" and "*" not in self.names:
            said = Headers(scope=scope).getlist("host")
            name = host_name(said[0]) if len(said) == 1 else ""
            if name not in self.names and not is_loopback(name):
                detail = (
                    f"this service does not answer to the name {name!r}; whoever runs it can add the name to "
                    "ACTSEARCH_ALLOWED_HOSTS"
                )
                await problem(421, detail)(scope, receive, send)
                return
        await self.app(scope, receive, send)


class SameOrigin:
    """ASGI middleware: answers 403 to whatever is no read and comes from a page of another origin."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or turn it away."""
        if scope["type"] == "http" and scope["method"] not in _READS:
            headers = Headers(scope=scope)
            origin, host = headers.get("origin"), headers.get("host", "").lower()
            foreign = origin is not None and origin.lower().partition("://")[2] != host
            if foreign or headers.get("sec-fetch-site", "") not in _OWN_SITE:
                await problem(403, "pages of other origins may read nothing here and change nothing")(
                    scope, receive, send
                )
                return
        await self.app(scope, receive, send)


class Cautious:
    """ASGI middleware: no page may frame an answer, and no browser guess its type or tell others its address."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and the answer with what is to be said to browsers."""

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _CAUTION.items():
                    headers[name] = value
                headers.append("Content-Security-Policy", "frame-ancestors 'none'")  # beside the route's own
            await send(message)

        await self.app(scope, receive, answer if scope["type"] == "http" else send)


def host_name(host: str) -> str:
    """The name in a `Host` header, without its port, brackets and capitals; empty where it is no such header."""
    found = _HOST.fullmatch(host.lower())
    return (found["address"] or found["name"]) if found else ""


def is_loopback(name: str) -> bool:
    """Whether a name is this machine's own, wherever it is said."""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False
