"""Installed plugins: packages that declare families, architectures or tasks of their own by entry points.

A request never carries code: who may install a package on server and workers decides what they run.
"""

from __future__ import annotations

import warnings
from importlib.metadata import entry_points


def load_plugins(group: str) -> None:
    """Import what installed packages name under an entry-point group, by name in order; importing declares it.

    One that cannot be imported, or declares a taken name, is left out with a warning: it must not stop the service.
    """
    for point in sorted(entry_points(group=group), key=lambda point: point.name):
        try:
            point.load()
        except Exception as error:  # whatever a stranger's module raises
            package = point.dist.name if point.dist else "?"
            reason = f"{type(error).__name__}: {error}"
            message = f"plugin {point.name!r} of package {package!r} ({group}) is left out: {reason}"
            warnings.warn(message, RuntimeWarning, stacklevel=2)
