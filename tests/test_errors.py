"""What errors say of names that do not exist."""

from __future__ import annotations

import pytest

from actsearch.activations import families
from actsearch.errors import NotFound, unknown


@pytest.mark.parametrize(("given", "meant"), [("gelo", "gelu"), ("leakyrelu", "leaky_relu"), ("relU", "relu")])
def test_a_name_that_is_nearly_right_is_guessed(given: str, meant: str) -> None:
    said = unknown("family", given, tuple(families()))
    assert said.startswith(f"there is no family {given!r}; did you mean ")
    assert meant in said.partition("?")[0]


def test_a_long_list_is_shortened_and_counted() -> None:
    said = unknown("family", "zzz", tuple(families()))
    assert "did you mean" not in said
    assert said.endswith(f"... ({len(families())} in all)")
    assert len(said) < 400


def test_all_of_a_short_list_is_named() -> None:
    assert str(NotFound("part", "tail", ("head", "body"))) == "there is no part 'tail'; choose one of: head, body"
    assert unknown("job", "7") == "there is no job '7'"
