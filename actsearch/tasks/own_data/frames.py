"""From the columns of a frame to arrays of numbers, whatever types the columns have.

For frames of pandas (with types of NumPy, nullable ones, categories, types of pyarrow), of polars, and for tables of
pyarrow, read from a file or given to `actsearch.search`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from actsearch.tasks.own_data.categories import dated, one_hot, ordered
from actsearch.tasks.own_data.faults import DataFault
from actsearch.tasks.own_data.options import Reading
from actsearch.tasks.splits import Array

if TYPE_CHECKING:
    import pandas as pd

LEAST_ROWS_OF_AN_IDENTIFIER = 20
_IDENTIFIER = re.compile(r"(?:.*[^a-z])?(?:id|ids|uuid|guid|index|idx|key|nr|no|number|row|unnamed)", re.IGNORECASE)
_EVERY_TEXT = "*"


@dataclass(frozen=True)
class Features:
    """Columns as numbers.

    Args:
        values: (N, D), 64-bit floats.
        names: of the D features; one that was made of a category is `column=category`.
        notes: what was decided, and columns that look like identifiers or hold one value.
    """

    values: Array
    names: tuple[str, ...]
    notes: tuple[str, ...]


def is_frame(data: object) -> bool:
    """Whether this is a frame, a column of one, or a table of pyarrow."""
    return hasattr(data, "to_pandas") or type(data).__module__.partition(".")[0] == "pandas"


def as_frame(data: Any) -> pd.DataFrame:
    """A frame, a column or a table as a frame of pandas, whose columns keep their types."""
    import pandas as pd

    if type(data).__module__.startswith("polars") and not hasattr(data, "columns"):
        data = data.to_frame()
    if type(data).__module__.startswith("polars"):
        return pd.DataFrame({name: data[name].to_list() for name in data.columns})
    found = data.to_pandas() if hasattr(data, "to_pandas") else data
    return found.to_frame() if isinstance(found, pd.Series) else found


def features(frame: pd.DataFrame, how: Reading | None = None, missing: Mapping[str, str] | None = None) -> Features:
    """All columns of a frame as features.

    Args:
        frame: of numbers and truth values; and of categories and dates that `how` names.
        how: what becomes of categories and dates (`one_hot`, `ordinal`, `dates`); None for a frame that has none.
        missing: by column, the text that a missing value was written as, for errors.

    Raises:
        DataFault: naming the column, the row and the value that is missing, infinite or not a number.
    """
    asked, texts = how or Reading(), missing or {}
    names, arrays, notes = [], [], []
    for position, name in enumerate(map(str, frame.columns)):
        column = frame.iloc[:, position]
        _check_filled(column, name, texts.get(name))
        made, labels, note = _feature(column, name, asked, given=how is not None)
        arrays.append(made)
        names += labels
        notes += note
    if not arrays:
        raise DataFault("has no column that is a feature; give at least one beside the target")
    return Features(np.concatenate(arrays, axis=1), tuple(names), tuple(notes))


def target(column: pd.Series, how: Reading | None = None, missing: str | None = None) -> Array:
    """A column of targets (N,): whole numbers, truth values, 64-bit floats, or classes as texts.

    Args:
        column: numbers, truth values, texts or categories; or dates that `how` names.
        how: which columns are dates.
        missing: the text that a missing value was written as, for errors.

    Raises:
        DataFault: naming the row of a missing value, or the type that cannot be a target.
    """
    from pandas.api import types

    name = str(column.name)
    _check_filled(column, name, missing)
    if how is not None and (spec := _named(how.dates, name)) is not None:
        return dated(column, spec)[:, 0]
    if str(column.dtype) == "category":
        return column.astype(str).to_numpy(dtype=str)
    if types.is_bool_dtype(column):
        return column.to_numpy(dtype=bool)
    if types.is_integer_dtype(column):
        return column.to_numpy(dtype=np.uint64 if str(column.dtype).lower().startswith("uint64") else np.int64)
    if (numbers := _numbers(column, name)) is not None:
        return numbers
    if types.is_datetime64_any_dtype(column):
        raise DataFault(f"column {name!r} holds dates; name it in `dates` to forecast days since 1970")
    return column.astype(str).to_numpy(dtype=str)


def suspects(frame: pd.DataFrame) -> list[str]:
    """Notes on columns of whole numbers that look like identifiers, not like measurements."""
    from pandas.api import types

    notes = []
    for name in frame.columns:
        column = frame[name]
        if not types.is_integer_dtype(column) or len(column) < LEAST_ROWS_OF_AN_IDENTIFIER:
            continue
        called, unique = bool(_IDENTIFIER.fullmatch(str(name))), column.is_unique
        if unique and (called or column.is_monotonic_increasing or column.is_monotonic_decreasing):
            reason = "each row has its own whole number" + ("" if called else ", in sorted order")
            notes.append(f"column {name!r} looks like an identifier ({reason}); name it in `leave_out` if it is one")
        elif called and not unique and column.nunique() > 2:
            notes.append(
                f"column {name!r} may name groups ({column.nunique()} different numbers in {len(column)} rows); "
                "name it in `group` if its rows belong together, or in `leave_out`"
            )
    return notes


def _feature(column: pd.Series, name: str, how: Reading, *, given: bool) -> tuple[Array, list[str], list[str]]:
    """The column as (N, k), the names of the k features, and notes."""
    if (spec := _named(how.dates, name)) is not None:
        return dated(column, spec), [name], [f"column {name!r} is in days since 1970-01-01"]
    if name in how.one_hot:
        return one_hot(column)
    if (spec := _named(how.ordinal, name)) is not None:
        return ordered(column, spec)
    numbers = _numbers(column, name)
    if numbers is None and _is_text(column):
        if _EVERY_TEXT in how.one_hot:
            return one_hot(column)
        if _EVERY_TEXT in how.ordinal:
            return ordered(column, "")
    if numbers is None:
        raise _not_numbers(column, name, given=given)
    if not np.isfinite(numbers).all():
        at = int(np.flatnonzero(~np.isfinite(numbers))[0])
        raise DataFault(f"column {name!r} has an infinite value in {_row(column, at)}; correct or drop the row")
    constant = len(numbers) > 1 and bool((numbers == numbers[0]).all())
    return numbers[:, None], [name], [f"column {name!r} holds the same value in every row"] if constant else []


def _numbers(column: pd.Series, name: str) -> Array | None:
    """A column of numbers or truth values as 64-bit floats (N,); None if it is something else."""
    from pandas.api import types

    if types.is_bool_dtype(column) or (types.is_numeric_dtype(column) and not types.is_complex_dtype(column)):
        return None if str(column.dtype) == "category" else column.to_numpy(dtype=np.float64)
    kind = types.infer_dtype(column)
    if kind in ("integer", "floating", "mixed-integer-float", "decimal", "boolean"):
        return column.astype(float).to_numpy()
    if "decimal" in str(column.dtype):
        return column.astype(object).astype(float).to_numpy()
    if kind in ("mixed", "mixed-integer") and all(_is_number(value) for value in column):
        return column.astype(float).to_numpy()
    return None


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.integer | np.floating | np.bool_)


def _is_text(column: pd.Series) -> bool:
    from pandas.api import types

    return str(column.dtype) == "category" or types.infer_dtype(column) == "string"


def _not_numbers(column: pd.Series, name: str, *, given: bool) -> DataFault:
    from pandas.api import types

    kind = types.infer_dtype(column)
    at, value = next(((at, value) for at, value in enumerate(column) if not _is_number(value)), (0, column.iloc[0]))
    where = f"({str(value)[:30]!r} in {_row(column, at)})"
    if "date" in kind or "time" in kind:
        what, fix = "dates or times", "name it in `dates`" if given else "turn it into numbers, such as days"
    elif str(column.dtype) == "category":
        what, fix = "categories", "name it in `one_hot` or `ordinal`" if given else "encode it (pandas.get_dummies)"
    else:
        what = "text or objects"
        fix = "name it in `one_hot`, `ordinal` or `dates`" if given else "encode it (pandas.get_dummies)"
    tail = " or leave it out (`leave_out`)" if given else " or drop it"
    return DataFault(f"column {name!r} holds {what} {where}, not numbers; {fix},{tail}")


def _check_filled(column: pd.Series, name: str, written: str | None) -> None:
    empty = np.flatnonzero(column.isna().to_numpy())
    if len(empty):
        shown = f" ({written!r})" if written else ""
        raise DataFault(
            f"column {name!r} has {len(empty)} empty values, the first in {_row(column, int(empty[0]))}{shown}; "
            "fill them, drop these rows (`when_missing`: drop), or leave the column out"
        )


def _row(column: pd.Series, position: int) -> str:
    label = column.index[position]
    return f"data row {label}" if isinstance(label, int | np.integer) else f"row {label!r}"


def _named(specs: Sequence[str], name: str) -> str | None:
    """What a list says of a column: what follows `name:`, nothing if it is just named, None if it is not there."""
    for spec in specs:
        if spec == name:
            return ""
        if spec.startswith(f"{name}:"):
            return spec[len(name) + 1 :].strip()
    return None
