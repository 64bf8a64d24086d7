"""Own data saved by Hugging Face `datasets` (`save_to_disk`): a folder of arrow files with a description in JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from actsearch.tasks.own_data.faults import DataFault
from actsearch.tasks.own_data.images import part_of
from actsearch.tasks.own_data.layouts import channels_first, layout_of
from actsearch.tasks.own_data.options import Reading
from actsearch.tasks.own_data.pictures import Decoder
from actsearch.tasks.own_data.places import Place, confined, refuse
from actsearch.tasks.own_data.raw import PartName, Raw, Samples
from actsearch.tasks.own_data.tables import Roles, roles_of, samples_of
from actsearch.tasks.own_data.typed import TypedTable
from actsearch.tasks.splits import Array

_PART = "__part__"

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa  # type: ignore[import-untyped,import-not-found,unused-ignore]


Features = Mapping[str, Mapping[str, Any]]
"""What `dataset_info.json` says of each column."""


def read_arrow(place: Place, how: Reading) -> Raw:
    """A saved `Dataset` or `DatasetDict`; images are resized to (3, size, size).

    The target is the column asked for, else the one with class names, else `label`, else the last. Inputs are the image
    column where there is one, else one column of lists of equal length, else all other columns, as in a table.

    Raises:
        InvalidRequest: naming the file or the column at fault.
    """
    folders = _parts(place)
    features = _features(place, folders["train"])
    if place.column is not None and place.column not in features:
        raise refuse(f"{place.shown}: no column {place.column!r}", tuple(features))
    tables = {part: _table(place, folder) for part, folder in folders.items()}
    try:
        return _raw(place, features, tables, how)
    except DataFault as fault:
        raise refuse(f"{place.shown}: {fault}", fault.allowed) from fault


def _raw(place: Place, features: Features, tables: Mapping[PartName, pa.Table], how: Reading) -> Raw:
    targets = (place.column,) if place.column else how.targets or (_target(features),)
    roles = roles_of([*features], place.column, replace(how, targets=(*how.targets, *targets)))
    images = [name for name in roles.features if features[name].get("_type") == "Image"]
    lists = [name for name in roles.features if _holds_lists(tables["train"], name)]
    notes = [] if place.column or how.targets else [f"the target is column {targets[0]!r}"]
    if images or lists:
        inputs = images[:1] or lists
        parts, more = _arrays(tables, inputs, roles, how, images=bool(images))
        if unused := [name for name in roles.features if name not in inputs]:
            notes.append(f"only column {inputs[0]!r} is an input; not used: {', '.join(unused)}")
    else:
        inputs = [*roles.features]
        parts, more = _columns(tables, roles, how)
    classes = tuple(map(str, features[targets[0]].get("names") or ())) if len(targets) == 1 else ()
    shown = ", ".join(map(repr, targets))
    return Raw(
        place.shown,
        parts,
        f"columns {', '.join(inputs)}",
        f"column {shown}",
        classes,
        (*notes, *more),
        f"column {how.group!r}",
    )


def _columns(
    tables: Mapping[PartName, pa.Table], roles: Roles, how: Reading
) -> tuple[dict[PartName, Samples], list[str]]:
    """Columns of single values, as in a table; the parts are read as one, so that categories are the same in all."""
    import pandas as pd

    frames = {part: _frame(table, roles.used) for part, table in tables.items()}
    whole = pd.concat([frames[part].assign(**{_PART: part}) for part in frames], ignore_index=True)
    whole.index = pd.RangeIndex(1, len(whole) + 1)
    if how.when_missing == "drop":
        whole = whole[whole.notna().all(axis=1)]
    samples, notes = samples_of(TypedTable(whole.drop(columns=_PART), {}, ()), roles, how)
    at = whole[_PART].to_numpy()
    return {part: _rows(samples, at == part) for part in frames}, notes


def _rows(samples: Samples, chosen: Array) -> Samples:
    groups = None if samples.groups is None else samples.groups[chosen]
    return Samples(samples.x[chosen], samples.y[chosen], groups)


def _arrays(
    tables: Mapping[PartName, pa.Table], inputs: Sequence[str], roles: Roles, how: Reading, *, images: bool
) -> tuple[dict[PartName, Samples], list[str]]:
    """One column of images or of lists as inputs."""
    if len(inputs) > 1:
        raise DataFault(f"columns {', '.join(inputs)} hold lists; choose one by `columns`, or leave the others out")
    decode, notes = Decoder(how.image_size, how.background), []
    xs = {
        part: np.stack(
            [_image(decode, value, inputs[0], row) for row, value in enumerate(_column(table, inputs[0]), 1)]
        )
        if images
        else _lists(table, inputs[0])
        for part, table in tables.items()
    }
    if not images:
        layout, note = layout_of(xs["train"], how.layout)
        xs = {part: channels_first(x, layout) for part, x in xs.items()}
        notes += [f"column {inputs[0]!r}: {note}"] if note else []
    parts = {
        part: Samples(xs[part], _y(table, roles.targets), _y_group(table, roles)) for part, table in tables.items()
    }
    return parts, [*notes, *decode.notes]


def _parts(place: Place) -> dict[PartName, Path]:
    if not (place.path / "dataset_dict.json").is_file():
        return {"train": place.path}
    names = [str(name) for name in _json(place, place.path / "dataset_dict.json").get("splits") or ()]
    found: dict[PartName, Path] = {}
    for name in names:
        part = part_of(name)
        if part in found:
            raise refuse(f"{place.shown}: {found[part].name!r} and {name!r} are both the {part} part; keep one of them")
        if part is None:
            raise refuse(f"{place.shown}: split {name!r} is not a part (train, valid, test); rename or remove it")
        found[part] = confined(place.path / name, place.root)
    if "train" not in found:
        raise refuse(f"{place.shown}: has no split 'train', only {', '.join(names)}")
    return found


def _features(place: Place, folder: Path) -> Features:
    features = _json(place, folder / "dataset_info.json").get("features")
    if not isinstance(features, dict) or len(features) < 2:
        raise refuse(f"{place.shown}: dataset_info.json describes fewer than two columns")
    return {name: kind if isinstance(kind, dict) else {"_type": "Sequence"} for name, kind in features.items()}


def _target(features: Features) -> str:
    labels = [name for name, kind in features.items() if kind.get("_type") == "ClassLabel"]
    if len(labels) == 1:
        return labels[0]
    return "label" if "label" in features else list(features)[-1]


def _table(place: Place, folder: Path) -> pa.Table:
    """All arrow files that the folder's `state.json` names, each inside the data directory."""
    try:
        import pyarrow as pa  # type: ignore[import-untyped,import-not-found,unused-ignore]
    except ImportError:
        raise refuse(f"{place.shown}: reading arrow needs pyarrow; `pip install pyarrow` where workers run") from None

    state = _json(place, folder / "state.json")
    if state.get("_indices_data_files"):
        raise refuse(f"{place.shown}: was saved with an index; call `flatten_indices()` before `save_to_disk`")
    names = [file.get("filename") for file in state.get("_data_files") or () if isinstance(file, dict)]
    files = [confined(folder / str(name), place.root) for name in names]
    try:
        return pa.concat_tables([pa.ipc.open_stream(pa.memory_map(str(file))).read_all() for file in files])
    except (pa.ArrowException, OSError, ValueError) as error:
        raise refuse(f"{place.shown}: its arrow files cannot be read ({error})") from error


