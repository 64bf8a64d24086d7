"""Statements by name, from `ledger.sql`."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import Literal

from sqlalchemy import TextClause, text

Runs = Literal["trials", "evaluations"]
"""The tables of runs: see `actsearch.study.ledger`."""

RUNS: tuple[Runs, ...] = ("trials", "evaluations")


@cache
def statements() -> dict[str, str]:
    """SQL by name."""
    source = files("actsearch.store").joinpath("ledger.sql").read_text(encoding="utf-8")
    _, *parts = re.split(r"^-- name: (\w+)\n", source, flags=re.MULTILINE)
    return dict(zip(parts[::2], map(str.strip, parts[1::2]), strict=True))


@cache
def statement(name: str, runs: Runs = "trials") -> TextClause:
    """A statement, on one of the tables where it says `runs`."""
    return text(re.sub(r"\bruns\b", runs, statements()[name]))
