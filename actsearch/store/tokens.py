"""What an API key looks like: `acts_`, 36 random characters, and 6 that check the rest.

Scanners find a leaked key by its prefix and tell it from other text by its checksum, and the service turns away what
was mistyped or cut off without asking the database. Only a keyed hash of it is ever stored.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import string
from zlib import crc32

PREFIX = "acts_"
RANDOM = 36
_CHECK = 6
_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_SHAPE = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{RANDOM + _CHECK}}}")
_HINT = len(PREFIX) + 6


def new_token() -> str:
    """A new key: 214 bits of chance."""
    start = PREFIX + "".join(secrets.choice(_DIGITS) for _ in range(RANDOM))
    return start + _checksum(start)


def is_well_formed(text: str) -> bool:
    """Whether `text` can be a key at all."""
    return _SHAPE.fullmatch(text) is not None and text.endswith(_checksum(text[:-_CHECK]))


def hint(token: str) -> str:
    """How a key begins, enough to tell it from others and too little to use it."""
    return token[:_HINT]


def digest(secret: bytes, token: str) -> str:
    """What is stored of a key. Without the secret nobody can tell a key from it, nor make one up that fits."""
    return hmac.new(secret, token.encode(), hashlib.sha256).hexdigest()


def _checksum(text: str) -> str:
    number, digits = crc32(text.encode()), ""
    for _ in range(_CHECK):
        number, digit = divmod(number, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    return digits
