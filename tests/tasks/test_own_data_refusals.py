"""Own data that cannot be used are refused with the file, column, shape or class; nothing outside is ever opened."""

from __future__ import annotations

import contextlib
import json
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from actsearch.errors import ActsearchError, InvalidRequest, NotFound
from actsearch.tasks import get_task, load, own_task

if TYPE_CHECKING:
    from conftest import OwnData

X, Y = np.random.default_rng(0).normal(size=(30, 2)), np.arange(30) % 2


def refusal(name: str) -> str:
    """The message `data:name` is refused with."""
    with pytest.raises(InvalidRequest) as caught:
        get_task(f"data:{name}")
    assert [problem.field for problem in caught.value.problems] == ["task.name"]
    return str(caught.value)


# --- paths ----------------------------------------------------------------------------------------


@pytest.fixture
def secret(own: OwnData) -> Path:
    """Usable data beside the data directory, which no name may reach."""
    file = own.path.parent / "secret.npz"
    np.savez(file, x=X, y=Y)
    return file


@pytest.mark.parametrize(
    "path",
    [
        "../secret.npz", "../secret", "..", ".", "", "/", "a/../../secret.npz", "./../secret.npz", "..\\secret.npz",
        "//secret.npz", "a//b", "a/", ".hidden", "x\0.npz", "x\n.npz", "~/secret.npz/..",
    ],
)  # fmt: skip
def test_paths_that_are_no_names_are_refused(own: OwnData, secret: Path, path: str) -> None:
    assert "not a path inside the data directory" in refusal(path)


def test_absolute_paths_are_refused(own: OwnData, secret: Path) -> None:
    assert "not a path inside the data directory" in refusal(str(secret))


@given(path=st.lists(st.sampled_from([".", "..", "/", "a", "\\", "~", "%2e", "\0", "secret", ".npz"])).map("".join))
@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_spelling_reaches_the_secret(own: OwnData, secret: Path, path: str) -> None:
    with pytest.raises((InvalidRequest, NotFound)):
        get_task(f"data:{path}")


def test_links_that_leave_the_directory_are_refused(own: OwnData, secret: Path) -> None:
    (own.path / "link.npz").symlink_to(secret)
    (own.path / "folder").symlink_to(secret.parent, target_is_directory=True)
    for name in ("link", "link.npz", "folder/secret", "folder/secret.npz", "folder"):
        assert "leads out of the data directory" in refusal(name)


def test_links_inside_the_directory_are_followed(own: OwnData) -> None:
    (own.path / "alias.npz").symlink_to(own.npz("real", x=X, y=Y))
    assert load("data:alias").outputs == 2


def test_a_link_to_the_directory_itself_is_refused(own: OwnData) -> None:
    (own.path / "all").symlink_to(own.path)
    assert "leads out" in refusal("all")


def test_images_linked_from_outside_are_refused(own: OwnData) -> None:
    folder = own.images("pets", {"cat": 12, "dog": 12})
    outside = own.path.parent / "outside.png"
    outside.write_bytes((folder / "cat" / "000.png").read_bytes())
    (folder / "cat" / "zzz.png").symlink_to(outside)
    assert "'zzz.png' leads out of the data directory" in refusal("pets")


def test_class_folders_linked_from_outside_are_refused(own: OwnData, tmp_path: Path) -> None:
    folder = own.images("pets", {"cat": 12, "dog": 12})
    (tmp_path / "elsewhere").mkdir()
    (folder / "elsewhere").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    assert "'elsewhere' leads out" in refusal("pets")


@pytest.mark.parametrize("filename", ["../../stolen.arrow", "/etc/passwd", "../../../x"])
def test_arrow_files_named_outside_are_refused(own: OwnData, filename: str) -> None:
    folder = own.arrow("d", {"a": list(range(20)), "label": [0, 1] * 10})
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": filename}]}))
    assert "leads out of the data directory" in refusal("d")


def test_arrow_splits_named_outside_are_refused(own: OwnData) -> None:
    (own.path / "d").mkdir()
    (own.path / "d" / "dataset_dict.json").write_text('{"splits": ["train", "../../x"]}')
    (own.path / "d" / "train").symlink_to(own.path.parent, target_is_directory=True)
    assert "leads out of the data directory" in refusal("d")


def test_arrow_images_by_path_are_not_opened(own: OwnData) -> None:
    images = [{"bytes": None, "path": "/etc/passwd"}] * 12
    own.arrow("d", {"image": images, "label": [0, 1] * 6}, images=["image"])
    assert "column 'image' has images by path" in refusal("d")


