"""JSON for JSONB columns: what JSON or PostgreSQL's numbers cannot say survives the round trip.

NaN and infinities are the strings "NaN", "Infinity", "-Infinity"; a real string of that kind gets a backslash in front.
Floats from 1e16 on are written with a decimal point, because JSONB would hand back `1e+16` as an integer.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

_WORDS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_RESERVED = re.compile(r"\\*(NaN|-?Infinity)")
_SUSPICIOUS = re.compile(r"NaN|Infinity|e\+")
_LARGE = 1e16
_parse = json.JSONDecoder().raw_decode  # PostgreSQL's own output needs none of the checks of `json.loads`


def encode(value: Any) -> str:
    """`value` as JSON text.

    Raises:
        TypeError: `value` is not JSON-serialisable.
    """
    plain = json.dumps(value)
    if _SUSPICIOUS.search(plain) is None:
        return plain
    return _dump(json.loads(plain))


def decode(data: str | bytes) -> Any:
    """The value that `encode` was given (tuples come back as lists)."""
    text = data if isinstance(data, str) else data.decode()
    if text == "{}":  # most attributes of most trials
        return {}
    value, _ = _parse(text)
    return _unmark(value) if "NaN" in text or "Infinity" in text else value


def _dump(value: Any) -> str:
    match value:
        case dict():
            return "{" + ", ".join(f"{json.dumps(key)}: {_dump(item)}" for key, item in value.items()) + "}"
        case list():
            return "[" + ", ".join(_dump(item) for item in value) + "]"
        case float() if math.isfinite(value):
            return f"{value:.1f}" if abs(value) >= _LARGE else repr(value)
        case float():
            return f'"{json.dumps(value)}"'
        case str() if _RESERVED.fullmatch(value):
            return json.dumps("\\" + value)
        case _:
            return json.dumps(value)


def _unmark(value: Any) -> Any:
    match value:
        case dict():
            return {key: _unmark(item) for key, item in value.items()}
        case list():
            return [_unmark(item) for item in value]
        case str() if value in _WORDS:
            return _WORDS[value]
        case str() if _RESERVED.fullmatch(value):
            return value[1:]
        case _:
            return value
