"""Task tests keep generated and own data in directories of their own; own data are written as their programs would."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image

from actsearch.settings import settings


@pytest.fixture(autouse=True, scope="module")
def data_directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """`settings().data_dir` during the tests of a module; xdist's workers share it."""
    directory = tmp_path_factory.getbasetemp().parent / "task-data"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACTSEARCH_DATA_DIR", str(directory))
        settings.cache_clear()
        yield directory
    settings.cache_clear()


@dataclass(frozen=True)
class OwnData:
    """A directory of own data and what writes into it."""

    path: Path

    def npz(self, name: str, **arrays: Any) -> Path:
        """An npz file of `arrays`."""
        file = self.path / f"{name}.npz"
        file.parent.mkdir(exist_ok=True)
        np.savez(file, **arrays)
        return file

    def csv(self, name: str, frame: pd.DataFrame) -> Path:
        """A csv file without row numbers."""
        frame.to_csv(self.path / f"{name}.csv", index=False)
        return self.path / f"{name}.csv"

    def images(self, name: str, classes: Mapping[str, int]) -> Path:
        """A folder a class; the images of a class are of one shade, the brighter the later the class."""
        for place, (label, count) in enumerate(classes.items()):
            folder = self.path / name / label
            folder.mkdir(parents=True)
            for i in range(count):
                Image.new("RGB", (10 + i, 12), (40 + 150 * place + i,) * 3).save(folder / f"{i:03}.png")
        return self.path / name

    def arrow(
        self,
        name: str,
        columns: Mapping[str, Sequence[Any]],
        *,
        classes: Mapping[str, Sequence[str]] | None = None,
        images: Sequence[str] = (),
    ) -> Path:
        """What `datasets.Dataset.save_to_disk` writes."""
        folder, file = self.path / name, "data-00000-of-00001.arrow"
        folder.mkdir(parents=True)
        content = pa.table(dict(columns))
        with pa.OSFile(str(folder / file), "wb") as stream, pa.ipc.new_stream(stream, content.schema) as writer:
            writer.write_table(content)
        features: dict[str, Any] = {column: {"dtype": "float64", "_type": "Value"} for column in columns}
        features |= {column: {"names": list(names), "_type": "ClassLabel"} for column, names in (classes or {}).items()}
        features |= {column: {"_type": "Image"} for column in images}
        (folder / "dataset_info.json").write_text(json.dumps({"features": features}))
        (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": file}]}))
        return folder


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OwnData]:
    """An empty directory of own data, that of this process's settings."""
    monkeypatch.setenv("ACTSEARCH_DATA_DIR", str(tmp_path))
    settings.cache_clear()
    (tmp_path / "datasets").mkdir()
    yield OwnData(tmp_path / "datasets")
    monkeypatch.undo()
    settings.cache_clear()


@pytest.fixture
def houses() -> pd.DataFrame:
    """60 rows: `rooms` (5 whole numbers), `price` (decimals), `town` (3 names)."""
    at = np.arange(60)
    return pd.DataFrame({"rooms": at % 5, "price": at * 1.5 + 0.25, "town": np.array(["A", "B", "C"])[at % 3]})
