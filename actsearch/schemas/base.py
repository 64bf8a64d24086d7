"""What every type here builds on."""

from __future__ import annotations

from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def _not_a_bool(value: object) -> object:
    if isinstance(value, bool):  # which Python takes for 1 or 0
        raise ValueError("must be a number, not true or false")  # noqa: TRY004 - pydantic tells no TypeError
    return value


Integer = Annotated[int, BeforeValidator(_not_a_bool)]
Number = Annotated[float, BeforeValidator(_not_a_bool), Field(allow_inf_nan=False)]
Whole = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]
Scalar = bool | Whole | Number | str
TaskValue = Scalar | list[str]
"""What a parameter of a task may be: lists name columns, words."""
PRINTABLE = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]*$"
"""Labels are shown in terminals and pages and stored in PostgreSQL: no control characters, and nothing that breaks a
line or turns the direction of what follows."""


class Schema(BaseModel):
    """Base of every type here: unknown fields are errors, values are immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def named(value: object) -> object:
    """Let a plain string stand for `{"name": string}`."""
    return {"name": value} if isinstance(value, str) else value


def of_family(value: object) -> object:
    """Let a plain string stand for `{"family": string}`."""
    return {"family": value} if isinstance(value, str) else value


Item = TypeVar("Item")


class Page(Schema, Generic[Item]):
    """One page of a list; `next_cursor` is None on the last."""

    items: list[Item]
    next_cursor: str | None = None
