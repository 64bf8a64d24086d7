"""Own data in every format become tasks that load, split and describe themselves like the built-in ones."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import torch

from actsearch.errors import InvalidRequest
from actsearch.schemas import Direction
from actsearch.tasks import describe, get_task, load, own_names

if TYPE_CHECKING:
    from conftest import OwnData

RNG = np.random.default_rng(0)


def test_npz_vectors_with_classes(own: OwnData) -> None:
    own.npz("flowers", x=RNG.normal(3, 2, (100, 4)), y=np.arange(100) % 5)
    data = load("data:flowers")
    assert (data.input_kind, data.input_shape, data.outputs) == ("vector", (4,), 5)
    assert [len(part[0]) for part in (data.train, data.validation, data.test)] == [60, 20, 20]
    assert (data.validation[1].bincount() == 4).all()
    assert data.train[0].mean().abs() < 1e-5


@pytest.mark.parametrize(
    ("shape", "kind"), [((3,), "vector"), ((2, 9), "sequence"), ((3, 8, 8), "image"), ((1, 5, 7), "image")]
)
def test_npz_shapes_tell_the_kind_of_input(own: OwnData, shape: tuple[int, ...], kind: str) -> None:
    own.npz("a", x=RNG.normal(size=(40, *shape)), y=np.arange(40) % 2)
    data = load("data:a.npz")
    assert (data.input_kind, data.input_shape) == (kind, shape)


def test_npz_brings_its_own_parts(own: OwnData) -> None:
    x, y = np.arange(50.0)[:, None], np.repeat(["cat", "dog"], 25)
    own.npz("own", x=x, y=y, x_valid=x[:6] + 0.5, y_valid=y[:6], x_test=x[:3] + 0.25, y_test=y[:3])
    data = load("data:own")
    assert [len(part[0]) for part in (data.train, data.validation, data.test)] == [50, 6, 3]
    assert "split_seed" not in {info.name for info in describe(get_task("data:own"), []).parameters}
    assert data.train[1].tolist() == [0] * 25 + [1] * 25


def test_npz_decimal_targets_are_a_regression(own: OwnData) -> None:
    x = RNG.normal(size=(60, 3))
    own.npz("r", x=x, y=x[:, :2] * 10 + 5)
    task, data = get_task("data:r"), load("data:r")
    assert (task.kind, task.metric, task.directions["mse"]) == ("regression", "mse", Direction.minimize)
    assert data.outputs == 2
    assert data.train[1].mean(0).abs().max() < 1e-5


def test_many_whole_numbers_are_a_quantity(own: OwnData) -> None:
    own.npz("prices", x=RNG.normal(size=(400, 2)), y=np.arange(400))
    assert get_task("data:prices").kind == "regression"


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_tables_take_the_last_column_or_the_one_named(own: OwnData, houses: pd.DataFrame, suffix: str) -> None:
    frame = houses.assign(garden=houses.index % 2 == 0)[["rooms", "price", "garden"]]
    if suffix == "parquet":
        frame.to_parquet(own.path / "houses.parquet")
    else:
        own.csv("houses", frame)
    assert "classification of column 'garden'" in get_task("data:houses").description
    assert load("data:houses").outputs == 2
    assert get_task("data:houses:price").kind == "regression"
    data = load("data:houses:rooms")
    assert (data.outputs, data.input_shape) == (5, (2,))


def test_a_column_of_names_can_be_the_target(own: OwnData, houses: pd.DataFrame) -> None:
    own.csv("houses", houses)
    assert load("data:houses:town").outputs == 3


def test_csv_with_text_among_its_features_names_the_column(own: OwnData, houses: pd.DataFrame) -> None:
    own.csv("h", houses)
    with pytest.raises(InvalidRequest, match=r"h\.csv: column 'town' holds text or objects \('A' in data row 1\)"):
        get_task("data:h:price")


def test_image_folder(own: OwnData) -> None:
    own.images("pets", {"cat": 12, "dog": 12})
    task, data = get_task("data:pets"), load("data:pets", {"image_size": 8})
    assert (data.input_kind, data.input_shape, data.outputs) == ("image", (3, 8, 8), 2)
    assert load("data:pets").input_shape == (3, 32, 32)
    assert task.kind == "classification"
    bright = data.train[0].mean((1, 2, 3)) > 0
    assert torch.equal(bright, data.train[1] == 1)


def test_image_folder_with_parts(own: OwnData) -> None:
    for part, count in (("train", 10), ("valid", 4), ("test", 5)):
        own.images(f"pets/{part}", {"cat": count, "dog": count})
    data = load("data:pets")
    assert [len(part[0]) for part in (data.train, data.validation, data.test)] == [20, 8, 10]


def test_a_folder_below_the_data_directory(own: OwnData) -> None:
    own.npz("plants/leaves", x=RNG.normal(size=(30, 2)), y=np.arange(30) % 2)
    assert load("data:plants/leaves").outputs == 2


def test_arrow_dataset_with_class_names(own: OwnData) -> None:
    columns = {"a": list(range(30)), "b": [i / 7 for i in range(30)], "label": [i % 3 for i in range(30)]}
    own.arrow("saved", columns, classes={"label": ["x", "y", "z", "never seen"]})
    data = load("data:saved")
    assert (data.input_shape, data.outputs) == ((2,), 4)
    assert get_task("data:saved:b").kind == "regression"


def test_arrow_lists_are_vectors_and_splits_are_parts(own: OwnData) -> None:
    columns: dict[str, Any] = {"x": RNG.normal(size=(24, 5)).tolist(), "y": [i % 2 for i in range(24)]}
    for part in ("train", "test"):
        own.arrow(f"d/{part}", columns)
    (own.path / "d" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    data = load("data:d")
    assert data.input_shape == (5,)
    assert len(data.test[0]) == 24
    assert len(data.train[0]) + len(data.validation[0]) == 24


def test_arrow_images(own: OwnData) -> None:
    folder = own.images("made", {"p": 12}) / "p"
    images = [{"bytes": file.read_bytes(), "path": None} for file in sorted(folder.iterdir())]
    columns = {"image": images, "label": [0, 1] * 6}
    own.arrow("i", columns, images=["image"], classes={"label": ["a", "b"]})
    assert load("data:i", {"image_size": 16}).input_shape == (3, 16, 16)


def test_changed_files_are_read_again_and_unchanged_ones_are_not(own: OwnData) -> None:
    file = own.npz("c", x=RNG.normal(size=(30, 2)), y=np.arange(30) % 2)
    first = load("data:c")
    assert load("data:c") is first
    own.npz("c", x=RNG.normal(size=(30, 7)), y=np.arange(30) % 2)
    os.utime(file, ns=(1, 1))
    assert load("data:c").input_shape == (7,)


def test_the_split_seed_decides_the_parts(own: OwnData) -> None:
    own.npz("s", x=np.arange(40.0)[:, None], y=np.arange(40) % 2)
    first, again, other = (load("data:s", {"split_seed": seed}) for seed in (0, 0, 1))
    assert first is again
    assert not torch.equal(first.test[0], other.test[0])


def test_names_are_listed(own: OwnData, houses: pd.DataFrame) -> None:
    own.csv("b", houses)
    own.images("a", {"p": 1})
    (own.path / ".hidden.csv").write_text("")
    assert own_names(own.path) == ("data:a", "data:b.csv")
    assert own_names(own.path / "missing") == ()


def test_loss_and_metrics_fit_the_data(own: OwnData) -> None:
    own.csv("t", pd.DataFrame({"a": RNG.normal(size=40), "b": RNG.normal(size=40)}))
    task, data = get_task("data:t"), load("data:t")
    outputs = torch.zeros(len(data.test[0]), data.outputs)
    assert data.test is not None
    assert set(task.measured(outputs, data.test, task.directions)) == set(task.directions)
    assert task.loss(lambda x: x, data.train).shape == ()
