"""Sessions of people who showed an API key once, in a browser. A session ends with its key, and may do what that does.

The database knows a session by a hash under the secret of the keys, as it does keys: nothing in it lets anyone in.
"""

from __future__ import annotations

import re
import secrets as chance
from collections.abc import Sequence

from sqlalchemy import Connection, text

from actsearch.schemas import KeyScope
from actsearch.store import audit
from actsearch.store.keys import Holder, find_key
from actsearch.store.tokens import digest

_SHAPE = re.compile(r"[A-Za-z0-9_-]{43}")

_FORGET = "DELETE FROM sessions WHERE expires_at < now()"
_START = """
    INSERT INTO sessions (digest, key_id, expires_at)
    VALUES (:digest, :key, now() + make_interval(secs => :lifetime))
"""
_FIND = """
    SELECT k.id, k.name, k.scope, k.last_used_at IS NULL OR k.last_used_at < now() - INTERVAL '60 seconds' AS stale
    FROM sessions s JOIN api_keys k ON k.id = s.key_id
    WHERE s.digest = ANY(:digests) AND s.expires_at > now() AND k.revoked_at IS NULL
"""
_USED = """
    UPDATE api_keys SET last_used_at = now()
    WHERE id = (SELECT id FROM api_keys WHERE id = :id FOR UPDATE SKIP LOCKED)
"""
_END = """
    DELETE FROM sessions s USING api_keys k WHERE k.id = s.key_id AND s.digest = ANY(:digests) RETURNING k.name
"""


def start_session(
    connection: Connection, secrets: Sequence[bytes], key: str, lifetime: float, where: str
) -> tuple[str, Holder] | None:
    """Begin a session for who shows a key; None if the key is nobody's. The result has the session's id, shown once.

    Args:
        secrets: see `key_secrets`; newest first.
        key: what was shown.
        lifetime: seconds until the session ends by itself.
        where: address that it is asked from, for the audit.
    """
    found = find_key(connection, secrets, key)
    if found is None:
        return None
    connection.execute(text(_FORGET))
    identity = chance.token_urlsafe(32)
    values = {"digest": digest(secrets[0], identity), "key": found.id, "lifetime": lifetime}
    connection.execute(text(_START), values)
    audit.record(connection, "session", found.holder.name, action="began", address=where)
    return identity, found.holder


def find_session(connection: Connection, secrets: Sequence[bytes], identity: str) -> Holder | None:
    """Whose session it is; None if it is nobody's, is over, or its key is revoked."""
    if not secrets or not is_well_formed(identity):
        return None
    found = connection.execute(text(_FIND), {"digests": _digests(secrets, identity)}).first()
    if found is None:
        return None
    if found.stale:
        connection.execute(text(_USED), {"id": found.id})
    return Holder(found.name, KeyScope(found.scope))


def end_session(connection: Connection, secrets: Sequence[bytes], identity: str) -> None:
    """End a session, if there is one."""
    ended = connection.execute(text(_END), {"digests": _digests(secrets, identity)}).first()
    if ended is not None:
        audit.record(connection, "session", ended.name, action="ended")


def is_well_formed(identity: str) -> bool:
    """Whether this can be a session's id at all."""
    return _SHAPE.fullmatch(identity) is not None


def _digests(secrets: Sequence[bytes], identity: str) -> list[str]:
    return [digest(secret, identity) for secret in secrets]
