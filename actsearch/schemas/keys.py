"""API keys as their operators see them: everything but the key itself."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal
from uuid import UUID

from actsearch.schemas.base import Schema


class KeyScope(StrEnum):
    """What the holder of a key may do; each scope includes the ones before it."""

    read = "read"
    submit = "submit"
    admin = "admin"

    def includes(self, other: KeyScope) -> bool:
        """Whether whoever has this scope may do what `other` allows."""
        scopes = list(KeyScope)
        return scopes.index(self) >= scopes.index(other)


class KeyInfo(Schema):
    """An API key.

    Args:
        name: of the client that uses it; keys with the same name are the same client.
        hint: how the key begins.
        hashed_with: which of the server's secrets it was last used under; keys under an `unknown` one are not accepted.
        last_used_at: to the minute.
    """

    id: UUID
    name: str
    scope: KeyScope
    hint: str
    hashed_with: Literal["current", "older", "unknown"]
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None
