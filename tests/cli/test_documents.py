"""Requests from files and options."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import typer
import yaml
from hypothesis import given
from hypothesis import strategies as st

from actsearch.cli.documents import parse_families, parse_learning_rate, parse_task_parameter, read_document
from actsearch.schemas import JobRequest

YAML = """
task: digits
architecture: {name: mlp, parameters: {width: 32, dropout: 1e-1}}
training: {learning_rate: 1e-3}
space:
  families: [relu, {name: leaky_relu, parameters: {slope: {low: 1e-2, high: .5e0, log: true}}}]
"""


def test_yaml_numbers_in_exponent_form_are_numbers(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text(YAML)
    document = read_document(path)
    assert document["training"]["learning_rate"] == 1e-3
    assert document["architecture"]["parameters"] == {"width": 32, "dropout": 0.1}
    assert JobRequest.model_validate(document, strict=False).task.name == "digits"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=5), json_values, max_size=4))
def test_json_is_read_as_json(document: dict[str, object]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stdin", io.StringIO(json.dumps(document)))
        assert read_document(Path("-")) == document


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_yaml_keeps_floats_and_strings_apart(number: float) -> None:
    with pytest.MonkeyPatch.context() as patch:
        document = {"number": number, "text": "1e-3x", "version": "1.2.3"}
        patch.setattr("sys.stdin", io.StringIO(yaml.safe_dump(document)))
        assert read_document(Path("-")) == document


@pytest.mark.parametrize(
    "content", [b"[1, 2]", b"just words", b"", b"a: [unclosed", b"\xff\xfe\x00", b"a: &x [*x, *y]"]
)
def test_what_is_no_request_is_wrong_use(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "job.yaml"
    path.write_bytes(content)
    with pytest.raises(typer.BadParameter, match=r"job\.yaml"):
        read_document(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(typer.BadParameter, match="No such file"):
        read_document(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("text", "value"), [("1e-3", 1e-3), ("0.1", 0.1), ("1e-4..1e-1", (1e-4, 1e-1)), ("0.1..0.5", (0.1, 0.5))]
)
def test_learning_rates(text: str, value: object) -> None:
    assert parse_learning_rate(text) == value


@pytest.mark.parametrize("text", ["fast", "1e-3..", "..1", "1..2..3", ""])
def test_what_is_no_learning_rate(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="neither a number"):
        parse_learning_rate(text)


def test_families() -> None:
    assert parse_families("relu, gelu,") == ["relu", "gelu"]
    assert parse_families("all") == "all"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("decimal=comma", ("decimal", "comma")),
        ("leave_out=[id, rent]", ("leave_out", ["id", "rent"])),
        ('dates=["sold: %d.%m.%Y"]', ("dates", ["sold: %d.%m.%Y"])),
        ("image_size=64", ("image_size", 64)),
    ],
)
def test_parameters_of_a_task(text: str, expected: tuple[str, object]) -> None:
    assert parse_task_parameter(text) == expected


@pytest.mark.parametrize("text", ["decimal", "decimal=", "a={b: 1}", "a=[b"])
def test_what_is_not_a_parameter_of_a_task(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="NAME=VALUE"):
        parse_task_parameter(text)
