"""JSON Schema of declared parameters: for forms, editors and validators outside Python."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from actsearch.schemas.catalogue import ParameterInfo

_TYPES = {"float": "number", "int": "integer", "bool": "boolean", "text": "string"}


def json_schema(parameters: Sequence[ParameterInfo]) -> dict[str, Any]:
    """The schema (draft 2020-12) of an object of these parameters: all may be left out, no other may be there."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {parameter.name: _property(parameter) for parameter in parameters},
        "additionalProperties": False,
    }


def _property(parameter: ParameterInfo) -> dict[str, Any]:
    found: dict[str, Any] = {"default": parameter.default, "description": parameter.description}
    if parameter.type == "choice":
        return found | {"enum": list(parameter.choices or ())}
    if parameter.type == "list":
        return found | {"type": "array", "items": {"type": "string"}}
    ends = {"minimum": parameter.low, "maximum": parameter.high}
    return found | {"type": _TYPES[parameter.type]} | {name: end for name, end in ends.items() if end is not None}
