"""Curves in a terminal, drawn with the dots of braille characters: two across and four down in each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from rich.text import Text

WIDTH, HEIGHT = 60, 16  # characters
_BLANK = 0x2800
_BITS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # of the dot at (row, column)

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class _Frame:
    left: float
    right: float
    bottom: float
    top: float


def plot(curves: Sequence[tuple[Points, str]], width: int = WIDTH, height: int = HEIGHT) -> Text:
    """Curves over common axes, with the axes through zero and the range written at the edges.

    Args:
        curves: points (x, y) of each, left to right, and its style; later ones are drawn over earlier ones.
        width, height: in characters, without the labels.
    """
    xs, ys = zip(*(point for points, _ in curves for point in points), strict=True)
    frame = _Frame(min(xs), max(xs), *_range(ys))
    cells = [[(_BLANK, "") for _ in range(width)] for _ in range(height)]

    def dot(x: float, y: float, style: str) -> None:
        column = round((x - frame.left) / (frame.right - frame.left) * (2 * width - 1))
        row = round((frame.top - y) / (frame.top - frame.bottom) * (4 * height - 1))
        if 0 <= row < 4 * height and 0 <= column < 2 * width:
            bits, old = cells[row // 4][column // 2]
            cells[row // 4][column // 2] = (bits | _BITS[row % 4][column % 2], style or old)

    for points, style in [*_axes(frame, width, height), *curves]:
        for x, y in _dense(points, (frame.top - frame.bottom) / (4 * height)):
            dot(x, y, style)
    return _lettered(cells, frame)


def _range(ys: Sequence[float]) -> tuple[float, float]:
    """From the lowest to the highest, zero and a little room included."""
    bottom, top = min(*ys, 0.0), max(*ys, 0.0)
    room = 0.05 * (top - bottom) or 1.0
    return bottom - room, top + room


def _axes(frame: _Frame, width: int, height: int) -> list[tuple[Points, str]]:
    """A dot in every column along y = 0, and two in every line along x = 0."""
    across = [(frame.left + (frame.right - frame.left) * i / width, 0.0) for i in range(width + 1)]
    up = [(0.0, frame.bottom + (frame.top - frame.bottom) * i / (2 * height)) for i in range(2 * height + 1)]
    return [([point], "dim") for point in across + (up if frame.left < 0 < frame.right else [])]


def _dense(points: Points, step: float) -> list[tuple[float, float]]:
    """The points, and others between two that are further than a dot apart in height: a steep curve has no gaps."""
    found = list(points[:1])
    for (x0, y0), (x1, y1) in pairwise(points):
        pieces = min(max(1, round(abs(y1 - y0) / step)), 1000)
        found += [(x0 + (x1 - x0) * i / pieces, y0 + (y1 - y0) * i / pieces) for i in range(1, pieces + 1)]
    return found


def _lettered(cells: Sequence[Sequence[tuple[int, str]]], frame: _Frame) -> Text:
    left, right, bottom, top = (f"{edge:.3g}" for edge in (frame.left, frame.right, frame.bottom, frame.top))
    margin = max(len(bottom), len(top)) + 1
    text = Text()
    for row, line in enumerate(cells):
        label = top if row == 0 else bottom if row == len(cells) - 1 else ""
        text.append(f"{label:>{margin}} ")
        for bits, style in line:
            text.append(chr(bits), style=style)
        text.append("\n")
    return text.append(" " * (margin + 1) + left + right.rjust(len(cells[0]) - len(left)) + "\n")
