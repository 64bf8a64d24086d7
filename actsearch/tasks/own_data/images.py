"""Own data in a folder of images: one folder a class, optionally below `train`, `valid` and `test`."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from actsearch.tasks.own_data.places import Place, confined, refuse
from actsearch.tasks.own_data.raw import PartName, Raw, Samples
from actsearch.tasks.splits import Array

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
PARTS: dict[str, PartName] = {
    "train": "train",
    "valid": "validation",
    "val": "validation",
    "validation": "validation",
    "test": "test",
}


def read_images(place: Place, size: int) -> Raw:
    """Images (N, 3, size, size) of all classes; a class is a folder's name.

    Raises:
        InvalidRequest: naming the folder without images, or the file that is no image or lies outside.
    """
    if place.column is not None:
        raise refuse(f"{place.shown}: a folder of images has no columns; its classes are the folders in it")
    folders = _folders(place, place.path)
    if "train" in folders and set(folders) <= set(PARTS):
        parts = {PARTS[name]: _samples(place, folder, size) for name, folder in folders.items()}
    else:
        parts = {"train": _samples(place, place.path, size)}
    return Raw(place.shown, parts, "images", "class folders")


def decode(content: bytes, size: int, shown: str) -> Array:
    """An image file's content as (3, size, size), uint8.

    Raises:
        InvalidRequest: naming the file, if it is no image or too large a one.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content)) as image:
            small = image.convert("RGB").resize((size, size), Image.Resampling.BILINEAR)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise refuse(f"{shown}: is no image that can be read ({error})") from error
    return np.asarray(small).transpose(2, 0, 1)


def _samples(place: Place, folder: Path, size: int) -> Samples:
    images: list[Array] = []
    labels: list[str] = []
    for label, inside in _folders(place, folder).items():
        files = _image_files(place, inside)
        images += [decode(file.read_bytes(), size, _shown(place, file)) for file in files]
        labels += [label] * len(files)
    if not images:
        raise refuse(f"{_shown(place, folder)}: holds no folders with images; make one folder a class")
    return Samples(np.stack(images), np.array(labels))


def _folders(place: Place, folder: Path) -> dict[str, Path]:
    found = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    return {entry.name: confined(entry, place.root) for entry in found if entry.is_dir()}


def _image_files(place: Place, folder: Path) -> Sequence[Path]:
    files = [file for file in sorted(folder.iterdir()) if file.suffix.lower() in SUFFIXES and file.is_file()]
    if not files:
        raise refuse(f"{_shown(place, folder)}: class folder without images ({', '.join(SUFFIXES)})")
    return [confined(file, place.root) for file in files]


def _shown(place: Place, path: Path) -> str:
    return path.relative_to(place.root).as_posix()
