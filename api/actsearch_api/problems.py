"""Every error as RFC 9457 problem details, in one place."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match

from actsearch.errors import IllegalTransition, InvalidRequest, NotFound, StoreError
from actsearch.schemas import Problem, ProblemField
from actsearch.store.quotas import TooManyJobs
from actsearch.store.submissions import SubmissionInProgress
from actsearch_api.apart import Endless
from actsearch_api.slots import Busy

log = structlog.get_logger()
MEDIA_TYPE = "application/problem+json"
GONE = 499
"""Status, for the log alone, of a request whose client left before the answer."""

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def problem(
    status: int,
    detail: str,
    errors: Sequence[ProblemField] = (),
    headers: Mapping[str, str] | None = None,
    members: Mapping[str, str] | None = None,
) -> JSONResponse:
    """An error answer.

    Args:
        members: further ones (RFC 9457, section 3.2).
    """
    body = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail, errors=list(errors))
    content = body.model_dump(mode="json") | dict(members or {})
    return JSONResponse(content, status, headers=headers, media_type=MEDIA_TYPE)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Error answers of a route, for OpenAPI."""
    schema = {"schema": {"$ref": "#/components/schemas/Problem"}}
    return {
        status: {"description": HTTPStatus(status).phrase, "model": Problem, "content": {MEDIA_TYPE: schema}}
        for status in statuses
    }


def install(app: FastAPI) -> None:
    """Map every error that can leave a route; `AccessLog` answers for the others."""
    app.add_exception_handler(InvalidRequest, _invalid_request)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(NotFound, _not_found)
    app.add_exception_handler(IllegalTransition, lambda _, error: problem(409, str(error)))
    app.add_exception_handler(SubmissionInProgress, _in_progress)
    app.add_exception_handler(TooManyJobs, lambda _, error: problem(429, str(error), headers={"Retry-After": "60"}))
    app.add_exception_handler(StoreError, lambda _, error: problem(503, str(error)))
    for passing in (OperationalError, Busy, PoolTimeout):
        app.add_exception_handler(passing, lambda _, error: unavailable(error))
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Endless, lambda _, error: problem(503, str(error)))
    app.add_exception_handler(ClientDisconnect, lambda *_: Response(status_code=GONE))


def _invalid_request(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, InvalidRequest)  # noqa: S101 - registered for it
    errors = [ProblemField(field=p.field, message=p.message, allowed=list(p.allowed)) for p in error.problems]
    return problem(422, str(error), errors)


def _not_found(_: Request, error: Exception) -> JSONResponse:
    return problem(404, str(error))


def unavailable(error: Exception) -> JSONResponse:
    """The answer to a request that may fare better in a moment: the database is away, or too many others wait."""
    if isinstance(error, OperationalError):
        log.error("database unreachable", error=str(error))
        return problem(503, "the database cannot be reached; try again later", headers={"Retry-After": "5"})
    log.warning("too busy", error=str(error))
    return problem(503, "too many requests at once; try again in a moment", headers={"Retry-After": "2"})


def _in_progress(_: Request, error: Exception) -> JSONResponse:
    return problem(409, str(error), headers={"Retry-After": "1"})


def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(_methods(request))
    return problem(error.status_code, str(error.detail), headers=headers)


def _methods(request: Request) -> list[str]:
    """What may be done at the request's path, by all of its routes: each of them names only its own methods."""
    scopes = ({**request.scope, "method": method} for method in _METHODS)
    found = {
        scope["method"] for scope in scopes if any(r.matches(scope)[0] is Match.FULL for r in request.app.router.routes)
    }
    return sorted(found | ({"HEAD"} if "GET" in found else set()))


def unexpected(error: Exception) -> JSONResponse:
    """The answer to a request that failed for a reason that nobody thought of; the reason is logged, not told."""
    log.error("unexpected error", exc_info=error)
    return problem(500, "internal server error; the server's log has the details under this request's X-Request-ID")


# --- pydantic's errors ----------------------------------------------------------------------------


def _validation(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for it
    invalid = [e for e in error.errors() if e["type"] == "json_invalid"]
    if invalid:
        message = f"not JSON: {invalid[0]['ctx']['error']} at character {invalid[0]['loc'][-1]}"
        return problem(400, message, [ProblemField(field="body", message=message)])
    errors = _by_field(error.errors(), error.body)
    return problem(422, "; ".join(f"{e.field}: {e.message}" for e in errors), errors)


def _by_field(errors: Sequence[Any], body: Any) -> list[ProblemField]:
    """One entry a field: a value that fits none of several types gives an error for each."""
    found: dict[str, tuple[list[str], list[str]]] = {}
    for error in errors:
        messages, allowed = found.setdefault(_path(error, body), ([], []))
        message = _message(error)
        if message not in messages:
            messages.append(message)
        allowed += [v for v in _allowed(error) if v not in allowed]
    return [ProblemField(field=f, message=" or ".join(m), allowed=a) for f, (m, a) in found.items()]


def _message(error: Mapping[str, Any]) -> str:
    if error["type"] == "union_tag_invalid":
        return f"{error['ctx']['tag']!r} is not known here"
    return str(error["msg"]).removeprefix("Value error, ")


def _path(error: Mapping[str, Any], body: Any) -> str:
    """The field's dotted path; pydantic also names the alternatives of a union it tried, which are no fields."""
    where, *parts = error["loc"]
    if where != "body":
        return ".".join(map(str, parts)) or str(where)
    value, path = body, []
    for place, part in enumerate(parts):
        last = place == len(parts) - 1 and error["type"] == "missing"
        if isinstance(value, dict) and (part in value or last):
            path.append(str(part))
            value = value.get(part)
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            path.append(str(part))
            value = value[part]
    if error["type"] == "union_tag_invalid" and isinstance(value, dict):
        path.append(error["ctx"]["discriminator"].strip("'"))
    return ".".join(path) or "body"


def _allowed(error: Mapping[str, Any]) -> list[str]:
    context = error.get("ctx", {})
    return re.findall(r"'([^']*)'", str(context.get("expected", context.get("expected_tags", ""))))
