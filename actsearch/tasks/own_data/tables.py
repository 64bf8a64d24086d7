"""Own data in a table, csv or parquet: every column that is not a target is a feature, unless the request says more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from actsearch.errors import FieldProblem, InvalidRequest
from actsearch.tasks.own_data import frames
from actsearch.tasks.own_data.delimited import read_texts
from actsearch.tasks.own_data.faults import DataFault
from actsearch.tasks.own_data.marks import COMMA, POINT
from actsearch.tasks.own_data.options import Reading
from actsearch.tasks.own_data.places import Place, refuse
from actsearch.tasks.own_data.raw import Raw, Samples
from actsearch.tasks.own_data.typed import TypedTable, typed
from actsearch.tasks.splits import Array

if TYPE_CHECKING:
    import pandas as pd

_ALIKE = 1 - 1e-9
_OWN_LIST = ("one_hot", "ordinal", "dates")


@dataclass(frozen=True)
class Roles:
    """What the columns of a table are for.

    Args:
        features, targets: names.
        group: name, or empty.
        notes: what was guessed.
    """

    features: tuple[str, ...]
    targets: tuple[str, ...]
    group: str
    notes: tuple[str, ...]

    @property
    def used(self) -> list[str]:
        """Every column that is needed."""
        return [*self.features, *self.targets, *([self.group] if self.group else [])]


def read_table(place: Place, how: Reading) -> Raw:
    """The table's columns; the target is the column asked for, or the last one.

    Raises:
        InvalidRequest: naming the file, the column, the row and the value at fault, or the parameter.
    """
    try:
        return _read(place, how)
    except DataFault as fault:
        raise refuse(f"{place.shown}: {fault}", fault.allowed) from fault


def _read(place: Place, how: Reading) -> Raw:
    if place.format == "parquet":
        frame = _parquet(place)
        notes: list[str] = []
        roles = roles_of([*frame.columns], place.column, how)
        table = TypedTable(frame[roles.used], {}, ())
    else:
        texts, separator, notes = read_texts(place.path, how)
        texts, empty = _without_empty(texts)
        _check_shape([*texts.columns], len(texts))
        _check_header(texts)
        roles = roles_of([*texts.columns], place.column, how)
        plain = [name for name in roles.used if name == roles.group or _is_listed(name, how)]
        table = typed(texts[roles.used], plain, roles.targets, how, separator)
        notes += [*empty, *_unused_words(texts, how)]
    _check_shape([*map(str, roles.used)], len(table.frame))
    samples, more = samples_of(table, roles, how)
    shown = ", ".join(map(repr, roles.targets))
    target = f"column{'s' if len(roles.targets) > 1 else ''} {shown}"
    said = (*notes, *roles.notes, *more)
    return Raw(place.shown, {"train": samples}, "feature columns", target, notes=said, group=f"column {how.group!r}")


def roles_of(columns: Sequence[str], column: str | None, how: Reading) -> Roles:
    """Which column is what.

    Args:
        columns: of the table.
        column: the target that the task's name asks for.
        how: `targets`, `columns`, `leave_out`, `group`.

    Raises:
        DataFault: if there is no such target.
        InvalidRequest: naming the parameter that names a column which is not there.
    """
    _check_names(columns, how)
    notes = []
    if column is not None and column not in columns:
        raise DataFault(f"no column {column!r}", columns)
    targets = (column,) if column else how.targets
    if not targets:
        free = [name for name in columns if name not in (*how.leave_out, how.group)]
        if not free:
            raise DataFault("has no column left that could be the target; shorten `leave_out`")
        targets = (free[-1],)
        notes.append(f"the target is the last column, {free[-1]!r}; name another as data:<file>:<column>")
    chosen = how.columns or columns
    others = {*targets, *how.targets, *how.leave_out, how.group}
    if both := [name for name in how.columns if name in (*targets, *how.targets)]:
        raise DataFault(f"column {both[0]!r} is a target and in `columns`; take it out of one of them")
    if how.group in targets:
        raise DataFault(f"column {how.group!r} is a target and `group`; take it out of one of them")
    return Roles(tuple(name for name in chosen if name not in others), targets, how.group, tuple(notes))


def samples_of(table: TypedTable, roles: Roles, how: Reading) -> tuple[Samples, list[str]]:
    """Inputs, targets and groups of a table, and notes.

    Raises:
        DataFault: naming column, row and value.
    """
    frame, notes = table.frame, [*table.notes]
    if how.when_missing == "drop":
        whole = frame.notna().all(axis=1)
        if not whole.all():
            notes.append(f"{int((~whole).sum())} of {len(frame)} rows have missing values and are left out")
        frame = frame[whole]
    if not roles.features:
        raise DataFault("needs a target and at least one feature, each column with a name of its own")
    made = frames.features(frame[[*roles.features]], how, table.missing)
    ys = [frames.target(frame[name], how, table.missing.get(name)) for name in roles.targets]
    notes += [*made.notes, *frames.suspects(frame[[*roles.features]]), *_alike(made, ys[0], roles.targets[0])]
    groups = None
    if roles.group:
        groups = frames.target(frame[roles.group], None, table.missing.get(roles.group))
    return Samples(made.values, ys[0] if len(ys) == 1 else _together(ys, roles.targets), groups), notes


def _together(targets: Sequence[Array], names: Sequence[str]) -> Array:
    """Several targets of numbers as (N, T)."""
    for name, values in zip(names, targets, strict=True):
        if values.dtype.kind not in "iuf":
            raise DataFault(f"column {name!r} holds classes; several targets at once must all be numbers")
    return np.stack([values.astype(np.float64) for values in targets], axis=1)


def _alike(made: frames.Features, y: Array, target: str) -> list[str]:
    """Notes on features from which the target follows by a straight line: they may be targets themselves."""
    if y.dtype.kind not in "iuf" or len(y) < 3 or np.ptp(y) == 0:
        return []
    wanted = y - y.astype(np.float64).mean()
    notes = []
    for name, column in zip(made.names, made.values.T, strict=True):
        apart = column - column.mean()
        size = np.linalg.norm(apart) * np.linalg.norm(wanted)
        if size > 0 and abs(apart @ wanted) > _ALIKE * size:
            notes.append(f"column {name!r} gives away the target {target!r}; name it in `leave_out` if it is one too")
    return notes


def _is_listed(name: str, how: Reading) -> bool:
    specs = [spec for listed in _OWN_LIST for spec in getattr(how, listed)]
    return any(spec == name or spec.startswith(f"{name}:") for spec in specs)


def _check_names(columns: Sequence[str], how: Reading) -> None:
    """Every column that a parameter names must be there."""
    wanted = {name: getattr(how, name) for name in ("targets", "columns", "leave_out", *_OWN_LIST)}
    wanted["group"] = (how.group,) if how.group else ()
    problems = [
        FieldProblem(field, f"no column {spec!r}; there are: {', '.join(columns)}", tuple(columns))
        for field, specs in wanted.items()
        for spec in specs
        if not (spec == "*" and field in ("one_hot", "ordinal"))
        and not any(spec == name or (field in _OWN_LIST and spec.startswith(f"{name}:")) for name in columns)
    ]
    if problems:
        raise InvalidRequest(*problems)


def _without_empty(texts: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Without columns that have neither a name nor a value, as a separator at the end of each line makes them."""
    empty = [name for name in texts.columns if name.startswith("Unnamed: ") and (texts[name] == "").all()]
    notes = [f"{len(empty)} empty columns without a name are left out"] if empty and len(texts) else []
    return (texts.drop(columns=empty) if len(texts) else texts), notes


