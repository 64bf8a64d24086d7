"""Unknown tasks and wrong parameters are refused with their field and what is allowed."""

from __future__ import annotations

import pytest

from actsearch.errors import InvalidRequest, NotFound
from actsearch.schemas import Scalar
from actsearch.tasks import get_task, load, resolve_parameters


def test_defaults_fill_in() -> None:
    assert resolve_parameters(get_task("sunspots"), {"window": 12}) == {"window": 12, "horizon": 1}


@pytest.mark.parametrize(
    ("task", "given", "field"),
    [
        ("digits", {"split_sed": 1}, "split_sed"),
        ("digits", {"split_seed": -1}, "split_seed"),
        ("digits", {"split_seed": 2**31}, "split_seed"),
        ("digits", {"split_seed": 1.5}, "split_seed"),
        ("digits", {"split_seed": True}, "split_seed"),
        ("digits", {"split_seed": "1"}, "split_seed"),
        ("sunspots", {"window": 3}, "window"),
        ("image_fit", {"photo": "../../etc/passwd"}, "photo"),
        ("image_fit", {"photo": 3}, "photo"),
    ],
)
def test_a_wrong_parameter_is_named(task: str, given: dict[str, Scalar], field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        load(task, given)
    assert [problem.field for problem in caught.value.problems] == [field]


def test_all_wrong_parameters_are_named_at_once() -> None:
    with pytest.raises(InvalidRequest) as caught:
        load("image_fit", {"photo": "cat", "size": 7, "colour": "red"})
    assert {problem.field for problem in caught.value.problems} == {"photo", "size", "colour"}
    allowed = {problem.field: tuple(problem.allowed) for problem in caught.value.problems}
    assert allowed["photo"] == ("china", "flower")
    assert "size" in allowed["colour"]


def test_a_whole_float_is_an_int() -> None:
    assert load("wine", {"split_seed": 3.0}) is load("wine", {"split_seed": 3})


def test_an_unknown_task_lists_the_known_ones() -> None:
    with pytest.raises(NotFound, match="digits"):
        load("nope")
