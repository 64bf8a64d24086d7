"""Own data in an npz file: arrays `x` and `y`, optionally `group`, and the same with `_valid` and `_test`."""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import replace

import numpy as np
from numpy.lib.npyio import NpzFile

from actsearch.tasks.own_data.faults import DataFault
from actsearch.tasks.own_data.layouts import channels_first, layout_of
from actsearch.tasks.own_data.options import Reading
from actsearch.tasks.own_data.places import Place, refuse
from actsearch.tasks.own_data.raw import PartName, Raw, Samples
from actsearch.tasks.splits import Array

SUFFIXES: dict[PartName, str] = {"train": "", "validation": "_valid", "test": "_test"}
NAMES = tuple(name + suffix for suffix in SUFFIXES.values() for name in ("x", "y", "group"))

DAMAGE = (OSError, EOFError, ValueError, MemoryError, NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error)
"""What reading a file that is no sound npz may raise (bad header, checksum, unknown or encrypted compression)."""


def read_npz(place: Place, reading: Reading) -> Raw:
    """The arrays of the file; pickled objects are refused, since reading them would run code.

    Raises:
        InvalidRequest: naming the file and the array that is missing, unknown or unreadable.
    """
    if place.column is not None:
        raise refuse(f"{place.shown}: an npz file has no columns; its targets are the array 'y'")
    arrays = _arrays(place)
    unknown = [name for name in arrays if name not in NAMES]
    if unknown:
        raise refuse(f"{place.shown}: unknown array {unknown[0]!r}; possible names: {', '.join(NAMES)}", NAMES)
    parts: dict[PartName, Samples] = {}
    for part, suffix in SUFFIXES.items():
        pair = [name for name in (f"x{suffix}", f"y{suffix}") if name in arrays]
        if len(pair) == 1 or (part == "train" and not pair):
            missing = f"y{suffix}" if pair == [f"x{suffix}"] else f"x{suffix}"
            raise refuse(f"{place.shown}: array {missing!r} is missing")
        if pair:
            parts[part] = Samples(_shaped(arrays[pair[0]]), _texts(arrays[pair[1]]), arrays.get(f"group{suffix}"))
    return _laid_out(Raw(place.shown, parts, "array 'x'", "array 'y'", group="array 'group'"), reading)


def _laid_out(raw: Raw, reading: Reading) -> Raw:
    """The channels of every part on axis 1; the training part decides where they are."""
    try:
        layout, note = layout_of(raw.parts["train"].x, reading.layout)
    except DataFault as fault:
        raise refuse(f"{raw.shown}, array 'x': {fault}", fault.allowed) from fault
    parts = {name: replace(part, x=channels_first(part.x, layout)) for name, part in raw.parts.items()}
    return replace(raw, parts=parts, notes=() if note is None else (f"array 'x': {note}",))


def _texts(y: Array) -> Array:
    """Names kept as bytes are texts in UTF-8, or Latin-1 where they cannot be."""
    if y.dtype.kind != "S":
        return y
    try:
        return np.char.decode(y, "utf-8")
    except UnicodeDecodeError:
        return np.char.decode(y, "latin-1")


def _shaped(x: Array) -> Array:
    """One number a sample, (N,), counts as one feature."""
    return x[:, None] if x.ndim == 1 else x


def _arrays(place: Place) -> dict[str, Array]:
    try:
        with place.path.open("rb") as stream, NpzFile(stream, allow_pickle=False) as stored:
            return {name: _array(place, stored, name) for name in stored.files}
    except DAMAGE as error:
        raise refuse(f"{place.shown}: is not a readable npz file ({error})") from error


def _array(place: Place, stored: NpzFile, name: str) -> Array:
    try:
        found: Array = stored[name]
    except DAMAGE as error:
        hint = "holds Python objects; save plain numbers or text" if "pickle" in str(error) else f"is damaged ({error})"
        raise refuse(f"{place.shown}: array {name!r} {hint}") from error
    return found