def _check_shape(columns: Sequence[str], rows: int) -> None:
    if len(columns) < 2 or len(set(columns)) < len(columns):
        raise DataFault("needs a target and at least one feature, each column with a name of its own")
    if not rows:
        raise DataFault("has no rows")
    unnamed = [number for number, name in enumerate(columns, 1) if name.startswith("Unnamed: ")]
    if unnamed:
        raise DataFault(f"column {unnamed[0]} has no name; drop it if it is a row number, or name it")


def _unused_words(texts: pd.DataFrame, how: Reading) -> list[str]:
    """Notes on words for missing values that are nowhere, perhaps because they are written otherwise: -999, -999.0."""
    unused = [word for word in how.missing if not (texts == word).any(axis=None)]
    return [f"`missing`: no field is {word!r}; texts are compared as they are written" for word in unused]


def _check_header(texts: pd.DataFrame) -> None:
    """Names that are numbers, or values of their columns, are no names: the file has no header."""
    names = [*texts.columns]
    numbers = [name for name in names if _is_number(name)]
    words = [name for name in names if not _is_number(name)]
    if numbers and all((texts[name] == name).any() for name in words):
        raise DataFault(f"the first row holds values ({', '.join(names[:4])} ...), not names; add a row of names")


def _is_number(text: str) -> bool:
    return POINT.number(text) is not None or COMMA.number(text) is not None


def _parquet(place: Place) -> pd.DataFrame:
    try:
        import pyarrow.parquet as pq  # type: ignore[import-untyped,import-not-found,unused-ignore]
    except ImportError:
        raise DataFault("reading parquet needs pyarrow; `pip install pyarrow` where workers run") from None
    import pandas as pd
    import pyarrow as pa  # type: ignore[import-untyped,import-not-found,unused-ignore]

    try:
        table: pd.DataFrame = pq.ParquetFile(place.path).read().to_pandas()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataFault(f"is not a readable parquet file ({error})") from error
    if any(name is not None for name in table.index.names):
        table = table.reset_index()
    table.columns = pd.Index([str(name) for name in table.columns])
    return table.set_axis(pd.RangeIndex(1, len(table) + 1))
