"""Where the user's own data lie: names are paths inside one directory, and nothing outside it is ever opened."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from actsearch.errors import FieldProblem, InvalidRequest, NotFound
from actsearch.settings import settings

PREFIX = "data:"
"""What the name of a task on own data starts with."""

FILE_FORMATS: dict[str, Format] = {".npz": "npz", ".csv": "csv", ".parquet": "parquet"}

Format = Literal["npz", "csv", "parquet", "images", "arrow"]


@dataclass(frozen=True)
class Place:
    """Own data found on disk.

    Args:
        task: the whole name of the task, `data:<path>` or `data:<path>:<column>`.
        path: real path of the file or folder, inside `root`.
        root: real path of the data directory.
        column: the target column asked for; None for the format's habit.
    """

    task: str
    path: Path
    root: Path
    format: Format
    column: str | None

    @property
    def shown(self) -> str:
        """The path as messages show it: without the directories above the data directory."""
        return self.path.relative_to(self.root).as_posix()


def datasets_directory() -> Path:
    """The data directory of this worker."""
    return settings().data_dir / "datasets"


def refuse(message: str, allowed: tuple[str, ...] = ()) -> InvalidRequest:
    """The error for own data that cannot be used."""
    return InvalidRequest(FieldProblem("task.name", message, allowed))


def locate(task: str, directory: Path) -> Place:
    """The file or folder that `data:<path>[:<column>]` names; the path's suffix may be left out.

    Raises:
        InvalidRequest: if the path leaves `directory` (also by a link), is ambiguous or is of no known format.
        NotFound: if there is no such file; lists those there are.
    """
    path, _, column = task.removeprefix(PREFIX).partition(":")
    root = directory.resolve()
    _check_spelling(path)
    found = [candidate for candidate in _candidates(root / path) if candidate.exists()]
    if not found:
        raise NotFound("task", task, own_names(directory))
    if len(found) > 1:
        names = tuple(PREFIX + each.relative_to(root).as_posix() for each in found)
        raise refuse(f"{path!r} names several files; give the suffix too", names)
    real = confined(found[0], root)
    return Place(task, real, root, _format(real, path), column or None)


def confined(path: Path, root: Path) -> Path:
    """The real path of `path`, links followed.

    Raises:
        InvalidRequest: if it is not inside `root`.
    """
    real = path.resolve()
    if not real.is_relative_to(root) or real == root:
        raise refuse(f"{path.name!r} leads out of the data directory; put the data themselves there")
    return real


def own_names(directory: Path) -> tuple[str, ...]:
    """Names of the tasks on what lies directly in `directory`, whether or not they can be used."""
    if not directory.is_dir():
        return ()
    found = [entry.name for entry in directory.iterdir() if not entry.name.startswith(".")]
    return tuple(PREFIX + name for name in sorted(found))


def fingerprint(place: Place) -> tuple[tuple[str, int, int], ...]:
    """Name, size and time of change of every file of the data, to notice that they have changed."""
    files = [place.path] if place.path.is_file() else sorted(place.path.rglob("*"))
    stats = [(str(file), file.lstat()) for file in files]
    return tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats)


def _check_spelling(path: str) -> None:
    parts = path.split("/")
    wrong = any(part in ("", ".", "..") or part.startswith(".") for part in parts)
    if wrong or "\\" in path or not path.isprintable():
        raise refuse(f"{path!r} is not a path inside the data directory; write it like 'houses.csv' or 'plants/leaves'")


def _candidates(path: Path) -> Iterator[Path]:
    yield path
    for suffix in FILE_FORMATS:
        yield path.with_name(path.name + suffix)


def _format(real: Path, name: str) -> Format:
    if real.is_dir():
        arrow = any((real / marker).is_file() for marker in ("dataset_dict.json", "state.json"))
        return "arrow" if arrow else "images"
    if real.suffix.lower() in FILE_FORMATS and real.is_file():
        return FILE_FORMATS[real.suffix.lower()]
    known = ", ".join(FILE_FORMATS)
    raise refuse(f"{name!r} has no known format; use {known}, a folder of images or a saved `datasets` folder")
