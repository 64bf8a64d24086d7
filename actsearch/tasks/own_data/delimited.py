"""A text file of columns as a frame of texts: encoding, separator and names are found out here, numbers are not."""

from __future__ import annotations

import codecs
import csv
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from actsearch.tasks.own_data.faults import DataFault
from actsearch.tasks.own_data.options import AUTO, SEPARATORS, Reading

if TYPE_CHECKING:
    import pandas as pd

_LOOKED_AT = 200
_USUAL = "comma"


def read_texts(path: Path, how: Reading) -> tuple[pd.DataFrame, str, list[str]]:
    """Every field as text, without spaces around it; the index counts data rows from 1.

    Args:
        path: of the file, whose first row holds the names of the columns.
        how: `encoding` and `separator`.

    Returns:
        The frame, the separator and notes on what was guessed.

    Raises:
        DataFault: if the encoding or the separator cannot be told, names repeat, or a row is too long.
    """
    import pandas as pd

    encoding = _encoding(path, how.encoding)
    try:
        first = _first_rows(path, encoding)
        separator = SEPARATORS.get(how.separator) or _separator(first)
        table = pd.read_csv(
            path, sep=separator, encoding=encoding, dtype=object, na_filter=False, skipinitialspace=True,
            low_memory=False,
        )  # fmt: skip
    except UnicodeDecodeError as error:
        hint = "say its `encoding`, such as cp1252 or latin-1"
        raise DataFault(f"is not a readable csv file: byte {error.start} is not {error.encoding}; {hint}") from error
    except (ValueError, OSError, csv.Error, pd.errors.ParserError) as error:
        raise DataFault(f"is not a readable csv file ({error})") from error
    if not table.index.equals(pd.RangeIndex(len(table))):  # pandas takes the surplus for row names
        raise DataFault("rows have more values than the first row has names")
    _check_names(next(csv.reader(first, delimiter=separator, skipinitialspace=True)))
    table.columns = pd.Index([str(name).strip() for name in table.columns])
    table.index = pd.RangeIndex(1, len(table) + 1)
    table = table.fillna("").map(str.strip).astype(object)  # missing in short rows
    told = next(name for name, mark in SEPARATORS.items() if mark == separator)
    guessed = how.separator == AUTO and told != _USUAL
    return table, separator, [f"columns are separated by a {told}"] if guessed else []


def _encoding(path: Path, asked: str) -> str:
    if asked != AUTO:
        return asked
    with path.open("rb") as stream:
        start = stream.read(4)
    return "utf-16" if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) else "utf-8-sig"


def _first_rows(path: Path, encoding: str) -> list[str]:
    with path.open(encoding=encoding, newline="") as stream:
        return [line for line in islice(stream, _LOOKED_AT) if line.strip()]


def _separator(lines: list[str]) -> str:
    """What splits every row into as many fields as the first, which are more than one."""
    widths = {name: _widths(lines, mark) for name, mark in SEPARATORS.items()}
    even = [name for name, found in widths.items() if found and found[0] > 1 and len(set(found)) == 1]
    if len(even) > 1:
        raise DataFault(f"columns may be separated by a {' or by a '.join(even)}; say `separator`", even)
    if even:
        return SEPARATORS[even[0]]
    most = max(SEPARATORS, key=lambda name: widths[name][0] if widths[name] else 0)
    return SEPARATORS[most]


def _widths(lines: list[str], mark: str) -> list[int]:
    rows = [len(row) for row in csv.reader(lines, delimiter=mark, skipinitialspace=True) if row]
    return rows[:-1] if len(lines) == _LOOKED_AT and len(rows) > 2 else rows  # the last may be cut within quotes


def _check_names(names: list[str]) -> None:
    plain = [name.strip() for name in names]
    for name in plain:
        if name and plain.count(name) > 1:
            raise DataFault(f"{plain.count(name)} columns are called {name!r}; give each column a name of its own")
