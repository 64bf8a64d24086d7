"""Who asks: told by the API key of a request, or by a browser's session, before anything else is done for it.

Whatever is not named here as open to all needs a key, routes that are added later and the dashboard too; except where
the service listens on a loopback address only, and there a request without a key is the local user's, who may do all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.datastructures import Headers, MutableHeaders, State
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from actsearch.errors import ActsearchError
from actsearch.schemas import KeyScope
from actsearch.settings import Settings
from actsearch.store.key_secrets import read_secrets
from actsearch.store.keys import CLIENT_NAMES, Holder, find_holder, is_client_name
from actsearch.store.sessions import find_session
from actsearch.store.sessions import is_well_formed as is_session
from actsearch.store.tokens import is_well_formed as is_key
from actsearch_api import cookies
from actsearch_api.limits import RequestRates, WrongKeys
from actsearch_api.pages import asks_for_a_page, login_page, path_of
from actsearch_api.problems import problem, unavailable
from actsearch_api.slots import Busy

OPEN_TO_ALL = {"/healthz", "/readyz"}
LOGIN = {"/login", "/logout"}
"""Open to all, too; they want to know who asks."""

_READS = {"GET", "HEAD", "OPTIONS"}
CHALLENGE = 'Bearer realm="actsearch"'
_NO_KEY = (
    "this service asks for an API key: set ACTSEARCH_API_KEY for SDK and command line, or send "
    "`Authorization: Bearer KEY`, or sign in at /login in a browser; whoever runs the "
    "service makes keys with `actsearch keys create`"
)
BAD_KEY = "this API key is not valid here: it is mistyped, revoked or of another service"

MANY_BAD_KEYS = "too many wrong keys from this address; try again later"

_Find = Callable[[Connection, Sequence[bytes], str], Holder | None]


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
    if settings.require_key or settings.trusted_proxies or settings.trusted_user_header:
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
        self.rates = RequestRates(state.settings.request_rate)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or turn it away."""
        if scope["type"] == "http" and scope["path"] not in OPEN_TO_ALL:
            found = await self._caller(scope)
            if isinstance(found, Response) and scope["path"] not in LOGIN:
                await found(scope, receive, send)
                return
            scope.setdefault("state", {})["caller"] = found if isinstance(found, Caller) else None
            send = _for_the_caller(send) if self.asks else send
        await self.app(scope, receive, send)

    async def _caller(self, scope: Scope) -> Caller | Response:
        authorization = Headers(scope=scope).getlist("authorization")
        keys = [value.partition(" ")[2].strip() for value in authorization if value.split(" ")[0].lower() == "bearer"]
        if keys:
            shown = keys[0] if len(keys) == 1 else ""
            found = await self._known(scope, shown, is_key, find_holder)
            return found or _unknown(BAD_KEY, ', error="invalid_token"')
        user = scope.get("state", {}).get("proxied_user")
        if user is not None:
            return self._proxied(scope, user)
        found = await self._known(scope, cookies.session_of(scope) or "", is_session, find_session)
        return found or self._nobody(scope)

    async def _known(
        self, scope: Scope, shown: str, looks_right: Callable[[str], bool], find: _Find
    ) -> Caller | Response | None:
        """Who shows this, or why that one is turned away; None for nobody."""
        if not looks_right(shown):  # costs neither a slot nor the database
            return None
        if wait := self.rates.wait_for(shown):
            return _too_often(wait)
        wrong, address, is_new = self._wrong_keys, address_of(scope), not self.rates.has_let_in(shown)
        if is_new and (wait := wrong.wait_for(address)):
            return problem(429, MANY_BAD_KEYS, headers={"Retry-After": str(wait)})
        try:
            holder: Holder | None = await self.state.slots.run(lambda: self._look_up(find, shown))
        except (Busy, OperationalError, PoolTimeout) as error:
            return unavailable(error)
        if holder is None:
            if is_new:
                wrong.count(address)
            return None
        wait = self.rates.remember(shown, holder.name)
        return _too_often(wait) if wait else _allowed(holder, scope)

    @property
    def _wrong_keys(self) -> WrongKeys:
        wrong: WrongKeys = self.state.wrong_keys
        return wrong

    def _look_up(self, find: _Find, shown: str) -> Holder | None:
        with self.state.engine.begin() as connection:
            return find(connection, read_secrets(self.state.settings), shown)

    def _proxied(self, scope: Scope, user: str) -> Caller | Response:
        if not is_client_name(user):
            return _unknown(f"the proxy names {user!r} as the user; a name {CLIENT_NAMES}")
        wait = self.rates.count(user)
        return (
            _too_often(wait)
            if wait
            else _allowed(Holder(user, KeyScope(self.state.settings.trusted_user_scope)), scope)
        )

    def _nobody(self, scope: Scope) -> Caller | Response:
        if not self.asks:
            return LOCAL
        if asks_for_a_page(scope):
            return login_page(401, onward=path_of(scope), headers={"WWW-Authenticate": CHALLENGE})
        return _unknown(_NO_KEY)


def _for_the_caller(send: Send) -> Send:
    """A `send` that tells caches to ask again each time, and shared ones to keep nothing."""

    async def answer(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).setdefault("Cache-Control", "private, no-cache")
        await send(message)

    return answer


def address_of(scope: Scope) -> str:
    """Where a request comes from; empty for a socket file."""
    return scope["client"][0] if scope.get("client") else ""


def _unknown(detail: str, why: str = "") -> Response:
    return problem(401, detail, headers={"WWW-Authenticate": CHALLENGE + why})


def _too_often(wait: int) -> Response:
    detail = "more requests per second than a client may send (ACTSEARCH_REQUEST_RATE of the service); try again later"
    return problem(429, detail, headers={"Retry-After": str(wait)})


def _allowed(holder: Holder, scope: Scope) -> Caller | Response:
    needed = KeyScope.read if scope["method"] in _READS or scope["path"] in LOGIN else KeyScope.submit
    if not holder.scope.includes(needed):
        detail = f"{holder.name!r} has scope {holder.scope} here, and scope {needed} is needed"
        ask = f'{CHALLENGE}, error="insufficient_scope", scope="{needed}"'
        return problem(403, detail, headers={"WWW-Authenticate": ask})
    return Caller(holder.name, holder.scope)


async def _asking(request: Request) -> Caller:
    caller: Caller = request.state.caller
    return caller


Asking = Annotated[Caller, Depends(_asking)]
