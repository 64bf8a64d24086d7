"""Categories and dates as numbers, in the way that the request asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from actsearch.tasks.own_data.faults import DataFault
from actsearch.tasks.splits import Array

if TYPE_CHECKING:
    import pandas as pd

MOST_CATEGORIES = 1000
_DAY = np.timedelta64(1, "D")


def one_hot(column: pd.Series) -> tuple[Array, list[str], list[str]]:
    """A 0 or 1 for each category (N, k), their names `column=category`, and no note.

    Raises:
        DataFault: if there are more than `MOST_CATEGORIES`.
    """
    categories = _categories(column)
    if len(categories) > MOST_CATEGORIES:
        raise DataFault(
            f"column {column.name!r} has {len(categories)} categories, too many for `one_hot` (at most "
            f"{MOST_CATEGORIES}); leave it out, or group them"
        )
    values = _texts(column)
    return (
        np.stack([values == each for each in categories], axis=1).astype(np.float64),
        [f"{column.name}={each}" for each in categories],
        [],
    )


def ordered(column: pd.Series, order: str) -> tuple[Array, list[str], list[str]]:
    """The place of each category in an order (N, 1), the name, and a note on the order if it was not given.

    Args:
        column: of categories.
        order: `small < medium < large`; empty for the order of the type, of numbers or of the alphabet.

    Raises:
        DataFault: if a category is not in the order.
    """
    given = [each.strip() for each in order.split("<")] if order else []
    categories = given or _categories(column)
    place = {each: float(at) for at, each in enumerate(categories)}
    values = _texts(column)
    strange = np.flatnonzero([value not in place for value in values])
    if len(strange):
        at = int(strange[0])
        raise DataFault(
            f"column {column.name!r} holds {values[at]!r} in data row {column.index[at]}, which the order {order!r} "
            "lacks; add it"
        )
    shown = " < ".join(categories[:10]) + (" < ..." if len(categories) > 10 else "")
    say = f"say another by ordinal: ['{column.name}: first < second']"
    note = [] if given else [f"column {column.name!r} is read in the order {shown}; {say}"]
    return np.array([place[value] for value in values])[:, None], [str(column.name)], note


def dated(column: pd.Series, date_format: str) -> Array:
    """Dates and times as days since 1970-01-01, UTC; spans of time as days (N, 1).

    Args:
        column: of dates, times, spans of time, or texts.
        date_format: of texts, as `strptime` takes it; empty for ISO 8601 (2024-03-31, 2024-03-31T12:00).

    Raises:
        DataFault: naming the row of the first text that is not a date of this format.
    """
    import pandas as pd
    from pandas.api import types

    if types.is_timedelta64_dtype(column):
        return (column.to_numpy() / _DAY).astype(np.float64)[:, None]
    texts = column if types.is_datetime64_any_dtype(column) else column.astype(str)
    parsed = pd.to_datetime(texts, format=date_format or "ISO8601", errors="coerce", utc=True)
    bad = np.flatnonzero(parsed.isna().to_numpy())
    if len(bad):
        at = int(bad[0])
        wanted = f"a date written {date_format}" if date_format else "a date such as 2024-03-31"
        raise DataFault(
            f"column {column.name!r} holds {str(column.iloc[at])!r} in data row {column.index[at]}, which is not "
            f"{wanted}; say the format: dates: ['{column.name}: %d.%m.%Y']"
        )
    since = parsed.dt.tz_localize(None).to_numpy() - np.datetime64("1970-01-01")
    return (since / _DAY).astype(np.float64)[:, None]


def _texts(column: pd.Series) -> Array:
    return np.array([str(value) for value in column], dtype=object)


def _categories(column: pd.Series) -> list[str]:
    """In the order that the type has, else of numbers, else of the alphabet; those that occur."""
    if str(column.dtype) == "category":
        return [str(each) for each in column.cat.remove_unused_categories().cat.categories]
    different = column.unique().tolist()
    try:
        return [str(each) for each in sorted(different, key=float)]
    except (TypeError, ValueError):
        return sorted(map(str, different))
