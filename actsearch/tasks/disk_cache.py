"""Arrays that are slow to make, kept on disk between processes."""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from actsearch.tasks.splits import Array


def cached_arrays(file: Path, make: Callable[[], Mapping[str, Array]]) -> dict[str, Array]:
    """What `make` returns, read from the npz `file` when an earlier call has written it there.

    The file appears complete or not at all, so any number of processes may call this at once: each that finds no file
    makes the arrays and puts its own, equal copy in place. Where nothing can be written, nothing is kept.
    """
    kept = _read(file)
    if kept is not None:
        return kept
    arrays = dict(make())
    _keep(file, arrays)
    return arrays


def _read(file: Path) -> dict[str, Array] | None:
    """The arrays in `file`; None where it is missing or damaged (a full disk, another program)."""
    try:
        with np.load(file, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        return None


def _keep(file: Path, arrays: Mapping[str, Array]) -> None:
    draft: Path | None = None
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{file.stem}-", suffix=".npz", dir=file.parent)
        draft = Path(name)
        with os.fdopen(handle, "wb") as stream:
            np.savez(stream, **arrays)  # type: ignore[arg-type]  # no array is called `allow_pickle`
        draft.replace(file)
    except OSError:
        if draft is not None:
            draft.unlink(missing_ok=True)