def test_pickles_are_never_loaded(own: OwnData) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (own.path / "exploded",)

    np.savez(own.path / "objects.npz", x=X, y=np.array([Bomb()] * 30, dtype=object))
    (own.path / "plain.npz").write_bytes(pickle.dumps(Bomb()))
    assert "objects.npz: array 'y' holds Python objects" in refusal("objects")
    assert "plain.npz: is not a readable npz file" in refusal("plain")
    assert not (own.path / "exploded").exists()


def test_messages_never_show_where_the_data_directory_is(own: OwnData, secret: Path) -> None:
    (own.path / "broken.npz").write_bytes(b"PK\x03\x04")
    (own.path / "bad.csv").write_text("a,b\n1,2,3,4\n1")
    (own.path / "link.npz").symlink_to(secret)
    for name in ("broken", "bad", "link"):
        assert str(own.path.parent) not in refusal(name)


# --- contents -------------------------------------------------------------------------------------


def test_missing_data_list_what_there_is(own: OwnData) -> None:
    own.npz("here", x=X, y=Y)
    with pytest.raises(NotFound, match=r"data:here\.npz"):
        get_task("data:gone")


def test_a_name_of_two_files_asks_for_the_suffix(own: OwnData, houses: pd.DataFrame) -> None:
    own.npz("a", x=X, y=Y)
    own.csv("a", houses)
    assert "names several files" in refusal("a")


def test_unknown_formats(own: OwnData) -> None:
    (own.path / "a.txt").write_text("1 2 3")
    assert "'a.txt' has no known format; use .npz, .csv, .parquet" in refusal("a.txt")


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        ({"x": X}, "a.npz: array 'y' is missing"),
        ({"y": Y}, "a.npz: array 'x' is missing"),
        ({}, "a.npz: array 'x' is missing"),
        ({"x": X, "y": Y, "x_test": X}, "a.npz: array 'y_test' is missing"),
        ({"x": X, "y": Y, "x_val": X}, "a.npz: unknown array 'x_val'"),
        ({"x": X, "y": Y[:20]}, "array 'y' (train): 20 targets for 30 samples"),
        ({"x": X[:5], "y": Y[:5]}, "5 samples are too few"),
        ({"x": X.astype(str), "y": Y}, "array 'x' (train): holds <U"),
        ({"x": X.reshape(30, 2, 1, 1, 1), "y": Y}, "array 'x' (train): has shape (30, 2, 1, 1, 1)"),
        (
            {"x": np.zeros((30, 3, 8, 3)), "y": Y},
            "array 'x': has shape (30, 3, 8, 3), in which the channel axis cannot be told",
        ),
        ({"x": np.where(X > 1, np.nan, X), "y": Y}, "values are NaN or infinite"),
        ({"x": X, "y": np.where(Y, np.inf, 0.5)}, "array 'y' (train): 15 targets are NaN or infinite"),
        ({"x": X, "y": np.zeros(30, int)}, "array 'y': holds 1 class; classification needs 2"),
        ({"x": X, "y": np.array(["a"] * 29 + ["b"])}, "class b has 1 of the 3 samples it needs"),
        ({"x": X, "y": np.eye(30)[0].astype(int)}, "for a quantity set `kind` to `regression`, for counts to `count`"),
        ({"x": X, "y": Y, "x_test": X, "y_test": Y + 1}, "array 'y' (test): the training part has no class 2"),
        ({"x": X, "y": Y, "x_test": X[:, :1], "y_test": Y}, "samples differ in shape"),
        ({"x": X, "y": Y + 1j}, "targets of complex128"),
        ({"x": X, "y": np.zeros((30, 2, 2))}, "and shape (30, 2, 2)"),
        ({"x": X, "y": X, "x_test": X, "y_test": X[:, :1]}, "the parts' targets differ in shape"),
        ({"x": X, "y": X[:, 0], "x_test": X, "y_test": np.array(["a"] * 30)}, "the parts' targets differ in type"),
    ],
)
def test_npz_contents(own: OwnData, arrays: dict[str, Any], expected: str) -> None:
    own.npz("a", **arrays)
    message = refusal("a")
    assert expected in message
    assert "a.npz" in message


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "is not a readable csv file"),
        ("a,b\n", "has no rows"),
        ("a\n1\n2\n", "at least one feature"),
        ("a,b\n" + "1,0\n" * 10 + ",1\n", "column 'a' has 1 empty values, the first in data row 11"),
        ("a,b\n" + "1,0\n" * 10 + "1,\n", "column 'b' has 1 empty values, the first in data row 11"),
        (",a,b\n" + "0,1,1\n" * 12, "column 1 has no name"),
        ("5.1,3.5,0\n" + "4.9,3.0,1\n" * 12, "the first row holds values (5.1, 3.5, 0 ...), not names"),
        ("a,b\n1,2,3\n4,5\n", "rows have more values than the first row has names"),
        ("a,b\n1,2\n4,5,6\n", "is not a readable csv file"),
        ("a,b\n" + "x,0\n" * 12, "column 'a' holds text or objects ('x' in data row 1)"),
    ],
)
def test_csv_contents(own: OwnData, content: str, expected: str) -> None:
    (own.path / "t.csv").write_text(content)
    message = refusal("t")
    assert expected in message
    assert "t.csv" in message


