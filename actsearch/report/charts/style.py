"""How charts look, and how they become files."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

# Colours that the page replaces by its own, so that one drawing serves light and dark.
INK, GRID = "#1b1e23", "#d5d9e0"
WINNER, BASELINE, QUIET = "#3b76e0", "#d98512", "#8a94a6"
OTHERS = ("#2a9d75", "#8d63d2", "#c9517f", "#4b9bb5", "#a3803a", "#c65b3c")
WIDTH = 7.2

_STYLE: Any = {
    "axes.edgecolor": GRID,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "font.size": 10,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 2,
    "svg.fonttype": "none",
    "text.color": INK,
    "text.parse_math": False,  # names are no formulas
    "xtick.color": INK,
    "ytick.color": INK,
    "figure.facecolor": "white",
}
_ALONE = Lock()  # matplotlib's settings are global


@contextmanager
def drawing() -> Iterator[None]:
    """Inside, figures are drawn in the report's style, by one thread at a time."""
    with _ALONE, mpl.rc_context(_STYLE):
        yield


def new_figure(height: float, columns: int = 1, *, sharex: bool = False, sharey: bool = False) -> tuple[Figure, Any]:
    """A figure of the page's width, and its axes from left to right."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, list(figure.subplots(1, columns, squeeze=False, sharex=sharex, sharey=sharey)[0])


def svg(figure: Figure, name: str, *, inline: bool) -> bytes:
    """The figure as SVG; the same figure gives the same bytes.

    Args:
        name: makes ids differ between drawings of one page.
        inline: colours of the page, no background, no XML declaration.
    """
    buffer = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", transparent=inline, metadata={"Date": None, "Creator": None})
    if not inline:
        return buffer.getvalue()
    text = buffer.getvalue().decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r' id="(?![mp][0-9a-f]{10})[^"]*"', "", text)  # only ids that something refers to
    text = text.replace(INK, "currentColor").replace(GRID, "var(--grid)")
    text = re.sub(r'<svg height="[^"]*"', '<svg role="img"', text)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    return text.encode()


def png(figure: Figure) -> bytes:
    """The figure as PNG, 200 dots an inch."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=200)
    return buffer.getvalue()
