"""What stands before decimals and what groups digits, in the numbers of a text file."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from actsearch.tasks.own_data.faults import DataFault
from actsearch.tasks.own_data.options import AUTO, DECIMALS, THOUSANDS, Reading

Mark = Literal[".", ","]

_SPACES = " \u00a0\u202f"
_APOSTROPHES = "'\u2019"
_GROUPED = r"[1-9]\d{{0,2}}(?:(?P<mark>[{marks}])\d{{3}}(?:(?P=mark)\d{{3}})*)"
_PLAIN = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_ONE_GROUP = re.compile(r"[+-]?[1-9]\d{0,2}\.\d{3}(?:[eE][+-]?\d+)?", re.ASCII)
_SIGNED = r"[+-]?(?:{whole})?(?:{decimal}\d*)?(?:[eE][+-]?\d+)?"


@dataclass(frozen=True)
class Marks:
    """How numbers are written.

    Args:
        decimal: what stands before decimals.
        thousands: every character that may group digits by three.
    """

    decimal: str
    thousands: str

    def number(self, text: str) -> float | int | None:
        """The number a text stands for; whole ones as `int`; None if it is not a number written this way."""
        if self.decimal == "." and _PLAIN.fullmatch(text):
            return int(text) if text.lstrip("+-").isdecimal() else float(text)
        if not self._pattern.fullmatch(text) or not re.search(r"\d", text):
            return None
        plain = re.sub(f"[{re.escape(self.thousands)}]", "", text) if self.thousands else text
        try:
            return int(plain)
        except ValueError:
            pass
        try:
            return float(plain.replace(self.decimal, "."))
        except ValueError:  # "e5", "."
            return None

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        grouped = _GROUPED.format(marks=re.escape(self.thousands)) + "|" if self.thousands else ""
        return re.compile(_SIGNED.format(whole=grouped + r"\d+", decimal=re.escape(self.decimal)))


POINT = Marks(".", "," + _SPACES + _APOSTROPHES)
COMMA = Marks(",", "." + _SPACES + _APOSTROPHES)


@dataclass(frozen=True)
class Written:
    """A number as it stands in the file."""

    column: str
    row: int
    text: str

    def __str__(self) -> str:
        return f"column {self.column!r}, data row {self.row}: {self.text!r}"


def marks_of(columns: Mapping[str, Iterable[tuple[int, str]]], how: Reading, separator: str) -> tuple[Marks, list[str]]:
    """How the numbers of a file are written, and notes on it where it was guessed.

    Args:
        columns: data row and text of each different text, by column.
        how: `decimal` and `thousands`.
        separator: of columns.

    Raises:
        DataFault: if the numbers contradict each other, or can be read in two ways.
    """
    decimal: str | None = DECIMALS.get(how.decimal)
    grouping = THOUSANDS.get(how.thousands)
    if decimal is None and grouping in (".", ","):
        decimal = "," if grouping == "." else "."
    if decimal is None:
        decimal = _guessed(_evidence(columns), separator)
    if grouping == decimal:
        raise DataFault(f"`decimal` and `thousands` are both {decimal!r}; they must differ")
    allowed = (COMMA if decimal == "," else POINT).thousands if grouping is None else grouping
    allowed = _SPACES if allowed == " " else _APOSTROPHES if allowed == "'" else allowed
    marks = Marks(decimal, allowed)
    return marks, _notes(marks, columns, how)


def _guessed(seen: Mapping[str, Written], separator: str) -> str:
    comma, point = seen.get("comma"), seen.get("point")
    if comma and point:
        raise DataFault(
            f"decimals stand after a comma ({comma}) and after a point ({point}); set `decimal`, or correct one of them"
        )
    if comma:
        return ","
    if point:
        return "."
    unclear = seen.get("comma?") or (seen.get("point?") if separator == ";" else None)
    if unclear:
        plain = unclear.text.replace(",", "").replace(".", "")
        decimals = unclear.text.replace(",", ".")
        raise DataFault(f"{unclear} may mean {plain} or {decimals}; say `decimal` (point or comma)")
    return "."


def _evidence(columns: Mapping[str, Iterable[tuple[int, str]]]) -> dict[str, Written]:
    """The first number that shows a decimal comma, a decimal point, or one of them perhaps (`comma?`)."""
    found: dict[str, Written] = {}
    for name, texts in columns.items():
        for row, text in texts:
            shown = _shows(text)
            if shown is not None:
                found.setdefault(shown, Written(name, row, text))
    return found


def _shows(text: str) -> str | None:
    if _PLAIN.fullmatch(text):  # most texts, at a tenth of the time
        return None if "." not in text else "point?" if _ONE_GROUP.fullmatch(text) else "point"
    by_point, by_comma = POINT.number(text), COMMA.number(text)
    if by_point is None and by_comma is None:
        return None
    if by_point is not None and by_comma is not None:  # 1,234 or 1.234, or no mark at all
        return "comma?" if "," in text else "point?" if "." in text else None
    return "comma" if by_point is None else "point"


def _notes(marks: Marks, columns: Mapping[str, Iterable[tuple[int, str]]], how: Reading) -> list[str]:
    notes = []
    if how.decimal == AUTO and marks.decimal == ",":
        notes.append("decimals stand after a comma")
    if how.thousands == AUTO and (found := _grouped(marks, columns)):
        notes.append(f"digits are grouped by {found.text.strip('+-0123456789')[:1]!r} ({found})")
    return notes


def _grouped(marks: Marks, columns: Mapping[str, Iterable[tuple[int, str]]]) -> Written | None:
    for name, texts in columns.items():
        for row, text in texts:
            is_plain = marks.decimal == "." and _PLAIN.fullmatch(text)
            if not is_plain and any(mark in text for mark in marks.thousands) and marks.number(text) is not None:
                return Written(name, row, text)
    return None
