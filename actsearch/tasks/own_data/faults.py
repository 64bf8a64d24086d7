"""What is wrong with data, before it is known which field of which request they came from."""

from __future__ import annotations

from collections.abc import Sequence


class DataFault(Exception):
    """Data that cannot be used as they are; the message names what was found, where, and how to fix it.

    Args:
        message: without the file or argument that the data came from.
        allowed: what could have been named instead.
    """

    def __init__(self, message: str, allowed: Sequence[str] = ()) -> None:
        self.message, self.allowed = message, tuple(allowed)
        super().__init__(message)
