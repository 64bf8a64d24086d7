"""The filter language of lists: `metrics.validation_accuracy > 0.9 and params.slope < 0.1`, checked, and as SQL.

It is Python's grammar of comparisons, read by Python's own parser; nothing is ever evaluated. What is written reaches
the database as bound values only. See docs/filters.md.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Lock
from typing import Any, Literal
from uuid import UUID

from actsearch.errors import FieldProblem, InvalidRequest, unknown

Kind = Literal["number", "text", "bool", "time", "texts", "id"]
MOST = 1000
"""Characters of a filter."""

SQL_TYPES: Mapping[Kind, str] = {
    "number": "float8", "text": "text", "bool": "boolean", "time": "timestamptz", "id": "uuid",
}  # fmt: skip
# Python 3.11's parser fails where another thread parses before it is done, which collecting garbage may bring about.
_parsing = Lock()

_SIGNS: Mapping[type[ast.cmpop], str] = {
    ast.Eq: "=", ast.NotEq: "<>", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=",
}  # fmt: skip
_TURNED = {"=": "=", "<>": "<>", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_WORDS: Mapping[Kind, str] = {
    "number": "a number", "text": 'text in quotes ("...")', "bool": "True or False",
    "time": 'a time in quotes ("2026-01-31" or "2026-01-31T12:00:00+01:00")', "texts": "a list of texts",
    "id": "an id in quotes",
}  # fmt: skip


@dataclass(frozen=True)
class Column:
    """What a field of a list is in SQL.

    Args:
        sql: an expression of ours.
        kind: what it holds.
        choices: the values it can have, where they are few.
    """

    sql: str
    kind: Kind
    choices: Sequence[str] = ()


@dataclass(frozen=True)
class Fields:
    """What a list can be filtered and sorted by.

    Args:
        columns: by name as people write it (`job.task`).
        documents: JSON columns by the word before the dot: `metrics` gives `metrics.validation_accuracy`.
    """

    columns: Mapping[str, Column]
    documents: Mapping[str, str]

    @property
    def names(self) -> list[str]:
        """What can be written, for those who wrote something else."""
        return [*self.columns, *(f"{word}.NAME" for word in self.documents)]


@dataclass(frozen=True)
class Key:
    """A value of a JSON column that was named: `metrics.validation_accuracy`."""

    document: str
    name: str


@dataclass
class Compiled:
    """A condition in SQL, the values bound in it, and the values of JSON columns that it names."""

    sql: str
    values: dict[str, Any] = field(default_factory=dict)
    keys: list[Key] = field(default_factory=list)


def compile_filter(written: str, fields: Fields, parameter: str = "filter") -> Compiled:
    """The condition that `written` says. Where a field has no value, a comparison with it is false.

    Args:
        written: the filter.
        fields: what it may name.
        parameter: of the request, for errors.

    Raises:
        InvalidRequest: not a filter; the message shows where.
    """
    compiler = _Compiler(written, fields, parameter)
    try:
        compiler.result.sql = compiler.condition(compiler.tree())
    except RecursionError:
        raise compiler.mistake("it is nested too deeply") from None
    return compiler.result


@dataclass(frozen=True)
class Order:
    """What a list is sorted by: an SQL expression that is NULL where there is nothing to sort by, and its kind."""

    sql: str
    kind: Kind
    descending: bool
    compiled: Compiled


def compile_sort(written: str, fields: Fields) -> Order:
    """What `written` (`-metrics.validation_loss`; a leading `-` for descending) sorts by.

    Raises:
        InvalidRequest: nothing that can be sorted by.
    """
    name = written.removeprefix("-")
    compiler = _Compiler(name, fields, "sort")
    tree = compiler.tree()
    found = compiler.named(tree) if isinstance(tree, ast.Name | ast.Attribute | ast.Subscript) else None
    if found is None or (isinstance(found, Column) and found.kind == "texts"):
        raise compiler.mistake(f"sort by one field; choose one of: {', '.join(fields.names)}", tree)
    column = found if isinstance(found, Column) else compiler.taken(found, "number")
    return Order(column.sql, column.kind, written.startswith("-"), compiler.result)


class _Compiler:
    def __init__(self, written: str, fields: Fields, parameter: str) -> None:
        self._written, self._fields, self._parameter = written.strip(), fields, parameter
        self.result = Compiled("")

    def mistake(self, message: str, node: ast.AST | None = None) -> InvalidRequest:
        column = getattr(node, "col_offset", None)
        if column:  # in bytes of UTF-8
            column = len(self._written.encode()[:column].decode(errors="ignore"))
        where = f"at {self._written[column : column + 40]!r}: " if column is not None else ""
        return InvalidRequest(FieldProblem(self._parameter, where + message))

    def tree(self) -> ast.expr:
        if not self._written or len(self._written) > MOST:
            raise self.mistake(f"write 1 to {MOST} characters")
        if re.search(r"[\x00-\x1f\\]", self._written):
            raise self.mistake("it has a backslash or a control character")
        try:
            self._written.encode()
            with _parsing:
                return ast.parse(self._written, mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise self.mistake(f"cannot be read; {_hint(self._written)}") from None

    def condition(self, node: ast.expr) -> str:
        match node:
            case ast.BoolOp(op=op, values=parts):
                word = " AND " if isinstance(op, ast.And) else " OR "
                return "(" + word.join(self.condition(part) for part in parts) + ")"
            case ast.UnaryOp(op=ast.Not(), operand=part):
                return f"NOT coalesce({self.condition(part)}, FALSE)"
            case ast.Compare(left=left, ops=signs, comparators=rights):
                sides = [left, *rights]
                pairs = zip(sides, signs, sides[1:], strict=False)
                return "(" + " AND ".join(self._comparison(*pair) for pair in pairs) + ")"
            case ast.Name() | ast.Attribute() | ast.Subscript():
                found = self.named(node)
                if isinstance(found, Column) and found.kind != "bool":
                    raise self.mistake(f"compare it with something: {_hint('')}", node)
                return found.sql if isinstance(found, Column) else self.taken(found, "bool").sql
        raise self.mistake(f"this is no comparison; {_hint('')}", node)

    # --- comparisons --------------------------------------------------------------------------------

    def _comparison(self, left: ast.expr, sign: ast.cmpop, right: ast.expr) -> str:
        if isinstance(sign, ast.In | ast.NotIn):
            found = self._membership(left, right)
            return found if isinstance(sign, ast.In) else f"NOT coalesce({found}, FALSE)"
        if _is_none(right) and isinstance(sign, ast.Is | ast.Eq | ast.IsNot | ast.NotEq):
            return f"{self._present(left)} IS {'NOT ' if isinstance(sign, ast.IsNot | ast.NotEq) else ''}NULL"
        symbol = _SIGNS.get(type(sign))
        if symbol is None:
            raise self.mistake("`is` is for None; write == or != to compare", left)
        if _is_named(left) and _is_named(right):
            return self._between_fields(left, symbol, right)
        if _is_named(right):
            left, right, symbol = right, left, _TURNED[symbol]
        if not _is_named(left):
            raise self.mistake(f"neither side is a field; {_hint('')}", left)
        value, kind = self._literal(right)
        column = self._typed(left, kind, right)
        if symbol not in ("=", "<>") and column.kind in ("bool", "id", "texts"):
            raise self.mistake("can only be equal or not", left)
        bound = self._bind(self._converted(value, column, right), SQL_TYPES[column.kind])
        return f"{column.sql} IS DISTINCT FROM {bound}" if symbol == "<>" else f"{column.sql} {symbol} {bound}"

    def _between_fields(self, left: ast.expr, symbol: str, right: ast.expr) -> str:
        sides = [self.named(left), self.named(right)]
        kinds = {side.kind for side in sides if isinstance(side, Column)} or {"number"}
        if len(kinds) > 1 or "texts" in kinds:
            raise self.mistake("the two fields cannot be compared with each other", left)
        kind = kinds.pop()
        one, other = (side if isinstance(side, Column) else self.taken(side, kind) for side in sides)
        return f"{one.sql} IS DISTINCT FROM {other.sql}" if symbol == "<>" else f"{one.sql} {symbol} {other.sql}"

    def _membership(self, left: ast.expr, right: ast.expr) -> str:
        if _is_named(right):  # "a word" in name
            value, kind = self._literal(left)
            column = self._typed(right, "text", left)
            if kind != "text" or column.kind not in ("text", "texts"):
                raise self.mistake(f"`in` looks for text in text, or in a list: {_hint('')}", left)
            bound = self._bind(value, "text")
            if column.kind == "texts":
                return f"{bound} = ANY({column.sql})"
            return f"position(lower({bound}) IN lower({column.sql})) > 0"
        if not (_is_named(left) and isinstance(right, ast.List | ast.Tuple) and right.elts):
            raise self.mistake('after `in` write a list: family in ["relu", "gelu"]', right)
        kinds = {self._literal(item)[1] for item in right.elts}
        if len(kinds) > 1:
            raise self.mistake("the list mixes kinds of values", right)
        column = self._typed(left, kinds.pop(), right.elts[0])
        values = [self._converted(self._literal(item)[0], column, item) for item in right.elts]
        return f"{column.sql} = ANY({self._bind(values, SQL_TYPES[column.kind] + '[]')})"

    # --- sides ---------------------------------------------------------------------------------------

    def named(self, node: ast.expr) -> Column | Key:
        path = self._path(node)
        name = ".".join(path)
        if name in self._fields.columns:
            return self._fields.columns[name]
        if path[0] in self._fields.documents and len(path) > 1:
            return Key(path[0], ".".join(path[1:]))
        raise self.mistake(unknown("field", name, self._fields.names), node)

    def _path(self, node: ast.expr) -> list[str]:
        match node:
            case ast.Name(id=name):
                return [name]
            case ast.Attribute(value=before, attr=name):
                return [*self._path(before), name]
            case ast.Subscript(value=before, slice=ast.Constant(value=str(name))):
                return [*self._path(before), name]
        raise self.mistake(f"this is no field; {_hint('')}", node)

    def taken(self, key: Key, kind: Kind) -> Column:
        """The value of a JSON column, where it is of this kind."""
        found = self._found(key)
        types = {"number": "number", "text": "string", "bool": "boolean"}
        if kind not in types:
            raise self.mistake(f"{key.document}.{key.name} cannot be compared with that")
        value = f"CAST({found} #>> '{{}}' AS {SQL_TYPES[kind]})"
        return Column(f"CASE WHEN jsonb_typeof({found}) = '{types[kind]}' THEN {value} END", kind)

    def _found(self, key: Key) -> str:
        self.result.keys.append(key)
        column = self._fields.documents[key.document]
        whole = f"{column} -> {self._bind(key.name, 'text')}"
        if "." not in key.name:
            return f"({whole})"
        return f"coalesce({whole}, {column} #> {self._bind(key.name.split('.'), 'text[]')})"

    def _present(self, node: ast.expr) -> str:
        if not _is_named(node):
            raise self.mistake("only a field can be None", node)
        found = self.named(node)
        return found.sql if isinstance(found, Column) else f"nullif({self._found(found)}, 'null')"

    def _typed(self, node: ast.expr, kind: Kind, value: ast.expr) -> Column:
        """The field, where a value of this kind can be compared with it."""
        found = self.named(node)
        if isinstance(found, Key):
            return self.taken(found, kind)
        if kind != found.kind and not (kind == "text" and found.kind in ("time", "id", "texts")):
            raise self.mistake(f"{'.'.join(self._path(node))} is compared with {_WORDS[found.kind]}", value)
        return found

    def _literal(self, node: ast.expr) -> tuple[Any, Kind]:
        sign = 1
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            node, sign = node.operand, -1
        match node:
            case ast.Constant(value=bool(value)) if sign == 1:
                return value, "bool"
            case ast.Constant(value=int(number) | float(number)) if not isinstance(number, bool):
                if abs(number) > 1e300 or not math.isfinite(number):
                    raise self.mistake("the number is too large", node)
                return sign * float(number), "number"
            case ast.Constant(value=str(value)) if sign == 1:
                return value, "text"
            case ast.Name(id=name):
                self.named(node)
                raise self.mistake(f"{name} is a field; a value stands here", node)
        raise self.mistake("write a number, text in quotes, True, False or None", node)

    def _converted(self, value: Any, column: Column, node: ast.expr) -> Any:
        if column.choices and value not in column.choices:
            raise self.mistake(unknown("value", str(value), column.choices), node)
        try:
            if column.kind == "time":
                moment = datetime.fromisoformat(value)
                return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            return UUID(value) if column.kind == "id" else value
        except ValueError:
            raise self.mistake(f"write {_WORDS[column.kind]}", node) from None

    def _bind(self, value: Any, sql_type: str) -> str:
        name = f"{self._parameter}_{len(self.result.values)}"
        self.result.values[name] = value
        return f"CAST(:{name} AS {sql_type})"


def _is_named(node: ast.expr) -> bool:
    return isinstance(node, ast.Name | ast.Attribute | ast.Subscript)


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _hint(written: str) -> str:
    if re.search(r"(?<![=!<>])=(?!=)", written):
        return "write == to compare"
    if re.search(r"\b(AND|OR|NOT|IN|LIKE|NULL|IS)\b", written):
        return 'write and, or, not, in in small letters, None for what is missing, and "word" in name to look for text'
    return 'write like: metrics.validation_accuracy > 0.9 and family in ["relu", "gelu"]'
