"""Hundreds of requests at once leave the event loop to others in between."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.types import Receive, Scope, Send

from actsearch_api.pacing import Paced


async def _nothing(*_: Any) -> Any:
    return {"type": "http.disconnect"}


def test_others_get_their_turn_between_requests_which_keep_their_order() -> None:
    begun: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        begun.append(scope["path"])

    async def run() -> None:
        paced = Paced(app)
        requests = [paced({"type": "http", "path": f"/v1/{number}"}, _nothing, _nothing) for number in range(100)]
        tasks = [asyncio.ensure_future(request) for request in requests]
        for _ in range(20):
            await asyncio.sleep(0)
        some = len(begun)
        await paced({"type": "http", "path": "/healthz"}, _nothing, _nothing)
        assert 0 < some < 30
        assert begun[some] == "/healthz"
        await asyncio.gather(*tasks)

    asyncio.run(run())
    begun.remove("/healthz")
    assert begun == [f"/v1/{number}" for number in range(100)]


def test_a_request_that_goes_on_for_long_keeps_nobody_waiting() -> None:
    async def run() -> None:
        going_on = asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if scope.get("path") == "/long":
                await going_on.wait()

        paced = Paced(app)
        long = [asyncio.ensure_future(paced({"type": "http", "path": "/long"}, _nothing, _nothing)) for _ in range(50)]
        await asyncio.wait_for(paced({"type": "http", "path": "/short"}, _nothing, _nothing), 5)
        abandoned = asyncio.ensure_future(paced({"type": "http", "path": "/long"}, _nothing, _nothing))
        await asyncio.sleep(0)
        abandoned.cancel()
        await asyncio.wait_for(paced({"type": "lifespan"}, _nothing, _nothing), 5)
        await asyncio.wait_for(paced({"type": "http", "path": "/short"}, _nothing, _nothing), 5)
        going_on.set()
        await asyncio.gather(*long)

    asyncio.run(run())
