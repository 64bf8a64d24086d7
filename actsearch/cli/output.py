"""Where output goes: results to standard output, the rest to standard error."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import typer
from pydantic import BaseModel
from pydantic_core import to_json
from rich.console import Console

PIPE_WIDTH = 160


def console() -> Console:
    """Standard output; wide enough for every table where nobody's window bounds it."""
    return Console(width=None if sys.stdout.isatty() else PIPE_WIDTH)


def say(message: str) -> None:
    """Tell the person at the terminal something that is not the result."""
    typer.echo(message, err=True)


def explain(error: Exception | str) -> None:
    """Say what went wrong and how to fix it."""
    first, *rest = str(error).splitlines() or [type(error).__name__]
    typer.echo(typer.style("error: ", fg="red", bold=True) + first, err=True)
    for line in rest:
        typer.echo(line, err=True)


def print_json(value: BaseModel | Sequence[BaseModel] | dict[str, Any]) -> None:
    """Print a value as JSON, for programs."""
    typer.echo(to_json(value, indent=2, inf_nan_mode="null").decode())
