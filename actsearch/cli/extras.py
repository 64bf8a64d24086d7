"""The parts of actsearch that `pip install actsearch` leaves out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from actsearch.errors import ActsearchError


class MissingExtra(ActsearchError):
    """A command needs packages that are not installed."""

    def __init__(self, package: str) -> None:
        super().__init__(
            f"this command runs part of the service, and {package!r} is not installed: pip install 'actsearch[all]'"
        )


@contextmanager
def needs_extras() -> Iterator[None]:
    """Around imports of the service: say how to install what they miss.

    Raises:
        MissingExtra: a package is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        name = error.name or ""
        if name.split(".", maxsplit=1)[0] == "actsearch":
            raise
        raise MissingExtra(name) from error


def require_extras() -> None:
    """Return if everything that the service runs on is installed, without importing it.

    Raises:
        MissingExtra: a package is not.
    """
    for package in ("fastapi", "procrastinate", "sqlalchemy", "torch", "actsearch_api", "actsearch_workers"):
        if find_spec(package) is None:
            raise MissingExtra(package)
