"""MNIST-1D equals what was published, and its cache stands any number of processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from actsearch.settings import settings
from actsearch.tasks import load
from actsearch.tasks.disk_cache import cached_arrays
from actsearch.tasks.mnist1d import _generate, published_arrays


@pytest.fixture(scope="module")
def published() -> dict[str, np.ndarray]:
    return published_arrays(settings().data_dir / "cache")


def test_sizes_are_the_published_ones(published: dict[str, np.ndarray]) -> None:
    assert {name: array.shape for name, array in published.items()} == {
        "x": (4000, 40), "y": (4000,), "x_test": (1000, 40), "y_test": (1000,),
    }  # fmt: skip


def test_classes_are_balanced_and_the_signals_standardised(published: dict[str, np.ndarray]) -> None:
    x, y = (np.concatenate([published[name], published[f"{name}_test"]]) for name in "xy")
    assert (np.bincount(y) == 500).all()
    assert x.mean() == pytest.approx(0, abs=1e-12)
    assert x.std() == pytest.approx(1, abs=1e-12)


def test_the_packages_own_test_part_is_the_test_part(published: dict[str, np.ndarray]) -> None:
    data = load("mnist1d")
    assert (data.test[1].numpy() == published["y_test"]).all()
    shown = np.corrcoef(data.test[0].flatten(), published["x_test"].flatten())[0, 1]
    assert shown == pytest.approx(1, abs=1e-6)


def test_generating_leaves_the_global_generators_alone() -> None:
    np.random.seed(5)
    expected = np.random.random(3)
    np.random.seed(5)
    _generate()
    assert (np.random.random(3) == expected).all()


def _squares() -> dict[str, np.ndarray]:
    return {"squares": np.arange(200_000.0) ** 2}


def _read(file: Path) -> float:
    return float(cached_arrays(file, _squares)["squares"][-1])


def test_many_processes_share_one_file(tmp_path: Path) -> None:
    """Four start at once on an empty directory; each reads or makes the whole array, and one file is left."""
    file = tmp_path / "deep" / "squares.npz"
    code = (
        "import sys, pathlib, numpy as np\n"
        "from actsearch.tasks.disk_cache import cached_arrays\n"
        "make = lambda: {'squares': np.arange(2_000_000.0) ** 2}\n"
        "sys.stdin.read()\n"  # all wait here until all have imported
        "print(cached_arrays(pathlib.Path(sys.argv[1]), make)['squares'].sum())\n"
    )
    command = [sys.executable, "-c", code, str(file)]
    started = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    found = [process.communicate()[0].strip() for process in started]
    assert set(found) == {str((np.arange(2_000_000.0) ** 2).sum())}
    assert [left.name for left in file.parent.iterdir()] == ["squares.npz"]


def test_a_kept_file_is_not_made_again(tmp_path: Path) -> None:
    file = tmp_path / "squares.npz"
    _read(file)

    def never() -> dict[str, np.ndarray]:
        raise AssertionError("made again")

    assert cached_arrays(file, never)["squares"][2] == 4


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 torn", b"\x80\x04K\x01."])
def test_a_damaged_file_is_replaced(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "squares.npz"
    file.write_bytes(content)
    assert _read(file) == 199_999.0**2
    with np.load(file) as stored:
        assert stored["squares"][2] == 4


def test_where_nothing_can_be_written_nothing_is_kept(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    assert _read(blocked / "squares.npz") == 199_999.0**2
