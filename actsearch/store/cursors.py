"""Lists in pages: where a page ended, told to clients as an opaque cursor. One codec for every list."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from types import GenericAlias
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import from_json, to_json
from sqlalchemy import Row

from actsearch.errors import FieldProblem, InvalidRequest

Whole = Annotated[int, Field(ge=-(2**31), lt=2**31)]
"""What an integer column can be compared with."""

Long = Annotated[int, Field(ge=-(2**63), lt=2**63)]
"""What a bigint column can be compared with."""


class Keyset:
    """The columns that a list is ordered by; together they differ from row to row.

    Args:
        name: of the list and its order; a cursor of another one is refused.
        columns: what each column holds, by its name in the rows: `Whole`, float, datetime or UUID.
    """

    def __init__(self, name: str, **columns: Any) -> None:
        self._name, self._columns = name, tuple(columns)
        place: Any = GenericAlias(tuple, tuple(columns.values()))
        self._place: TypeAdapter[tuple[Any, ...]] = TypeAdapter(place)

    def cursor(self, row: Row[Any]) -> str:
        """The cursor for the rows after this one."""
        place = [self._name, *(getattr(row, column) for column in self._columns)]
        return base64.urlsafe_b64encode(to_json(place, inf_nan_mode="constants")).decode()

    def place(self, cursor: str) -> dict[str, Any]:
        """The values, by column, of the row that a cursor was made of.

        Raises:
            InvalidRequest: not a cursor of this list in this order.
        """
        try:
            name, *values = from_json(base64.urlsafe_b64decode(cursor.encode()))
            if name == self._name:
                return dict(zip(self._columns, self._place.validate_python(values), strict=True))
        except (ValueError, TypeError, ValidationError):
            pass
        message = "not a cursor of this list in this order; use `next_cursor` of one of its pages"
        raise InvalidRequest(FieldProblem("cursor", message))

    def page(self, rows: Sequence[Row[Any]], limit: int) -> tuple[Sequence[Row[Any]], str | None]:
        """The rows of a page, and the cursor of the next one if there is any.

        Args:
            rows: of a query for `limit` + 1 rows.
        """
        return rows[:limit], self.cursor(rows[limit - 1]) if len(rows) > limit else None
