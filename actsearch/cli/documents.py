"""Requests from files and from options."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import typer
import yaml


class _Loader(yaml.SafeLoader):
    """YAML in which `1e-3` is a number, as in JSON and YAML 1.2; PyYAML by itself makes it a string."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+$"),
    list("-+0123456789."),
)


def read_document(path: Path) -> dict[str, Any]:
    """The request in a YAML or JSON file; `-` is standard input.

    Raises:
        typer.BadParameter: it cannot be read, or is not a mapping.
    """
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
        document = _parse(text)
    except OSError as error:
        raise typer.BadParameter(f"cannot read {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{path} is neither YAML nor JSON: {error}") from None
    if not isinstance(document, dict):
        raise typer.BadParameter(f"{path} holds no request: a mapping with `task` in it is wanted")
    return document


def _parse(text: str) -> Any:
    """JSON is almost YAML, but for the likes of escaped emoji: it is tried first."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader


def parse_learning_rate(text: str) -> float | tuple[float, float]:
    """`1e-3` is a fixed learning rate, `1e-4..1e-1` one that is searched.

    Raises:
        typer.BadParameter: neither.
    """
    low, dots, high = text.partition("..")
    try:
        return (float(low), float(high)) if dots else float(low)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is neither a number (1e-3) nor a range (1e-4..1e-1)") from None


def parse_families(text: str) -> str | list[str]:
    """`relu,gelu` is a list of families; `all` is the whole catalogue."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    return "all" if names == ["all"] else names


def parse_task_parameter(text: str) -> tuple[str, Any]:
    """`decimal=comma` or `leave_out=[id, rent]` is a parameter of a task with its value, written as in YAML.

    Raises:
        typer.BadParameter: it is not.
    """
    name, equals, value = text.partition("=")
    try:
        found = _parse(value)
    except yaml.YAMLError:
        found = None
    if not equals or found is None or isinstance(found, dict):
        raise typer.BadParameter(f"{text!r} is not NAME=VALUE, such as decimal=comma or leave_out=[id, rent]")
    return name.strip(), found


def parse_parameter(text: str) -> tuple[str, float]:
    """`slope=0.2` is a hyperparameter with its value.

    Raises:
        typer.BadParameter: it is not.
    """
    name, _, value = text.partition("=")
    try:
        return name.strip(), float(value)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not NAME=NUMBER, such as slope=0.2") from None
