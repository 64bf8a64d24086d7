"""`/login` and `/logout`: people show their API key once and are known by a session from then on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar
from urllib.parse import parse_qs

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy import Connection

from actsearch.settings import Settings
from actsearch.store import sessions
from actsearch.store.key_secrets import read_secrets
from actsearch.store.keys import Holder
from actsearch_api import cookies
from actsearch_api.callers import BAD_KEY, CHALLENGE, MANY_BAD_KEYS, Caller, address_of, asks_for_keys
from actsearch_api.pages import login_page, own_path
from actsearch_api.slots import Slots

router = APIRouter(include_in_schema=False)
T = TypeVar("T")


@router.get("/login")
async def show(request: Request, next: str = "") -> Response:  # noqa: A002 - what the page and its links call it
    """The page to sign in; for who is signed in, to sign out."""
    caller: Caller | None = request.state.caller
    known = None if caller is None or caller.name is None else caller
    settings: Settings = request.app.state.settings
    return login_page(caller=known, needed=asks_for_keys(settings), onward=own_path(next))


@router.post("/login")
async def sign_in(request: Request) -> Response:
    """Begin a session, and end the one that this browser had."""
    given = parse_qs((await request.body()).decode("utf-8", "replace"), max_num_fields=10)
    key, onward = given.get("key", [""])[0].strip(), own_path(given.get("next", [""])[0])
    settings: Settings = request.app.state.settings
    where, wrong = address_of(request.scope), request.app.state.wrong_keys
    if wait := wrong.wait_for(where):
        return login_page(429, message=MANY_BAD_KEYS, onward=onward, headers={"Retry-After": str(wait)})
    before = cookies.session_of(request.scope)

    def begin(connection: Connection) -> tuple[str, Holder] | None:
        secrets = read_secrets(settings)
        begun = sessions.start_session(connection, secrets, key, settings.session_lifetime, where)
        if begun is not None and before is not None:
            sessions.end_session(connection, secrets, before)
        return begun

    begun = await _in_transaction(request, begin)
    if begun is None:
        wrong.count(where)
        needed = asks_for_keys(settings)
        return login_page(401, message=BAD_KEY, needed=needed, onward=onward, headers={"WWW-Authenticate": CHALLENGE})
    identity, holder = begun
    request.state.caller = Caller(holder.name, holder.scope)  # for the log
    answer = RedirectResponse(onward, 303)
    cookies.give(answer, request.scope, identity, settings.session_lifetime)
    return answer


@router.post("/logout")
async def sign_out(request: Request) -> Response:
    """End this browser's session."""
    before = cookies.session_of(request.scope)
    if before is not None:
        secrets = read_secrets(request.app.state.settings)
        await _in_transaction(request, lambda connection: sessions.end_session(connection, secrets, before))
    answer = RedirectResponse("/login", 303)
    cookies.take(answer, request.scope)
    return answer


async def _in_transaction(request: Request, work: Callable[[Connection], T]) -> T:
    def run() -> T:
        with request.app.state.engine.begin() as connection:
            return work(connection)

    slots: Slots = request.app.state.slots
    return await slots.run(run)
