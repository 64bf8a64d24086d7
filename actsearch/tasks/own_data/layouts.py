"""Which axis of an array holds the channels: what can be known is said, the rest is asked for."""

from __future__ import annotations

from typing import Literal

import numpy as np

from actsearch.tasks.own_data.faults import DataFault
from actsearch.tasks.splits import Array

Layout = Literal["auto", "NCL", "NLC", "NHW", "NCHW", "NHWC"]
LAYOUTS: dict[int, tuple[Layout, ...]] = {3: ("NCL", "NLC", "NHW"), 4: ("NCHW", "NHWC")}
"""What an array of three or four axes may be: N samples, C channels, L steps in time, H rows and W columns."""

MEANINGS: dict[Layout, str] = {
    "NCL": "(N, channels, length)",
    "NLC": "(N, length, channels)",
    "NHW": "(N, H, W), pictures of one channel",
    "NCHW": "(N, channels, H, W)",
    "NHWC": "(N, H, W, channels)",
}

MOST_USUAL_CHANNELS = 4
LEAST_PICTURE_SIDE = 8


def layout_of(x: Array, asked: Layout) -> tuple[Layout | None, str | None]:
    """The layout of inputs (N, ...), and how it came to be known.

    Args:
        x: inputs; one or two axes have no channels, and no layout.
        asked: what the request says; `auto` to find out.

    Returns:
        The layout, and a note where it was guessed.

    Raises:
        DataFault: if it cannot be known, or what was asked for does not fit the number of axes.
    """
    possible = LAYOUTS.get(x.ndim, ())
    if asked != "auto":
        if asked not in possible:
            names = ", ".join(possible) or "none: leave it out"
            raise DataFault(f"has shape {x.shape}, which is not layout {asked}; possible: {names}", possible)
        return asked, None
    if not possible:
        return None, None
    found = _of_pictures(x.shape) if x.ndim == 4 else _of_sequences(x)
    if found is None:
        meant = "; ".join(f"{layout}: {MEANINGS[layout]}" for layout in possible)
        raise DataFault(
            f"has shape {x.shape}, in which the channel axis cannot be told; say `layout` ({meant})", possible
        )
    return found, f"shape {x.shape} is taken for {MEANINGS[found]}; say `layout` if it is not"


def channels_first(x: Array, layout: Layout | None) -> Array:
    """The inputs as the networks take them: (N, C, L) or (N, C, H, W)."""
    if layout == "NHW":
        return x[:, None]
    return np.moveaxis(x, -1, 1) if layout in ("NLC", "NHWC") else x


def _of_pictures(shape: tuple[int, ...]) -> Layout | None:
    """By an axis being short, and by two sides being equal; None if these disagree or say nothing."""
    _, first, middle, last = shape
    few_first, few_last = first <= MOST_USUAL_CHANNELS, last <= MOST_USUAL_CHANNELS
    square_last, square_first = middle == last != first, first == middle != last
    votes: set[Layout] = set()
    if few_first != few_last:
        votes.add("NCHW" if few_first else "NHWC")
    if square_last != square_first:
        votes.add("NCHW" if square_last else "NHWC")
    return votes.pop() if len(votes) == 1 else None


def _of_sequences(x: Array) -> Layout | None:
    """Bytes in two axes are grey pictures; else an axis of a few numbers beside a longer one holds the channels."""
    _, first, last = x.shape
    if x.dtype == np.uint8 and min(first, last) >= LEAST_PICTURE_SIDE:
        return "NHW"
    if first <= MOST_USUAL_CHANNELS and last >= 2 * MOST_USUAL_CHANNELS:
        return "NCL"
    if last <= MOST_USUAL_CHANNELS and first >= 2 * MOST_USUAL_CHANNELS:
        return "NLC"
    return None
