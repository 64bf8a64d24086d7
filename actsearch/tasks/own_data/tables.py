"""Own data in a table, csv or parquet: every column but the target is a feature."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from actsearch.tasks.own_data.places import Place, refuse
from actsearch.tasks.own_data.raw import Raw, Samples
from actsearch.tasks.splits import Array

if TYPE_CHECKING:
    import pandas as pd


def read_table(place: Place) -> Raw:
    """The table's columns; the target is the column asked for, or the last one.

    Raises:
        InvalidRequest: naming the file and the column that is missing, empty in places or not of numbers.
    """
    table = _csv(place) if place.format == "csv" else _parquet(place)
    columns = [str(name) for name in table.columns]
    target = place.column or columns[-1]
    if target not in columns:
        raise refuse(f"{place.shown}: no column {target!r}", tuple(columns))
    _check_shape(place, columns, len(table))
    table.columns = columns
    x = np.stack([_feature(place, table[name]) for name in columns if name != target], axis=1)
    samples = Samples(x, _target(place, table[target]))
    return Raw(place.shown, {"train": samples}, "feature columns", f"column {target!r}")


def _check_shape(place: Place, columns: list[str], rows: int) -> None:
    if len(columns) < 2 or len(set(columns)) < len(columns):
        raise refuse(f"{place.shown}: needs a target and at least one feature, each column with a name of its own")
    if not rows:
        raise refuse(f"{place.shown}: has no rows")
    unnamed = [number for number, name in enumerate(columns, 1) if name.startswith("Unnamed: ")]
    if unnamed:
        raise refuse(f"{place.shown}: column {unnamed[0]} has no name; drop it if it is a row number, or name it")
    if all(_is_number(name) for name in columns):
        raise refuse(f"{place.shown}: the first row holds numbers ({columns[0]} ...), not names; add a row of names")


def _is_number(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True


def _csv(place: Place) -> pd.DataFrame:
    import pandas as pd

    try:
        table = pd.read_csv(place.path, skipinitialspace=True, low_memory=False)
    except (ValueError, OSError, pd.errors.ParserError) as error:
        raise refuse(f"{place.shown}: is not a readable csv file ({error})") from error
    if not table.index.equals(pd.RangeIndex(len(table))):  # pandas takes the surplus for row names
        raise refuse(f"{place.shown}: rows have more values than the first row has names")
    return table


def _parquet(place: Place) -> pd.DataFrame:
    try:
        import pyarrow.parquet as pq  # type: ignore[import-untyped,import-not-found,unused-ignore]
    except ImportError:
        raise refuse(f"{place.shown}: reading parquet needs pyarrow; `pip install pyarrow` where workers run") from None
    import pyarrow as pa  # type: ignore[import-untyped,import-not-found,unused-ignore]

    try:
        table: pd.DataFrame = pq.ParquetFile(place.path).read().to_pandas()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise refuse(f"{place.shown}: is not a readable parquet file ({error})") from error
    return table


def _feature(place: Place, column: pd.Series) -> Array:
    _check_filled(place, column)
    values = np.asarray(column)
    if values.dtype.kind not in "iufb":
        example = str(values[0])[:30]
        raise refuse(f"{place.shown}: column {column.name!r} holds text or objects ({example!r}); turn it into numbers")
    return values.astype(np.float64)


def _target(place: Place, column: pd.Series) -> Array:
    _check_filled(place, column)
    values = np.asarray(column)
    return values.astype(str) if values.dtype.kind in "OT" else values


def _check_filled(place: Place, column: pd.Series) -> None:
    empty = np.flatnonzero(np.asarray(column.isna()))
    if len(empty):
        message = f"column {column.name!r} has {len(empty)} empty values, the first in data row {empty[0] + 1}"
        raise refuse(f"{place.shown}: {message}; fill or drop them")
