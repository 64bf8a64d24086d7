"""How own data are to be read, as the request says it: the parameters of tasks on own data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from actsearch.errors import FieldProblem, InvalidRequest
from actsearch.schemas import ParameterInfo
from actsearch.tasks.kinds import KINDS
from actsearch.tasks.own_data.layouts import LAYOUTS, Layout
from actsearch.tasks.own_data.pictures import colour
from actsearch.tasks.own_data.places import Format
from actsearch.tasks.parameters import Resolved
from actsearch.tasks.splits import SPLIT_SEED

AUTO = "auto"

SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}
DECIMALS = {"point": ".", "comma": ","}
THOUSANDS = {"none": "", "comma": ",", "point": ".", "space": " ", "apostrophe": "'"}


@dataclass(frozen=True)
class Reading:
    """What a request says of how its data are read; the defaults guess, and say what was guessed.

    Args:
        kind: what the targets are, a name in `KINDS` or `auto`.
        image_size: pictures become (3, image_size, image_size).
        background: colour below transparent parts of pictures.
        class_folders: whether pictures in folders of folders belong to the `outer` or the `inner` one.
        layout: which axis of an array is which.
        separator, decimal, thousands: names in `SEPARATORS`, `DECIMALS` and `THOUSANDS`, or `auto`.
        encoding: of a text file, as Python names it, or `auto`: UTF-8, and UTF-16 with a byte order mark.
        missing: words that stand for a missing value beside the empty one; empty for the usual ones.
        when_missing: `refuse` the file, or `drop` the rows.
        columns: the features; empty for all.
        leave_out: columns that are no features.
        one_hot: columns of categories that become a 0 or 1 for each; `*` for every column of text.
        ordinal: columns of categories that become 0, 1 ..., as `name` or `name: first < second < ...`.
        dates: columns of dates that become days since 1970, as `name` or `name: format`.
        targets: columns that are targets; none is a feature.
        group: column or array of groups, none of which is in two parts; empty for none.
    """

    kind: str = AUTO
    image_size: int = 32
    background: str = "white"
    class_folders: str = "outer"
    layout: Layout = "auto"
    separator: str = AUTO
    decimal: str = AUTO
    thousands: str = AUTO
    encoding: str = AUTO
    missing: tuple[str, ...] = ()
    when_missing: str = "refuse"
    columns: tuple[str, ...] = ()
    leave_out: tuple[str, ...] = ()
    one_hot: tuple[str, ...] = ()
    ordinal: tuple[str, ...] = ()
    dates: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    group: str = ""


def reading(values: Mapping[str, Resolved]) -> Reading:
    """The checked parameters that concern reading; others are left alone.

    Raises:
        InvalidRequest: naming a colour or an encoding that does not exist.
    """
    known: dict[str, Any] = {name: value for name, value in values.items() if name in Reading.__dataclass_fields__}
    found = Reading(**known)
    colour(found.background)
    _check_encoding(found.encoding)
    return found


def _check_encoding(name: str) -> None:
    try:
        "".encode(name if name != AUTO else "utf-8")
    except LookupError:
        message = f"there is no text encoding {name!r}; write utf-8, cp1252, latin-1 ..."
        raise InvalidRequest(FieldProblem("encoding", message)) from None


def _choice(name: str, choices: list[str], description: str) -> ParameterInfo:
    return ParameterInfo(name=name, type="choice", default=choices[0], choices=[*choices], description=description)


def _list(name: str, description: str) -> ParameterInfo:
    return ParameterInfo(name=name, type="list", default=[], description=description)


_IMAGE_SIZE = ParameterInfo(
    name="image_size", type="int", default=32, low=8, high=256, description="Images are resized to image_size²."
)
_KIND = _choice("kind", [AUTO, *KINDS], "What the targets are.")
_BACKGROUND = ParameterInfo(
    name="background", type="text", default="white", description="Colour below transparent parts: a name or #rrggbb."
)
_GROUP = ParameterInfo(
    name="group", type="text", default="", description="Column of groups (patients, scenes): none is in two parts."
)
_LAYOUT = _choice("layout", [AUTO, *(name for names in LAYOUTS.values() for name in names)], "Axes of the array `x`.")
_COLUMNS = (
    _list("targets", "Columns that are targets; none of them is a feature."),
    _list("columns", "The columns to use as features; all if empty."),
    _list("leave_out", "Columns not to use as features."),
    _list("one_hot", "Columns of categories that become a 0 or 1 per category; * for all text."),
    _list("ordinal", "Columns of categories that become 0, 1 ...: 'size' or 'size: small < medium < large'."),
    _list("dates", "Columns of dates that become days since 1970: 'sold' or 'sold: %d.%m.%Y'."),
    _list("missing", "Words that stand for a missing value; the usual ones if empty."),
    _choice("when_missing", ["refuse", "drop"], "What to do about rows with missing values."),
    _GROUP,
)
_TEXT = (
    _choice("separator", [AUTO, *SEPARATORS], "What separates columns."),
    _choice("decimal", [AUTO, *DECIMALS], "What stands before decimals."),
    _choice("thousands", [AUTO, *THOUSANDS], "What groups digits."),
    ParameterInfo(name="encoding", type="text", default=AUTO, description="Text encoding: utf-8, cp1252 ..."),
)
_FOLDERS = _choice("class_folders", ["outer", "inner"], "Which folder names a picture's class, if they are nested.")

_PARAMETERS: Mapping[Format, tuple[ParameterInfo, ...]] = {
    "npz": (_LAYOUT,),
    "csv": (*_COLUMNS, *_TEXT),
    "parquet": _COLUMNS,
    "images": (_IMAGE_SIZE, _BACKGROUND, _FOLDERS),
    "arrow": (_IMAGE_SIZE, _BACKGROUND, _LAYOUT, *_COLUMNS),
}


def parameters_of(file_format: Format) -> tuple[ParameterInfo, ...]:
    """Every parameter that a task on own data of this format may have."""
    return (_KIND, SPLIT_SEED, *_PARAMETERS[file_format])
