"""Requests begin one after another, so that the event loop gets to what else is there: `/healthz`, answers to be sent.

Routing and checking a request takes half a millisecond of the event loop. When hundreds come at once, as they do once
answers are found quickly, whatever comes after them would wait for all of these.
"""

from __future__ import annotations

import anyio
import anyio.lowlevel
from starlette.types import ASGIApp, Receive, Scope, Send

from actsearch_api.callers import OPEN_TO_ALL


class Paced:
    """ASGI middleware: one request begins in a round of the event loop, in the order in which they came."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._beginning = anyio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on when it is its turn; from then on it keeps nobody waiting."""
        if scope["type"] == "http" and scope["path"] not in OPEN_TO_ALL:
            async with self._beginning:
                await anyio.lowlevel.checkpoint()
        await self.app(scope, receive, send)
