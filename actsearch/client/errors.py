"""The errors of the SDK.

ClientError
├── ServerUnreachable     no connection: nothing was sent
├── NoAnswer              the request was sent, and no answer came: it may have been carried out
├── MalformedAnswer       something answered that does not speak this API
├── WaitTimeout           `wait` ran out of time; the job goes on
├── NoResult              a result was asked for before there is one
└── AnswerError           the server refused, with a problem detail (RFC 9457)
    ├── InvalidRequestError   the request cannot be carried out; names every offending field
    ├── AccessDenied          no API key, a wrong one, or one that does not allow this
    ├── NotFoundError         no such job or trial
    ├── ConflictError         the job's state does not allow it
    └── ServerError           the server failed or is overloaded
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus

import httpx
from pydantic import ValidationError

from actsearch.errors import ClientError
from actsearch.schemas import Problem, ProblemField


class ServerUnreachable(ClientError):
    """No answer from the server: it is not running, or not at this address."""

    def __init__(self, url: str, cause: str) -> None:
        self.url = url
        super().__init__(
            f"cannot reach the actsearch service at {url} ({cause}); "
            "start it with `actsearch up`, or set ACTSEARCH_URL to where it runs"
        )


class NoAnswer(ClientError):
    """The request was sent, but no answer came: the server may have carried it out, or may still be at it."""

    def __init__(self, url: str, cause: str) -> None:
        self.url = url
        super().__init__(
            f"the actsearch service at {url} has not answered ({cause}); it may still have carried out the request"
        )


class MalformedAnswer(ClientError):
    """The answer is not one of this API."""

    def __init__(self, url: str, detail: str) -> None:
        self.url = url
        super().__init__(f"{url} does not answer as an actsearch service of this version would: {detail}")


class WaitTimeout(ClientError, TimeoutError):
    """The time to wait is over before the job was."""


class NoResult(ClientError):
    """There is no complete trial to answer from."""


class AnswerError(ClientError):
    """The server refused; `problem` is its explanation."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        lines = ["the request is not accepted:", *map(_line, problem.errors)]
        super().__init__("\n".join(lines) if problem.errors else problem.detail or problem.title)

    @property
    def errors(self) -> Sequence[ProblemField]:
        """The offending fields, each with what is wrong and what is allowed."""
        return self.problem.errors


class InvalidRequestError(AnswerError):
    """The request cannot be carried out; nothing was created."""


class AccessDenied(AnswerError):
    """The service asks for an API key and was shown none, a wrong one, or one that does not allow this."""


class NotFoundError(AnswerError):
    """There is no such job, trial or page."""


class ConflictError(AnswerError):
    """The present state does not allow what was asked."""


class ServerError(AnswerError):
    """The server failed, or asks to come back later."""


_INVALID = {
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
}


def refusal(response: httpx.Response) -> AnswerError:
    """The error of an answer whose status is 400 or more."""
    return _kind(response.status_code)(_problem(response))


def _kind(status: int) -> type[AnswerError]:
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return AccessDenied
    if status == HTTPStatus.NOT_FOUND:
        return NotFoundError
    if status == HTTPStatus.CONFLICT:
        return ConflictError
    if status in _INVALID:
        return InvalidRequestError
    if status >= 500 or status == HTTPStatus.TOO_MANY_REQUESTS:
        return ServerError
    return AnswerError


def _problem(response: httpx.Response) -> Problem:
    """The problem detail of the answer; made up from its status line where a proxy, say, answered without one."""
    try:
        return Problem.model_validate_json(response.content, extra="ignore")
    except ValidationError:
        title = response.reason_phrase or "error"
        detail = f"{response.request.url} answered {response.status_code} {title}"
        return Problem(title=title, status=response.status_code, detail=detail)


def _line(error: ProblemField) -> str:
    told = "choose one of:" in error.message
    allowed = f" (allowed: {', '.join(error.allowed)})" if error.allowed and not told else ""
    return f"  {error.field}: {error.message}{allowed}"
