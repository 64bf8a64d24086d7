"""Cursors: opaque, and good for the list that made them only."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actsearch.errors import InvalidRequest
from actsearch.store.cursors import Keyset, Whole

KEYS = Keyset("things", value=float, number=Whole, at=datetime, id=UUID)
OTHER = Keyset("things/-value", value=float, number=Whole, at=datetime, id=UUID)
ROW = SimpleNamespace(value=0.5, number=3, at=datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC), id=UUID(int=7))


def encoded(place: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode()


@given(
    value=st.floats(allow_nan=False),
    number=st.integers(-(2**31), 2**31 - 1),
    at=st.datetimes(timezones=st.just(UTC)),
    identity=st.uuids(),
)
def test_a_place_comes_back_exactly(value: float, number: int, at: datetime, identity: UUID) -> None:
    row: Any = SimpleNamespace(value=value, number=number, at=at, id=identity)
    assert KEYS.place(KEYS.cursor(row)) == {"value": value, "number": number, "at": at, "id": identity}


def test_not_a_number_comes_back_too() -> None:
    nan: Any = SimpleNamespace(**vars(ROW) | {"value": float("nan")})
    assert str(KEYS.place(KEYS.cursor(nan))["value"]) == "nan"


PLACE = ["things", 0.5, 3, "2026-01-02T03:04:05Z", str(UUID(int=7))]


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "é",
        "\ud800",
        encoded(None),
        encoded([]),
        encoded("things"),
        encoded({"things": 1}),
        encoded(PLACE[:-1]),
        encoded([*PLACE, 1]),
        encoded(["things/-value", *PLACE[1:]]),
        encoded(["things", "half", *PLACE[2:]]),
        encoded(["things", 0.5, 2**31, *PLACE[3:]]),
        encoded(["things", 0.5, -(2**31) - 1, *PLACE[3:]]),
        encoded(["things", 0.5, 1.5, *PLACE[3:]]),
        encoded([*PLACE[:3], "yesterday", PLACE[4]]),
        encoded([*PLACE[:4], "no-uuid"]),
    ],
)
def test_what_is_no_cursor_of_the_list_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidRequest, match="next_cursor") as caught:
        KEYS.place(cursor)
    assert [problem.field for problem in caught.value.problems] == ["cursor"]


def test_the_accepted_form_differs_from_the_refused_ones_in_nothing_else() -> None:
    assert KEYS.place(encoded(PLACE))["number"] == 3


@given(st.text(max_size=60))
def test_no_text_does_worse_than_being_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        KEYS.place(text)


def test_a_page_is_cut_and_its_last_row_is_the_place() -> None:
    rows: list[Any] = [SimpleNamespace(**vars(ROW) | {"number": number}) for number in range(3)]
    kept, cursor = KEYS.page(rows, 2)
    assert [row.number for row in kept] == [0, 1]
    assert cursor is not None
    assert KEYS.place(cursor)["number"] == 1
    assert KEYS.page(rows[:2], 2) == (rows[:2], None)
    assert KEYS.page([], 2) == ([], None)
    with pytest.raises(InvalidRequest):
        OTHER.place(cursor)
