"""Tasks on the user's own data, made from what lies in the data directory when they are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from actsearch.schemas import ParameterInfo, TaskValue
from actsearch.tasks.class_counts import class_counts_in_words
from actsearch.tasks.declaration import Dataset, Task
from actsearch.tasks.kinds import KINDS, Kind, task_of_kind
from actsearch.tasks.own_data.arrow import read_arrow
from actsearch.tasks.own_data.images import read_images
from actsearch.tasks.own_data.npz import read_npz
from actsearch.tasks.own_data.options import Reading, parameters_of, reading
from actsearch.tasks.own_data.places import Place, datasets_directory, fingerprint, locate
from actsearch.tasks.own_data.raw import Raw, assemble, check, group_notes, taken_targets
from actsearch.tasks.own_data.tables import read_table
from actsearch.tasks.parameters import Resolved, resolve_against
from actsearch.tasks.splits import SPLIT_SEED

Fingerprint = tuple[tuple[str, int, int], ...]


def own_task(name: str, directory: Path | None = None, parameters: Mapping[str, TaskValue] | None = None) -> Task:
    """The task `data:<path>` or `data:<path>:<target column>`.

    Args:
        name: of the task.
        directory: where the data lie; None for this worker's data directory.
        parameters: how to read them, and the kind of the targets; the defaults guess.

    Raises:
        NotFound: if no file of that name is there.
        InvalidRequest: if the path leaves the directory or the data cannot be used; names file, column, shape, class;
            or the parameter that is unknown or has a wrong value.
    """
    place = locate(name, directory or datasets_directory())
    values = resolve_against(parameters_of(place.format), name, parameters or {})
    return _task(place, fingerprint(place), reading(values), int(str(values[SPLIT_SEED.name])))


@lru_cache(maxsize=16)
def _task(place: Place, seen: Fingerprint, how: Reading, split_seed: int) -> Task:
    """The task; `seen` is part of the key, so that changed files are read again."""
    raw = _read(place, how)
    dataset = assemble(raw, split_seed, _kind(how))
    complete = len(raw.parts) == 3
    parameters = tuple(info for info in parameters_of(place.format) if not (complete and info is SPLIT_SEED))
    return _declared(place, raw, how, dataset, parameters)


def _kind(how: Reading) -> Kind | None:
    """The kind asked for; None to infer it."""
    return next((kind for kind in KINDS if kind == how.kind), None)


def _declared(place: Place, raw: Raw, how: Reading, dataset: Dataset, parameters: tuple[ParameterInfo, ...]) -> Task:
    taken = taken_targets(raw, _kind(how))

    def load(split_seed: int = 0, **_: Resolved) -> Dataset:
        return assemble(_read(place, how), split_seed, _kind(how))

    return task_of_kind(
        taken.kind,
        place.task,
        f"Own data, {place.shown}: {taken.kind} of {raw.target} from {raw.inputs}.",
        load,
        source=f"{place.shown} in the data directory",
        parameters=parameters,
        notes=(f"targets: {taken}", *class_counts_in_words(taken.kind, dataset), *group_notes(raw), *raw.notes),
    )


def _read(place: Place, how: Reading) -> Raw:
    if place.format == "npz":
        raw = read_npz(place, how)
    elif place.format == "images":
        raw = read_images(place, how)
    elif place.format == "arrow":
        raw = read_arrow(place, how)
    else:
        raw = read_table(place, how)
    check(raw)
    return raw
