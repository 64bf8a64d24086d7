"""Connections of clients that are slow, half open, or send more headers than anyone needs."""

from __future__ import annotations

import asyncio
from http import HTTPStatus

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from actsearch_api.problems import problem

HEADER_SECONDS = 15.0
"""From a connection's start, or a further request's first byte, until all headers are there."""

HEADER_BYTES = 32_768
"""The most that a request's line and headers may have."""


class Refused(Exception):
    """What stops the parser."""


class Impatient(HttpToolsProtocol):
    """uvicorn's protocol with bounds on the time and the size of a request's headers, and errors as problem details."""

    _deadline: asyncio.TimerHandle | None = None
    _status = HTTPStatus.BAD_REQUEST
    _size = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a request, but not for ever."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._have()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what has come; what does not end is not kept."""
        super().data_received(data)
        if self._deadline is not None and not self.transport.is_closing():
            self._size += len(data)
            if self._size > HEADER_BYTES:
                self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        if self._deadline is None:
            self._wait()

    def on_headers_complete(self) -> None:
        """All headers are there."""
        self._have()
        if len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) > HEADER_BYTES:
            self._status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            raise Refused
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what cannot be parsed."""
        self._refuse(self._status)

    def _wait(self) -> None:
        self._size = 0
        self._deadline = self.loop.call_later(HEADER_SECONDS, self._refuse, HTTPStatus.REQUEST_TIMEOUT)

    def _have(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _refuse(self, status: HTTPStatus) -> None:
        self._have()
        details = {
            HTTPStatus.REQUEST_TIMEOUT: f"the request's headers did not arrive within {HEADER_SECONDS:g} seconds",
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: f"the request's headers have more than {HEADER_BYTES} bytes",
        }
        answer = problem(
            status, details.get(status, "this is not a valid HTTP request"), headers={"connection": "close"}
        )
        lines = [b"HTTP/1.1 %d %s" % (status, status.phrase.encode())]
        lines += [name + b": " + value for name, value in answer.raw_headers]
        self.transport.write(b"\r\n".join(lines) + b"\r\n\r\n" + bytes(answer.body))
        self.transport.close()
