"""Routes as plain functions on a connection: what runs them, one slot and one transaction each."""

from __future__ import annotations

import gzip
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import wraps
from typing import TypeVar

from fastapi import Request, Response
from pydantic import BaseModel

from actsearch_api.slots import Slots
from actsearch_api.together import Together
from actsearch_api.unchanged import tag_of

COMPRESSED = 16_000
"""Bytes from which on an answer is compressed, for clients that ask for it: a small one would be unpacked for longer
than it would be sent."""

T = TypeVar("T")
Read = TypeVar("Read", bound=BaseModel)


def in_transaction(route: Callable[..., T]) -> Callable[..., Awaitable[T]]:
    """Decorate a route whose argument `connection` is a connection in a transaction, open for as long as it runs.

    It is committed before the answer is sent, so that whoever has the answer finds what it speaks of. For what takes
    seconds, see `heavy`.
    """

    async def served(*, http: Request, **given: object) -> T:
        def work() -> T:
            with http.app.state.engine.begin() as connection:
                return route(**given, connection=connection)

        slots: Slots = http.app.state.slots
        return await slots.run(work)

    return _as_route(route, served)


@dataclass(frozen=True)
class Content:
    """What was read, ready to be sent to all that asked.

    Args:
        packed: the same, compressed; None where that is not worth it.
    """

    plain: bytes
    packed: bytes | None
    tag: str

    @classmethod
    def of(cls, found: BaseModel) -> Content:
        """As JSON."""
        plain = found.model_dump_json(by_alias=True).encode()
        packed = gzip.compress(plain, compresslevel=1, mtime=0) if len(plain) >= COMPRESSED else None
        return cls(plain, packed, tag_of(plain))

    def response(self, accepted: str) -> Response:
        """For a client that accepts these encodings."""
        headers = {"ETag": self.tag}
        if self.packed is None or "gzip" not in accepted:
            return Response(self.plain, headers=headers, media_type="application/json")
        headers |= {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
        return Response(self.packed, headers=headers, media_type="application/json")


def reading(route: Callable[..., Read]) -> Callable[..., Awaitable[Response]]:
    """Decorate a route that reads, as `in_transaction` does; those who ask the same at once are answered together.

    Each statement is a transaction by itself, which saves beginning and ending one; one of several sees no more.
    """

    async def served(*, http: Request, **given: object) -> Response:
        async def read(begin: Callable[[], None]) -> Content:
            def work() -> Content:
                begin()
                with http.app.state.reads.connect() as connection:
                    return Content.of(route(**given, connection=connection))

            slots: Slots = http.app.state.slots
            return await slots.run(work)

        together: Together[Content] = http.app.state.together
        caller = http.state.caller.name
        content = await together.answer((http.scope["path"], http.scope["query_string"], caller), read)
        return content.response(http.headers.get("accept-encoding", ""))

    return _as_route(route, served)


def _as_route(route: Callable[..., object], served: Callable[..., Awaitable[T]]) -> Callable[..., Awaitable[T]]:
    """`served` with the arguments of `route`, but the request in place of the connection."""
    signature = inspect.signature(route)
    own = [p.replace(kind=p.KEYWORD_ONLY) for name, p in signature.parameters.items() if name != "connection"]
    asked = inspect.Parameter("http", inspect.Parameter.KEYWORD_ONLY, annotation=Request)
    wrapped = wraps(route)(served)
    vars(wrapped)["__signature__"] = signature.replace(parameters=[asked, *own])
    return wrapped
