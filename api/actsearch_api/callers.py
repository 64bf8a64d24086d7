"""Who asks: told by the API key of a request, before anything else is done for it.

Whatever is not named here as open to all needs a key, routes that are added later and the dashboard too; except where
the service listens on a loopback address only, and there a request without a key is the local user's, who may do all.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.datastructures import Headers, State
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from actsearch.errors import ActsearchError
from actsearch.schemas import KeyScope
from actsearch.settings import Settings
from actsearch.store.key_secrets import read_secrets
from actsearch.store.keys import Holder, find_holder
from actsearch.store.tokens import is_well_formed
from actsearch_api.problems import problem, unavailable
from actsearch_api.slots import Busy

OPEN_TO_ALL = {"/healthz", "/readyz"}
_READS = {"GET", "HEAD", "OPTIONS"}
_ASK = 'Bearer realm="actsearch"'
_NO_KEY = (
    "this service asks for an API key: set ACTSEARCH_API_KEY for SDK and command line, or send "
    "`Authorization: Bearer KEY`; whoever runs the service makes keys with `actsearch keys create`"
)
_BAD_KEY = "this API key is not valid here: it is mistyped, revoked or of another service"


class Forbidden(ActsearchError):
    """The caller may not do this."""


@dataclass(frozen=True)
class Caller:
    """Who asks.

    Args:
        name: of the client whose key it is; None for the local user, who has none.
        scope: what it may do.
    """

    name: str | None
    scope: KeyScope

    def require_change(self, owner: str | None) -> None:
        """Return if the caller may change what `owner` submitted.

        Raises:
            Forbidden: it is another client's.
        """
        is_own = self.name is not None and self.name == owner
        if not (self.scope.includes(KeyScope.admin) or (self.scope.includes(KeyScope.submit) and is_own)):
            whose = f"belongs to {owner!r}" if owner else "was submitted without a key"
            raise Forbidden(f"this job {whose}; a key of {self.name!r} changes its own jobs, one with scope admin all")


LOCAL = Caller(None, KeyScope.admin)


def asks_for_keys(settings: Settings) -> bool:
    """Whether requests need a key: wherever others than this machine's users can reach the service."""
    if settings.require_key:
        return True
    try:
        return not ip_address(settings.host).is_loopback
    except ValueError:
        return settings.host.lower() != "localhost"  # other names may mean any address


class KnownCallers:
    """ASGI middleware: finds out who asks and leaves it in the request's state as `caller`; else answers 401 or 403.

    Args:
        state: of the application, with its settings, engine and slots.
    """

    def __init__(self, app: ASGIApp, state: State) -> None:
        self.app, self.state, self.asks = app, state, asks_for_keys(state.settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or turn it away."""
        if scope["type"] == "http" and scope["path"] not in OPEN_TO_ALL:
            found = await self._caller(Headers(scope=scope), scope["method"])
            if isinstance(found, Response):
                await found(scope, receive, send)
                return
            scope.setdefault("state", {})["caller"] = found
        await self.app(scope, receive, send)

    async def _caller(self, headers: Headers, method: str) -> Caller | Response:
        shown = [value for value in headers.getlist("authorization") if value.partition(" ")[0].lower() == "bearer"]
        if not shown:
            return problem(401, _NO_KEY, headers={"WWW-Authenticate": _ASK}) if self.asks else LOCAL
        try:
            holder = await self._holder(shown[0].partition(" ")[2].strip()) if len(shown) == 1 else None
        except (Busy, OperationalError, PoolTimeout) as error:
            return unavailable(error)
        if holder is None:
            return problem(401, _BAD_KEY, headers={"WWW-Authenticate": f'{_ASK}, error="invalid_token"'})
        needed = KeyScope.read if method in _READS else KeyScope.submit
        if not holder.scope.includes(needed):
            detail = f"this key has scope {holder.scope}, and scope {needed} is needed"
            ask = f'{_ASK}, error="insufficient_scope", scope="{needed}"'
            return problem(403, detail, headers={"WWW-Authenticate": ask})
        return Caller(holder.name, holder.scope)

    async def _holder(self, token: str) -> Holder | None:
        def look_up() -> Holder | None:
            with self.state.engine.begin() as connection:
                return find_holder(connection, read_secrets(self.state.settings), token)

        if not is_well_formed(token):  # costs neither a slot nor the database
            return None
        holder: Holder | None = await self.state.slots.run(look_up)
        return holder


async def _asking(request: Request) -> Caller:
    caller: Caller = request.state.caller
    return caller


Asking = Annotated[Caller, Depends(_asking)]
