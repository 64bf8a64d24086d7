"""Own data in a folder of images: one folder per class, perhaps below folders of parts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from actsearch.tasks.own_data.faults import DataFault
from actsearch.tasks.own_data.options import Reading
from actsearch.tasks.own_data.pictures import Decoder
from actsearch.tasks.own_data.places import Place, confined, refuse
from actsearch.tasks.own_data.raw import PartName, Raw, Samples
from actsearch.tasks.splits import Array

SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".jfif", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".pgm", ".ppm", ".pbm", ".pnm", ".avif",
    ".jp2", ".tga",
)  # fmt: skip

_PART_NAMES: dict[PartName, str] = {
    "train": "train|training|trn",
    "validation": "valid|val|validation|validate|dev|eval|evaluation",
    "test": "test|testing|tst",
}
_EXTRA = r"[-_ .]?(set|data|images|split)?"
_NO_CLASSES = ("__MACOSX",)


def part_of(name: str) -> PartName | None:
    """The part that a folder or split of this name holds, in any case (`Train`, `val`); None for none."""
    for part, names in _PART_NAMES.items():
        if re.fullmatch(f"({names}){_EXTRA}", name.lower()):
            return part
    return None


@dataclass
class _Walk:
    """The folders of one data set, and what was found beside its pictures."""

    place: Place
    inner: bool
    decode: Decoder
    ignored: list[str] = field(default_factory=list)
    nested: list[str] = field(default_factory=list)

    def folders(self, folder: Path) -> dict[str, Path]:
        found = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
        inside = {entry.name: confined(entry, self.place.root) for entry in found}
        return {name: path for name, path in inside.items() if path.is_dir() and name not in _NO_CLASSES}

    def shown(self, path: Path) -> str:
        return path.relative_to(self.place.root).as_posix()

    def files(self, folder: Path) -> list[Path]:
        """The pictures that lie directly in a folder."""
        found = [entry for entry in sorted(folder.iterdir()) if not entry.name.startswith(".") and not entry.is_dir()]
        self.ignored += [self.shown(file) for file in found if file.suffix.lower() not in SUFFIXES]
        return [confined(file, self.place.root) for file in found if file.suffix.lower() in SUFFIXES]


def read_images(place: Place, reading: Reading) -> Raw:
    """Images (N, 3, size, size) of all classes; a class is a folder's name.

    Raises:
        InvalidRequest: naming the folder without images, or the file that cannot be decoded or lies outside.
    """
    if place.column is not None:
        raise refuse(f"{place.shown}: a folder of images has no columns; its classes are the folders in it")
    walk = _Walk(place, reading.class_folders == "inner", Decoder(reading.image_size, reading.background))
    try:
        top, notes = _below_wrappers(walk)
        parts = {part: _samples(walk, folder) for part, folder in _parts(walk, top).items()}
        notes += [*_notes(walk), *walk.decode.notes]
    except DataFault as fault:
        raise refuse(f"{place.shown}: {fault}") from fault
    return Raw(place.shown, parts, "images", "class folders", notes=tuple(notes))


def _below_wrappers(walk: _Walk) -> tuple[Path, list[str]]:
    """The folder of classes or parts: below folders that hold nothing but one folder of folders."""
    folder = walk.place.path
    while len(inside := walk.folders(folder)) == 1:
        [(name, only)] = inside.items()
        if part_of(name) or not walk.folders(only):
            break
        folder = only
    notes = [] if folder == walk.place.path else [f"classes are the folders in {walk.shown(folder)}"]
    return folder, notes


def _parts(walk: _Walk, top: Path) -> dict[PartName, Path]:
    """The folder of each part; one for training if the folders are classes."""
    folders = walk.folders(top)
    named = {name: part for name in folders if (part := part_of(name))}
    of_classes = {name for name in named if walk.folders(folders[name])}
    if not of_classes:
        if folders and len(named) == len(folders):
            raise DataFault(f"{_listed(named)} hold images without class folders; make one folder per class in each")
        return {"train": top}
    if strange := [name for name in folders if name not in of_classes]:
        what = "holds no class folders" if strange[0] in named else "is not a part (train, valid, test)"
        raise DataFault(f"folder {strange[0]!r} beside {_listed(of_classes)} {what}; move or rename it")
    parts: dict[PartName, Path] = {}
    for name, part in named.items():
        if part in parts:
            raise DataFault(f"{parts[part].name!r} and {name!r} are both the {part} part; keep one of them")
        parts[part] = folders[name]
    if "train" not in parts:
        raise DataFault(f"has folders of parts ({_listed(named)}) but none called train; add or rename it")
    return parts


def _listed(names: Mapping[str, object] | set[str]) -> str:
    return ", ".join(map(repr, sorted(names)))


def _samples(walk: _Walk, folder: Path) -> Samples:
    classes = walk.folders(folder)
    if not classes:
        raise DataFault(f"{walk.shown(folder)}: holds no folders with images; make one folder per class")
    walk.ignored += [walk.shown(file) for file in walk.files(folder)]
    images: list[Array] = []
    labels: list[str] = []
    for name, inside in classes.items():
        before = len(images)
        for label, file in _labelled(walk, name, inside):
            images.append(_decoded(walk, file))
            labels.append(label)
        if len(images) == before:
            raise DataFault(f"{walk.shown(inside)}: class folder without images ({', '.join(SUFFIXES)})")
    return Samples(np.stack(images), np.array(labels))


def _labelled(walk: _Walk, label: str, folder: Path) -> Iterator[tuple[str, Path]]:
    """Every picture in and below a class folder, with its class."""
    for file in walk.files(folder):
        yield label, file
    for name, inside in walk.folders(folder).items():
        if part_of(name):
            raise DataFault(f"{walk.shown(inside)}: a part inside a class folder; put the class folders into the parts")
        walk.nested.append(walk.shown(inside))
        yield from _labelled(walk, f"{label}/{name}" if walk.inner else label, inside)


def _decoded(walk: _Walk, file: Path) -> Array:
    try:
        return walk.decode(file.read_bytes(), walk.shown(file))
    except DataFault as fault:
        raise refuse(f"{walk.shown(file)}: {fault}") from fault


def _notes(walk: _Walk) -> list[str]:
    notes = []
    if walk.nested and not walk.inner:
        notes.append(
            f"{len(walk.nested)} folders lie in class folders (first: {walk.nested[0]}); their pictures belong to the "
            "outer class (parameter `class_folders`)"
        )
    if walk.ignored:
        notes.append(f"{len(walk.ignored)} files are not used (first: {walk.ignored[0]})")
    return notes
