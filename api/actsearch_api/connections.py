"""Connections of clients that are slow, half open, read nothing, or send more headers than anyone needs.

Uvicorn waits for ever for what does not come; see docs/decisions/0145-connections-have-deadlines.md.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from actsearch_api.problems import problem

Part = Literal["headers", "body"]


@dataclass(frozen=True)
class Patience:
    """What a client may take.

    Args:
        headers: seconds from the start of the connection, or from the first byte of a further request, until all
            headers are there.
        body: seconds from there until all of its body is there; while the service does not read, none pass.
        answer: seconds for which a client may read nothing while part of its answer waits.
        farewell: seconds in which a client that is turned away may read why,
        farewell_bytes: while it sends at most so many.
        header_bytes: the most that a request's line and headers may have.
    """

    headers: float = 15.0
    body: float = 30.0
    answer: float = 30.0
    farewell: float = 5.0
    farewell_bytes: int = 4_000_000
    header_bytes: int = 32_768


class Refused(Exception):
    """What stops the parser."""


class Impatient(HttpToolsProtocol):
    """Uvicorn's protocol with bounds on time and size; what it turns away is answered with problem details."""

    patience: ClassVar[Patience] = Patience()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._awaited: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._in_headers, self._turned_away = True, False
        self._size, self._arriving = 0, 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a request, but not for ever."""
        super().connection_made(transport)
        self._await("headers")

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._await(None)
        super().connection_lost(exc)
        self._is_read()

    def data_received(self, data: bytes) -> None:
        """Parse what has come; what does not end is not kept."""
        if self._turned_away:
            self._size += len(data)
            if self._size > self.patience.farewell_bytes:
                self.transport.abort()
            return
        if self._awaited is None and self._in_headers:
            self._await("headers")
        self._arriving = len(data)
        super().data_received(data)
        self._size += len(data)
        if self._in_headers and self._awaited is not None and self._size > self.patience.header_bytes:
            self._refuse(431, self._too_large())

    def on_message_begin(self) -> None:
        """The first byte of a request; what came with it may be the end of another one, and does not count."""
        super().on_message_begin()
        self._size = -self._arriving

    def on_headers_complete(self) -> None:
        """All headers are there; now for the body."""
        if len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) > self.patience.header_bytes:
            self._refuse(431, self._too_large())
            raise Refused
        self._in_headers = False
        self._await("body")
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request is there."""
        self._in_headers = True
        self._await(None)
        super().on_message_complete()

    def pause_writing(self) -> None:
        """The client reads its answer too slowly."""
        super().pause_writing()
        self._unread = self.loop.call_later(self.patience.answer, self.transport.abort)

    def resume_writing(self) -> None:
        """It has read some."""
        super().resume_writing()
        self._is_read()

    def send_400_response(self, msg: str) -> None:
        """Answer what cannot be parsed."""
        self._refuse(400, "this is not a valid HTTP request")

    def _too_large(self) -> str:
        return f"the request's headers have more than {self.patience.header_bytes} bytes"

    def _await(self, part: Part | None) -> None:
        if self._awaited is not None:
            self._awaited.cancel()
        self._awaited = self.loop.call_later(getattr(self.patience, part), self._overdue, part) if part else None

    def _is_read(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _overdue(self, part: Part) -> None:
        if self.flow.read_paused:
            self._await(part)
        else:
            self._refuse(408, f"the request's {part} did not arrive within {getattr(self.patience, part):g} seconds")

    def _refuse(self, status: int, detail: str) -> None:
        """Say why, where that cannot be taken for part of another answer, and close.

        Not at once: a connection that is closed while data are on their way is reset, and the answer lost.
        """
        if self._turned_away or self.transport.is_closing():
            return
        self._turned_away = True
        self._await(None)
        if self._is_answering():
            self.transport.close()
            return
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        answer = problem(status, detail, headers={"Connection": "close", "X-Content-Type-Options": "nosniff"})
        lines = [name + b": " + value + b"\r\n" for name, value in answer.raw_headers]
        self.transport.write(b"".join([STATUS_LINE[status], *lines, b"\r\n", bytes(answer.body)]))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.flow.resume_reading()
        self.loop.call_later(self.patience.farewell, self.transport.close)

    def _is_answering(self) -> bool:
        """Whether an answer to this request or one before it is under way, or has been given."""
        if self.cycle is None:
            return False
        if self._in_headers:
            return not self.cycle.response_complete
        return self.cycle.response_started or bool(self.pipeline)
