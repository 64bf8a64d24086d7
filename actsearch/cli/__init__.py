"""The command `actsearch`."""

from actsearch.cli.application import app

__all__ = ["app"]
