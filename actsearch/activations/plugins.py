"""Families that installed packages bring along, by the entry point group `actsearch.families`."""

from __future__ import annotations

import warnings
from importlib.metadata import entry_points

GROUP = "actsearch.families"


def load_plugins() -> None:
    """Import what every installed distribution names in the group; importing a module declares its families.

    A plugin that cannot be imported, or declares a name that is taken, costs only itself: a warning says why.
    """
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        try:
            point.load()
        except Exception as error:  # somebody else's code: whatever it raises
            reason = f"{type(error).__name__}: {error}"
            warnings.warn(f"activation families of {point.value!r} are left out: {reason}", stacklevel=2)
