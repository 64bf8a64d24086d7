"""Writes docs/own-networks.md from what the tests expect of other people's networks (tests/own_networks/zoo).

Run it after a change there: `python docs/generate_own_networks.py`. No network is made, only the declarations are read.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests" / "own_networks"))

from zoo import NETWORKS, OwnNetwork  # noqa: E402

HEAD = """# Networks of other libraries

Which activations [`swap_activations`](swapping.md) and [`actsearch.search`](in-process.md) find in networks that were not
written for actsearch. Written by `docs/generate_own_networks.py` from what `tests/own_networks` checks; do not edit. The
tests make each network small, with random weights, and check that

- the places below are found or left, and no others;
- with another function the outputs differ in training and in evaluation, with and without gradients;
- with the same function at each place the outputs are equal bit by bit, and one changed place changes only what comes
  behind it;
- weights keep their names and values, but for those that belonged to a replaced activation (last column);
- copies (`copy.deepcopy`, `pickle`) compute the same;
- a small `actsearch.search` ends with a verdict.

In paths, `#` stands for a number.

| network | activations found | left as they are | weights that go |
|---|---|---|---|
"""


def page() -> str:
    """The whole page."""
    return HEAD + "".join(map(row, NETWORKS))


def row(network: OwnNetwork) -> str:
    """A network's line of the table."""
    cells = [network.origin, _listed(network.found), _listed(network.left), _names(network.lost_keys)]
    return "| " + " | ".join(cells) + " |\n"


def _listed(places: Mapping[str, tuple[int, str]]) -> str:
    return "<br>".join(f"{number} × `{path or 'itself'}`: {what}" for path, (number, what) in places.items())


def _names(keys: tuple[str, ...]) -> str:
    return "<br>".join(f"`{key}`" for key in keys)


if __name__ == "__main__":
    (HERE / "own-networks.md").write_text(page(), encoding="utf-8")
