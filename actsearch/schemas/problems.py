"""Error answers."""

from __future__ import annotations

from pydantic import Field

from actsearch.schemas.base import Schema


class ProblemField(Schema):
    """One offending field of a request."""

    field: str
    message: str
    allowed: list[str] = Field(default_factory=list)


class Problem(Schema):
    """An error answer (RFC 9457 problem details, `application/problem+json`)."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    errors: list[ProblemField] = Field(default_factory=list)
