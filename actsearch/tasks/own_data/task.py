"""Tasks on the user's own data, made from what lies in the data directory when they are asked for."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from actsearch.schemas import ParameterInfo
from actsearch.tasks.declaration import Dataset, Task
from actsearch.tasks.kinds import task_of_kind
from actsearch.tasks.own_data.arrow import read_arrow
from actsearch.tasks.own_data.images import read_images
from actsearch.tasks.own_data.npz import read_npz
from actsearch.tasks.own_data.places import Place, datasets_directory, fingerprint, locate
from actsearch.tasks.own_data.raw import Raw, assemble, check, target_kind
from actsearch.tasks.own_data.tables import read_table
from actsearch.tasks.splits import SPLIT_SEED

Fingerprint = tuple[tuple[str, int, int], ...]

IMAGE_SIZE = ParameterInfo(
    name="image_size", type="int", default=32, low=8, high=256, description="Images are resized to image_size²."
)


def own_task(name: str, directory: Path | None = None) -> Task:
    """The task `data:<path>` or `data:<path>:<target column>`.

    Args:
        directory: where the data lie; None for this worker's data directory.

    Raises:
        NotFound: if no file of that name is there.
        InvalidRequest: if the path leaves the directory or the data cannot be used; names file, column, shape, class.
    """
    place = locate(name, directory or datasets_directory())
    return _task(place, fingerprint(place))


@lru_cache(maxsize=16)
def _task(place: Place, seen: Fingerprint) -> Task:
    """The task; `seen` is part of the key, so that changed files are read again."""
    raw = _read(place, int(IMAGE_SIZE.default))
    assemble(raw, 0)
    parameters = [SPLIT_SEED] if len(raw.parts) < 3 else []
    if place.format in ("images", "arrow") and raw.parts["train"].x.ndim == 4:
        parameters.append(IMAGE_SIZE)
    return _declared(place, raw, tuple(parameters))


def _declared(place: Place, raw: Raw, parameters: tuple[ParameterInfo, ...]) -> Task:
    kind = target_kind(raw)

    def load(split_seed: int = 0, image_size: int = 32) -> Dataset:
        return assemble(_read(place, image_size), split_seed)

    return task_of_kind(
        kind,
        place.task,
        f"Own data, {place.shown}: {kind} of {raw.target} from {raw.inputs}.",
        load,
        source=f"{place.shown} in the data directory",
        parameters=parameters,
    )


def _read(place: Place, image_size: int) -> Raw:
    if place.format == "npz":
        raw = read_npz(place)
    elif place.format == "images":
        raw = read_images(place, image_size)
    elif place.format == "arrow":
        raw = read_arrow(place, image_size)
    else:
        raw = read_table(place)
    check(raw)
    return raw
