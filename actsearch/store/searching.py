"""Lists that are filtered and sorted by whatever people write, in pages that stay right while rows arrive."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.errors import QueryCanceled
from psycopg.pq import TransactionStatus
from sqlalchemy import Connection, Row, text
from sqlalchemy.exc import OperationalError

from actsearch.errors import FieldProblem, InvalidRequest, unknown
from actsearch.store.cursors import Keyset
from actsearch.store.filters import SQL_TYPES, Compiled, Fields, Kind, Order, compile_filter, compile_sort

PATIENCE = 10.0
"""Seconds that a search may take; the database is for others, too."""

JOB_COLUMNS: Mapping[str, tuple[str, Kind]] = {
    "id": ("id", "id"),
    "name": ("name", "text"),
    "labels": ("labels", "texts"),
    "owner": ("owner", "text"),
    "task": ("task", "text"),
    "architecture": ("architecture", "text"),
    "metric": ("metric", "text"),
    "created_at": ("created_at", "time"),
}
"""What trials can be filtered by of their jobs, and jobs themselves: column and kind by name."""

_TYPES: Mapping[Kind, Any] = {"number": float, "text": str, "bool": bool, "time": datetime, "id": UUID}
_RECENT = 100
"""Rows that are looked at for the metrics and parameters that there are."""


@dataclass(frozen=True)
class Tie:
    """The column that orders what is equal otherwise, in which no two rows are the same; and its type."""

    sql: str
    type: Any


@dataclass(frozen=True)
class Scope:
    """What is searched.

    Args:
        tables: `FROM ...`.
        where: conditions that always hold.
        values: bound in them.
        tie: for rows that are equal otherwise.
        what: it is a list of.
    """

    tables: str
    where: Sequence[str]
    values: Mapping[str, Any]
    tie: Tie
    what: str


@dataclass(frozen=True)
class Search:
    """What is wanted of a list, checked: see `search_of`.

    Args:
        name: tells searches with another filter or order apart.
        wanted: which rows; None for all.
        order: None for the tie's, the largest first.
        limit: at most so many.
        cursor: `next_cursor` of the page before.
    """

    name: str
    wanted: Compiled | None
    order: Order | None
    limit: int
    cursor: str | None


def search_of(fields: Fields, filter: str | None, sort: str | None, limit: int, cursor: str | None) -> Search:  # noqa: A002 - as clients know it
    """The search that clients ask for.

    Args:
        fields: what the list can be filtered and sorted by.
        filter: only rows for which this holds; None for all.
        sort: a field, `-` for descending; None for the tie's order, the largest first.
        limit: at most so many.
        cursor: `next_cursor` of the page before.

    Raises:
        InvalidRequest: filter or sort is none.
    """
    wanted = compile_filter(filter, fields) if filter is not None else None
    order = compile_sort(sort, fields) if sort is not None else None
    digest = hashlib.sha256((filter or "").encode()).hexdigest()[:16]
    return Search(f"{sort or ''}/{digest}", wanted, order, limit, cursor)


def find(
    connection: Connection, scope: Scope, fields: Fields, columns: str, search: Search
) -> tuple[Sequence[Row[Any]], str | None]:
    """A page of rows with these `columns`, and the cursor of the next one.

    Raises:
        InvalidRequest: the cursor is of another list, the search takes too long, or nothing is found and no row has a
            value of a name that was given.
    """
    wanted, order = search.wanted, search.order
    where, values = [*scope.where], {**scope.values, "limit": search.limit + 1}
    for part in (wanted, order.compiled if order else None):
        values |= part.values if part else {}
    if wanted:
        where.append(wanted.sql)
    keys, selected, after, by = _keyset(scope, search)
    if order:
        where.append(f"{order.sql} IS NOT NULL")
    if search.cursor is not None:
        where.append(after)
        values |= keys.place(search.cursor)
    query = f"SELECT {columns}, {selected} {scope.tables} WHERE {' AND '.join(where)} ORDER BY {by} LIMIT :limit"
    rows, further = keys.page(_patiently(connection, query, values), search.limit)
    if not rows and search.cursor is None:
        _require_known(connection, scope, fields, search)
    return rows, further


def _keyset(scope: Scope, search: Search) -> tuple[Keyset, str, str, str]:
    """The keyset, its columns, the condition for what comes after a place, and the order."""
    name, tie, order = f"{scope.what}/{search.name}", scope.tie.sql, search.order
    if order is None:
        return Keyset(name, tie=scope.tie.type), f"{tie} AS tie", f"{tie} < :tie", f"{tie} DESC"
    keys = Keyset(name, key=_TYPES[order.kind], tie=scope.tie.type)
    place = f"CAST(:key AS {SQL_TYPES[order.kind]})"
    beyond = f"({order.sql} {'<' if order.descending else '>'} {place} OR {order.sql} = {place} AND {tie} > :tie)"
    direction = "DESC" if order.descending else "ASC"
    key = f"CAST({order.sql} AS {SQL_TYPES[order.kind]}) AS key"
    return keys, f"{key}, {tie} AS tie", beyond, f"{order.sql} {direction}, {tie}"


def _patiently(connection: Connection, query: str, values: Mapping[str, Any]) -> Sequence[Row[Any]]:
    """The rows.

    Raises:
        InvalidRequest: it takes longer than `PATIENCE`.
    """
    _set_patience(connection, f"{PATIENCE * 1000:.0f}")
    try:
        return connection.execute(text(query), values).all()
    except OperationalError as error:
        if not isinstance(error.orig, QueryCanceled):
            raise
        message = f"the search takes more than {PATIENCE:g} s; narrow it, by job.task or job.created_at for one"
        raise InvalidRequest(FieldProblem("filter", message)) from None
    finally:
        if not _is_undone(connection):  # then so is the setting
            _set_patience(connection, "0")


def _is_undone(connection: Connection) -> bool:
    """Whether nothing can be done on it: its transaction has failed, or it is lost."""
    driver = connection.connection.driver_connection
    failed = (TransactionStatus.INERROR, TransactionStatus.UNKNOWN)
    return connection.invalidated or driver is None or driver.info.transaction_status in failed


def _set_patience(connection: Connection, milliseconds: str) -> None:
    connection.execute(text("SELECT set_config('statement_timeout', :most, false)"), {"most": milliseconds})


def _require_known(connection: Connection, scope: Scope, fields: Fields, search: Search) -> None:
    """Return if some row has what was named, or there is no row that could: else the name is mistyped.

    Raises:
        InvalidRequest: no row has it, or none has a number to sort by; names those that there are.
    """
    for parameter, part in (("filter", search.wanted), ("sort", search.order.compiled if search.order else None)):
        for key in part.keys if part else []:
            column = fields.documents[key.document]
            is_there = f"({column} ? :name OR {column} #> CAST(:path AS text[]) IS NOT NULL)"
            values = {"name": key.name, "path": key.name.split(".")}
            if not _has(connection, scope, is_there, values):
                known = [f"{key.document}.{name}" for name in _names(connection, scope, column)]
                if known:
                    problem = unknown("value", f"{key.document}.{key.name}", known)
                    raise InvalidRequest(FieldProblem(parameter, f"{problem} (of the newest {_RECENT} {scope.what})"))
            elif parameter == "sort" and search.wanted is None:
                found = f"coalesce({column} -> :name, {column} #> CAST(:path AS text[]))"
                if not _has(connection, scope, f"jsonb_typeof({found}) = 'number'", values):
                    message = f"{key.document}.{key.name} holds no numbers; sort by a metric or parameter that does"
                    raise InvalidRequest(FieldProblem(parameter, message))


def _has(connection: Connection, scope: Scope, condition: str, values: Mapping[str, Any]) -> bool:
    """Whether there is a row for which a condition of ours holds."""
    query = f"SELECT 1 {scope.tables} WHERE {' AND '.join([*scope.where, condition])} LIMIT 1"
    return bool(_patiently(connection, query, {**scope.values, **values}))


def _names(connection: Connection, scope: Scope, column: str) -> Sequence[str]:
    """Names in a JSON column of the newest rows."""
    where = " AND ".join([*scope.where, f"{column} <> '{{}}'"])
    sample = f"SELECT {column} AS document {scope.tables} WHERE {where} ORDER BY {scope.tie.sql} DESC LIMIT {_RECENT}"
    names = "SELECT DISTINCT jsonb_object_keys(document) AS name FROM recent ORDER BY 1"
    return connection.execute(text(f"WITH recent AS ({sample}) {names}"), dict(scope.values)).scalars().all()
