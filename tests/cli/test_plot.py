"""Plots in a terminal: the dots are where the curve is."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actsearch.cli.plot import Points, plot

BITS = {0x01: (0, 0), 0x02: (1, 0), 0x04: (2, 0), 0x40: (3, 0), 0x08: (0, 1), 0x10: (1, 1), 0x20: (2, 1), 0x80: (3, 1)}


def dots(points: Points, width: int = 40, height: int = 10) -> set[tuple[int, int]]:
    """(row, column) of the dots of a curve alone, without those of the axes."""
    rows = plot([(points, "bold")], width, height).plain.splitlines()[:height]
    found = set()
    for row, line in enumerate(rows):
        for column, character in enumerate(line[-width:]):
            bits = ord(character) - 0x2800
            found |= {(4 * row + r, 2 * column + c) for bit, (r, c) in BITS.items() if bits & bit}
    return found


def sampled(function: object, low: float = -4, high: float = 4) -> Points:
    xs = [low + (high - low) * i / 80 for i in range(81)]
    return [(x, function(x)) for x in xs]  # type: ignore[operator]


def test_a_rising_line_goes_from_the_lower_left_to_the_upper_right() -> None:
    found = dots(sampled(lambda x: x))
    diagonal = {(round(39 - 39 * (0.05 + 0.9 * c / 79) / 1.0), c) for c in range(80)}
    near = {(r + d, c) for r, c in diagonal for d in (-1, 0, 1)}
    assert all({(r - 1, c), (r, c), (r + 1, c)} & found for r, c in diagonal)
    assert len(found - near) < 130  # the axes


def test_a_steep_curve_has_no_gaps() -> None:
    found = dots(sampled(lambda x: math.tanh(50 * x)))
    middle = {r for r, c in found if c in (39, 40)}
    assert set(range(3, 37)) <= middle


def test_the_edges_are_labelled() -> None:
    text = plot([(sampled(lambda x: 2 * x, -1, 3), "")], 40, 8).plain
    first, *_, last = text.splitlines()
    assert first.split()[0] == "6.4"
    assert last.split() == ["-1", "3"]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(ys=st.lists(st.floats(-1e9, 1e9), min_size=2, max_size=30), width=st.integers(10, 80), height=st.integers(3, 30))
def test_any_curve_fits_its_frame(ys: list[float], width: int, height: int) -> None:
    lines = plot([([(float(i), y) for i, y in enumerate(ys)], "red")], width, height).plain.splitlines()
    assert len(lines) == height + 1
    assert len({len(line) for line in lines[:height]}) == 1


@pytest.mark.parametrize("value", [0.0, 3.0, -2.0])
def test_a_constant_is_a_level_line(value: float) -> None:
    found = dots([(0.0, value), (1.0, value)])
    assert found
