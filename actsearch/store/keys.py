"""API keys: made, found, listed, revoked. What a key is: see `tokens`; what it is hashed with: see `key_secrets`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Connection, Row, insert, text
from uuid_utils.compat import uuid7

from actsearch.errors import FieldProblem, InvalidRequest, NotFound
from actsearch.schemas import KeyInfo, KeyScope
from actsearch.store import audit
from actsearch.store.key_secrets import secret_id
from actsearch.store.models import ApiKeyRow
from actsearch.store.tokens import digest, hint, is_well_formed, new_token

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,99}")
CLIENT_NAMES = "takes 1 to 100 letters, digits, . _ @ and -; a letter or digit first"
_COLUMNS = "id, name, scope, hint, secret_id, created_at, last_used_at, revoked_at"

_FIND = """
    SELECT id, name, scope, digest, last_used_at IS NULL OR last_used_at < now() - INTERVAL '60 seconds' AS stale
    FROM api_keys WHERE digest = ANY(:digests) AND revoked_at IS NULL
"""
# Of those who use a key at the same time, one writes it down and nobody waits.
_USED = """
    UPDATE api_keys SET last_used_at = now(), digest = :digest, secret_id = :secret
    WHERE id = (SELECT id FROM api_keys WHERE id = :id AND revoked_at IS NULL FOR UPDATE SKIP LOCKED)
"""
_REVOKE = f"UPDATE api_keys SET revoked_at = now() WHERE id = :id RETURNING {_COLUMNS}"  # noqa: S608 - our own words


@dataclass(frozen=True)
class Holder:
    """Whose key it is, and what it allows."""

    name: str
    scope: KeyScope


@dataclass(frozen=True)
class FoundKey:
    """An active key."""

    id: UUID
    holder: Holder


def create_key(
    connection: Connection, secrets: Sequence[bytes], name: str, scope: KeyScope, by: str | None = None
) -> tuple[str, KeyInfo]:
    """Make a key; the first part of the result is the key itself, which nothing shows again.

    Args:
        secrets: see `key_secrets`; newest first, at least one.
        name: of the client; one that another key has stands for the same client.
        scope: what it allows.
        by: who makes it, for the audit.

    Raises:
        InvalidRequest: the name has other characters than `A-Za-z0-9._@-` or more than 100, or the keys in the database
            were made with secrets that this machine does not have.
    """
    if not is_client_name(name):
        raise InvalidRequest(FieldProblem("name", CLIENT_NAMES))
    if _active(connection, secrets) and (problem := why_unusable(connection, secrets)):
        raise InvalidRequest(FieldProblem("ACTSEARCH_KEY_SECRET", problem))
    token = new_token()
    values = {
        "id": uuid7(),
        "name": name,
        "scope": scope,
        "hint": hint(token),
        "digest": digest(secrets[0], token),
        "secret_id": secret_id(secrets[0]),
    }
    connection.execute(insert(ApiKeyRow).values(values))
    audit.record(connection, "key", by, action="created", key=hint(token), name=name, scope=scope)
    row = connection.execute(
        text(f"SELECT {_COLUMNS} FROM api_keys WHERE id = :id"),  # noqa: S608 - our own words
        {"id": values["id"]},
    )
    return token, _info(row.one(), secrets)


def is_client_name(name: str) -> bool:
    """Whether a client can be called so."""
    return _NAME.fullmatch(name) is not None


def find_holder(connection: Connection, secrets: Sequence[bytes], token: str) -> Holder | None:
    """Whose key `token` is: see `find_key`."""
    found = find_key(connection, secrets, token)
    return None if found is None else found.holder


def find_key(connection: Connection, secrets: Sequence[bytes], token: str) -> FoundKey | None:
    """The key that `token` is, None if it is nobody's or revoked; remembers to the minute that it was used.

    Args:
        secrets: see `key_secrets`; newest first.
    """
    if not secrets or not is_well_formed(token):
        return None
    # Found by an index on hashes under a secret: how long that takes tells nothing about keys.
    digests = [digest(secret, token) for secret in secrets]
    found = connection.execute(text(_FIND), {"digests": digests}).first()
    if found is None:
        return None
    if found.stale or found.digest != digests[0]:
        connection.execute(text(_USED), {"id": found.id, "digest": digests[0], "secret": secret_id(secrets[0])})
    return FoundKey(found.id, Holder(found.name, KeyScope(found.scope)))


def list_keys(connection: Connection, secrets: Sequence[bytes]) -> list[KeyInfo]:
    """All keys, revoked ones too, in the order in which they were made."""
    rows = connection.execute(text(f"SELECT {_COLUMNS} FROM api_keys ORDER BY created_at, id"))  # noqa: S608
    return [_info(row, secrets) for row in rows]


def why_unusable(connection: Connection, secrets: Sequence[bytes]) -> str | None:
    """Why no key would let anyone in, and what to do about it; None if some key would."""
    active = _active(connection, secrets)
    if not active:
        return "the database has no API key; make the first: actsearch keys create --name admin --scope admin"
    if all(key.hashed_with == "unknown" for key in active):
        return (
            "the keys in the database were made with a secret that this machine does not have; set the same "
            "ACTSEARCH_KEY_SECRET on every machine, or revoke them all"
        )
    return None


def revoke_key(connection: Connection, secrets: Sequence[bytes], wanted: str, by: str | None = None) -> KeyInfo:
    """Revoke a key: from the next request on it is nobody's, and the sessions that began with it are over.

    Args:
        secrets: see `key_secrets`; newest first.
        wanted: its id or a start of it, how it begins or all of it, or the name of a client with one key.
        by: who revokes it, for the audit.

    Raises:
        NotFound: no active key fits, or several do.
    """
    if is_well_formed(wanted):
        wanted = hint(wanted)
    active = _active(connection, secrets)
    fitting = [key for key in active if _fits(key, wanted)]
    if len(fitting) != 1:
        kind = "single active key" if fitting else "active key"
        raise NotFound(kind, wanted, [f"{key.id} ({key.name}, {key.hint}...)" for key in fitting or active])
    [key] = fitting
    connection.execute(text("DELETE FROM sessions WHERE key_id = :id"), {"id": key.id})
    audit.record(connection, "key", by, action="revoked", key=key.hint, name=key.name, scope=key.scope)
    return _info(connection.execute(text(_REVOKE), {"id": key.id}).one(), secrets)


def _active(connection: Connection, secrets: Sequence[bytes]) -> list[KeyInfo]:
    return [key for key in list_keys(connection, secrets) if key.revoked_at is None]


def _fits(key: KeyInfo, wanted: str) -> bool:
    return wanted in (key.name, key.hint) or (len(wanted) >= 4 and key.id.hex.startswith(wanted.replace("-", "")))


def _info(row: Row[Any], secrets: Sequence[bytes]) -> KeyInfo:
    known = [secret_id(secret) for secret in secrets]
    state: Literal["current", "older", "unknown"] = "unknown"
    if row.secret_id in known:
        state = "older" if known.index(row.secret_id) else "current"
    return KeyInfo(
        id=UUID(str(row.id)),
        name=row.name,
        scope=KeyScope(row.scope),
        hint=row.hint,
        hashed_with=state,
        created_at=row.created_at,
        last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
    )
