"""Own data saved by Hugging Face `datasets` (`save_to_disk`): a folder of arrow files with a description in JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from actsearch.tasks.own_data.images import PARTS, decode
from actsearch.tasks.own_data.places import Place, confined, refuse
from actsearch.tasks.own_data.raw import PartName, Raw, Samples
from actsearch.tasks.splits import Array

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped,import-not-found,unused-ignore]


def read_arrow(place: Place, size: int) -> Raw:
    """A saved `Dataset` or `DatasetDict`; images are resized to (3, size, size).

    The target is the column asked for, else the one with class names, else `label`, else the last. Inputs are the image
    column where there is one, else all other columns, which must be numbers or lists of equal length.

    Raises:
        InvalidRequest: naming the file or the column at fault.
    """
    folders = _parts(place)
    features = _features(place, folders["train"])
    target = _target(place, features)
    tables = {part: _table(place, folder) for part, folder in folders.items()}
    inputs = _inputs(features, target)
    parts = {
        part: Samples(_x(place, table, inputs, features, size), _y(place, table, target))
        for part, table in tables.items()
    }
    classes = tuple(map(str, features[target].get("names") or ()))
    return Raw(place.shown, parts, f"columns {', '.join(inputs)}", f"column {target!r}", classes)


def _parts(place: Place) -> dict[PartName, Path]:
    if not (place.path / "dataset_dict.json").is_file():
        return {"train": place.path}
    names = [str(name) for name in _json(place, place.path / "dataset_dict.json").get("splits") or ()]
    found = {PARTS[name]: confined(place.path / name, place.root) for name in names if name in PARTS}
    if "train" not in found:
        raise refuse(f"{place.shown}: has no split 'train', only {', '.join(names)}")
    return found


def _features(place: Place, folder: Path) -> Mapping[str, Mapping[str, Any]]:
    features = _json(place, folder / "dataset_info.json").get("features")
    if not isinstance(features, dict) or len(features) < 2:
        raise refuse(f"{place.shown}: dataset_info.json describes fewer than two columns")
    return {name: kind if isinstance(kind, dict) else {"_type": "Sequence"} for name, kind in features.items()}


def _target(place: Place, features: Mapping[str, Mapping[str, Any]]) -> str:
    if place.column is not None:
        if place.column not in features:
            raise refuse(f"{place.shown}: no column {place.column!r}", tuple(features))
        return place.column
    labels = [name for name, kind in features.items() if kind.get("_type") == "ClassLabel"]
    if len(labels) == 1:
        return labels[0]
    return "label" if "label" in features else list(features)[-1]


def _inputs(features: Mapping[str, Mapping[str, Any]], target: str) -> list[str]:
    images = [name for name, kind in features.items() if kind.get("_type") == "Image"]
    return images[:1] or [name for name in features if name != target]


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


def _x(
    place: Place, table: pa.Table, names: Sequence[str], features: Mapping[str, Mapping[str, Any]], size: int
) -> Array:
    if features[names[0]].get("_type") == "Image":
        return np.stack([_image(place, value, names[0], size) for value in _column(place, table, names[0])])
    columns = [_numbers(place, table, name) for name in names]
    if len(columns) == 1 and columns[0].ndim > 1:
        return columns[0]
    for name, values in zip(names, columns, strict=True):
        if values.ndim > 1:
            raise refuse(f"{place.shown}: column {name!r} holds lists and is not alone; keep it or the other columns")
    return np.stack(columns, axis=1)


def _image(place: Place, value: object, column: str, size: int) -> Array:
    content = value.get("bytes") if isinstance(value, dict) else None
    if not isinstance(content, bytes):
        raise refuse(f"{place.shown}: column {column!r} has images by path; save them with their bytes (embed_storage)")
    return decode(content, size, f"{place.shown}, column {column!r}")


def _numbers(place: Place, table: pa.Table, name: str) -> Array:
    try:
        values = np.array(_column(place, table, name))
    except ValueError as error:
        raise refuse(f"{place.shown}: the lists of column {name!r} differ in length") from error
    if values.dtype.kind not in "iufb":
        raise refuse(f"{place.shown}: column {name!r} holds {values.dtype}, not numbers")
    return values


def _y(place: Place, table: pa.Table, name: str) -> Array:
    return np.array(_column(place, table, name))


def _column(place: Place, table: pa.Table, name: str) -> list[Any]:
    if name not in table.column_names:
        raise refuse(f"{place.shown}: no column {name!r}", tuple(table.column_names))
    column = table.column(name)
    if column.null_count:
        raise refuse(f"{place.shown}: column {name!r} has {column.null_count} empty values; fill or drop them")
    values: list[Any] = column.to_pylist()
    return values


def _json(place: Place, file: Path) -> dict[str, Any]:
    try:
        found = json.loads(confined(file, place.root).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise refuse(f"{place.shown}: {file.name} cannot be read ({error})") from error
    if not isinstance(found, dict):
        raise refuse(f"{place.shown}: {file.name} is no JSON object")
    return found