def test_binary_under_the_name_of_a_table(own: OwnData) -> None:
    (own.path / "t.csv").write_bytes(bytes(range(256)) * 4)
    (own.path / "p.parquet").write_bytes(b"PAR1 nonsense PAR1")
    assert "t.csv" in refusal("t")
    assert "p.parquet" in refusal("p")


def test_an_unknown_column_lists_the_known_ones(own: OwnData, houses: pd.DataFrame) -> None:
    own.csv("h", houses)
    with pytest.raises(InvalidRequest) as caught:
        get_task("data:h:cost")
    assert tuple(caught.value.problems[0].allowed) == ("rooms", "price", "town")
    assert "no column 'cost'" in str(caught.value)


def test_columns_are_for_tables(own: OwnData) -> None:
    own.npz("a", x=X, y=Y)
    own.images("i", {"cat": 12, "dog": 12})
    assert "an npz file has no columns" in refusal("a:y")
    assert "a folder of images has no columns" in refusal("i:cat")


def test_folders_without_images(own: OwnData) -> None:
    (own.path / "none").mkdir()
    (own.path / "empty" / "cat").mkdir(parents=True)
    own.images("one", {"cat": 12})
    assert "none: holds no folders with images" in refusal("none")
    assert "empty/cat: class folder without images" in refusal("empty")
    assert "class folders: holds 1 class" in refusal("one")


def test_a_file_that_is_no_image_is_named(own: OwnData) -> None:
    folder = own.images("pets", {"cat": 12, "dog": 12})
    (folder / "dog" / "bad.jpg").write_bytes(b"\xff\xd8\xff nothing")
    assert "pets/dog/bad.jpg: cannot be read as a picture" in refusal("pets")


def test_arrow_contents(own: OwnData) -> None:
    columns: dict[str, Any] = {"a": list(range(20)), "label": [0, 1] * 10}
    (own.arrow("json", columns) / "state.json").write_text("{")
    own.arrow("text", {"words": ["a b"] * 20, "label": [0, 1] * 10})
    own.arrow("ragged", {"x": [[0.0] * (1 + i % 2) for i in range(20)], "label": [0, 1] * 10})
    own.arrow("empty", {"a": [None, *range(19)], "label": [0, 1] * 10})
    own.arrow("unlabelled", {"a": list(range(20)), "label": [-1] * 10 + [0] * 10}, classes={"label": ["no", "yes"]})
    (own.arrow("torn", columns) / "data-00000-of-00001.arrow").write_bytes(b"\0" * 100)
    assert "state.json cannot be read" in refusal("json")
    assert "column 'words' holds" in refusal("text")
    assert "the lists of column 'x' differ in length" in refusal("ragged")
    assert "column 'a' has 1 empty values" in refusal("empty")
    assert "no class -1" in refusal("unlabelled")
    assert "its arrow files cannot be read" in refusal("torn")
    assert "no column 'z'" in refusal("torn:z")


@given(at=st.integers(0, 2000), byte=st.integers(0, 255), cut=st.integers(1, 2000))
@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_npz_files_raise_nothing_but_our_errors(own: OwnData, at: int, byte: int, cut: int) -> None:
    """Whatever byte is wrong and wherever the file ends: a task, or a refusal."""
    np.savez_compressed(own.path / "d.npz", x=X, y=Y)
    content = bytearray((own.path / "d.npz").read_bytes())
    content[at % len(content)] = byte
    (own.path / "d.npz").write_bytes(content[: max(cut, len(content) - cut)])
    with contextlib.suppress(ActsearchError):
        own_task("data:d", own.path)