def _holds_lists(table: pa.Table, name: str) -> bool:
    return name in table.column_names and "list" in str(table.schema.field(name).type)


def _image(decode: Decoder, value: object, column: str, row: int) -> Array:
    content = value.get("bytes") if isinstance(value, dict) else None
    if not isinstance(content, bytes):
        raise DataFault(f"column {column!r} has images by path; save them with their bytes (embed_storage)")
    shown = f"column {column!r}, row {row}"
    try:
        return decode(content, shown)
    except DataFault as fault:
        raise DataFault(f"{shown}: {fault}") from fault


def _lists(table: pa.Table, name: str) -> Array:
    try:
        values = np.array(_column(table, name))
    except ValueError as error:
        raise DataFault(f"the lists of column {name!r} differ in length; bring them to one, by padding") from error
    if values.dtype.kind not in "iufb":
        raise DataFault(f"column {name!r} holds {values.dtype}, not numbers")
    return values


def _y(table: pa.Table, names: Sequence[str]) -> Array:
    columns = [np.array(_column(table, name)) for name in names]
    return columns[0] if len(columns) == 1 else np.stack(columns, axis=1)


def _y_group(table: pa.Table, roles: Roles) -> Array | None:
    return np.array(_column(table, roles.group)) if roles.group else None


def _frame(table: pa.Table, names: Sequence[str]) -> pd.DataFrame:
    for name in names:
        if name not in table.column_names:
            raise DataFault(f"no column {name!r}", table.column_names)
    frame: pd.DataFrame = table.select([*names]).to_pandas(ignore_metadata=True)
    return frame


def _column(table: pa.Table, name: str) -> list[Any]:
    if name not in table.column_names:
        raise DataFault(f"no column {name!r}", table.column_names)
    column = table.column(name)
    if column.null_count:
        raise DataFault(f"column {name!r} has {column.null_count} empty values; fill or drop them")
    values: list[Any] = column.to_pylist()
    return values


def _json(place: Place, file: Path) -> dict[str, Any]:
    try:
        found = json.loads(confined(file, place.root).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise refuse(f"{place.shown}: {file.name} cannot be read ({error})") from error
    if not isinstance(found, dict):
        raise refuse(f"{place.shown}: {file.name} is not a JSON object")
    return found
