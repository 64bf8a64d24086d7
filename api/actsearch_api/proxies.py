"""What proxies say of those they speak for. It is believed of proxies that are named, and of nobody else."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import cast

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn._types import ASGI3Application
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from actsearch.errors import FieldProblem, InvalidRequest
from actsearch.settings import Settings

Network = IPv4Network | IPv6Network
_HEADER_NAME = re.compile(r"[A-Za-z0-9-]+")


def named_proxies(settings: Settings) -> Sequence[Network]:
    """The addresses of proxies that are believed.

    Raises:
        InvalidRequest: one is not an address or a network, or is everybody's; or a header is to be trusted from nobody.
    """
    found = []
    for name in (part.strip() for part in settings.trusted_proxies.split(",") if part.strip()):
        try:
            network = ip_network(name)
        except ValueError as error:
            raise _wrong("trusted_proxies", f"{error}; takes addresses and networks, with commas") from None
        if network.prefixlen == 0:
            raise _wrong("trusted_proxies", f"{name} is everybody; name the proxies alone")
        found.append(network)
    header = settings.trusted_user_header
    if header and not _HEADER_NAME.fullmatch(header):
        raise _wrong("trusted_user_header", f"{header!r} is not the name of a header")
    if header and not found:
        raise _wrong("trusted_user_header", "needs ACTSEARCH_TRUSTED_PROXIES: it is believed of named proxies only")
    return found


class FromProxies:
    """ASGI middleware: takes over what named proxies say: the client's address, its scheme, and who the user is.

    The first two are in `X-Forwarded-For` and `X-Forwarded-Proto`. Who the user is goes to the request's state as
    `proxied_user`; an empty text stands for a header that is given twice.

    Args:
        settings: with the proxies and the header.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app, self.proxies, self.header = app, named_proxies(settings), settings.trusted_user_header
        forwarded = ProxyHeadersMiddleware(cast("ASGI3Application", app), [str(proxy) for proxy in self.proxies])
        self.forwarded = cast("ASGIApp", forwarded)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http" or not self._is_named(scope):
            await self.app(scope, receive, send)
            return
        users = Headers(scope=scope).getlist(self.header) if self.header else []
        if users:
            scope.setdefault("state", {})["proxied_user"] = users[0].strip() if len(users) == 1 else ""
        await self.forwarded(scope, receive, send)

    def _is_named(self, scope: Scope) -> bool:
        try:
            address = ip_address((scope.get("client") or ("", 0))[0])
        except ValueError:  # a socket in the file system
            return False
        return any(address in proxy for proxy in self.proxies)


def _wrong(name: str, message: str) -> InvalidRequest:
    return InvalidRequest(FieldProblem(f"ACTSEARCH_{name.upper()}", message))
