"""A call from request to answer, without I/O: what to send, when to try again, what the answer means.

An exchange is a generator. It yields what it needs done, `Send` or `Pause`, and is sent the result; the clients, one
blocking and one asynchronous, do just that (`blocking.drive`, `asynchronous.drive`). So nothing is written twice.
"""

from __future__ import annotations

import random
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import uuid4

import httpx
from pydantic import ValidationError
from pydantic_core import to_json

from actsearch.client.calls import Answer, Call
from actsearch.client.errors import MalformedAnswer, NoAnswer, ServerUnreachable, refusal
from actsearch.client.service import Service
from actsearch.schemas import File
from actsearch.version import __version__

Result = TypeVar("Result")

_PASSING = {429, 502, 503, 504}
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


@dataclass(frozen=True)
class Send:
    """Send the request; the result is the response, or the error that kept it from coming."""

    request: httpx.Request


@dataclass(frozen=True)
class Pause:
    """Do nothing for some seconds; the result is None."""

    seconds: float


Reply = httpx.Response | httpx.TransportError | None
Flow = Generator[Send | Pause, Reply, Result]


def exchange(service: Service, call: Call[Answer]) -> Flow[Answer]:
    """Carry out `call`.

    Connection errors and 429, 502, 503, 504 are tried again; a POST without a key only where it cannot have reached the
    server. One with a key has it at every attempt, and waits where the server is still at work on an earlier one.

    Raises:
        ClientError: see `actsearch.client.errors`.
    """
    request = build(service, call)
    for attempt in range(service.retries):
        reply = yield Send(request)
        if not _passing(service, call, reply):
            return _read(service, call, reply)
        yield _pause(service, attempt, reply)
    return _read(service, call, (yield Send(request)))


def build(service: Service, call: Call[Any]) -> httpx.Request:
    """The HTTP request of `call`."""
    accepted = "*/*" if call.answer is File else "application/json, application/problem+json"
    headers = {"accept": accepted, "user-agent": f"actsearch/{__version__}"}
    if service.api_key is not None:
        headers["authorization"] = f"Bearer {service.api_key}"
    content = None
    if call.keyed:
        headers["idempotency-key"] = str(uuid4())
    if call.body is not None:
        headers["content-type"] = "application/json"
        # NaN and infinities travel as they are: the server says which field they are in.
        content = to_json(call.body, inf_nan_mode="constants")
    query = {name: value for name, value in call.query.items() if value is not None}
    return httpx.Request(call.method, service.url + call.path, params=query, headers=headers, content=content)


def _passing(service: Service, call: Call[Any], reply: Reply) -> bool:
    """Whether the same request may fare better in a moment."""
    if isinstance(reply, _NEVER_SENT):
        return True
    if call.method == "POST" and not call.keyed:
        return False
    if reply is None or isinstance(reply, httpx.TransportError):
        return reply is not None
    if (_asked(reply) or 0) > service.longest_pause:
        return False
    in_progress = call.keyed and reply.status_code == 409 and "retry-after" in reply.headers
    return reply.status_code in _PASSING or in_progress


def _pause(service: Service, attempt: int, reply: Reply) -> Pause:
    """The pause after failed attempt number `attempt` (from 0): what the server asks for, or a growing one."""
    asked = _asked(reply) if isinstance(reply, httpx.Response) else None
    if asked is not None:
        return Pause(asked)
    return Pause(min(service.backoff * 2**attempt, service.longest_pause) * random.uniform(0.5, 1))


def _asked(response: httpx.Response) -> float | None:
    """Seconds that the server wants to be left alone for."""
    asked = response.headers.get("retry-after", "")
    return float(asked) if asked.isdecimal() else None


def _read(service: Service, call: Call[Answer], reply: Reply) -> Answer:
    if not isinstance(reply, httpx.Response):
        error = ServerUnreachable if isinstance(reply, _NEVER_SENT) else NoAnswer
        raise error(service.url, _cause(reply)) from reply
    if reply.is_error:
        raise refusal(reply)
    if not reply.is_success:
        raise MalformedAnswer(service.url, f"{call.path} answers {reply.status_code} {reply.reason_phrase}")
    if issubclass(call.answer, File):
        return call.answer(content=reply.content, media_type=reply.headers.get("content-type", ""))
    try:
        # A newer server may say more than this version knows.
        return call.answer.model_validate_json(reply.content, extra="ignore")
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the body"
        raise MalformedAnswer(service.url, f"{call.path}: {where}: {first['msg']}") from error


def _cause(error: httpx.TransportError | None) -> str:
    return str(error) or type(error).__name__
