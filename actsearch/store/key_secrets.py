"""The secrets under which API keys are hashed: from `ACTSEARCH_KEY_SECRET`, else from a file in the data directory.

The first is used for new keys; keys under the others are accepted, and hashed anew with the first when they are used.
So a secret is replaced by putting a new one before it, and dropped when `actsearch keys list` shows no key under it.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile

from actsearch.errors import FieldProblem, InvalidRequest, StoreError
from actsearch.settings import Settings

FILE = "key-secret"
LEAST = 32
"""Characters; a secret that is guessed lets whoever has the database find keys."""


def read_secrets(settings: Settings) -> Sequence[bytes]:
    """The secrets, newest first; none where none was ever needed.

    Raises:
        InvalidRequest: one is too short.
        StoreError: the file cannot be read.
    """
    if settings.key_secret is not None:
        return _parsed(settings.key_secret.get_secret_value().split(","), "ACTSEARCH_KEY_SECRET")
    file = settings.data_dir / FILE
    try:
        return _parsed(file.read_text(encoding="ascii", errors="replace").splitlines(), str(file))
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise StoreError(f"cannot read {file} ({error.strerror}), which API keys are checked with") from None


def read_or_make_secrets(settings: Settings) -> Sequence[bytes]:
    """The secrets, newest first; the file with a first one is made where there is none.

    Raises:
        InvalidRequest, StoreError: see `read_secrets`; or the file cannot be written.
    """
    if not read_secrets(settings):
        try:
            _make(settings.data_dir / FILE)
        except OSError as error:
            raise StoreError(
                f"cannot write {settings.data_dir / FILE} ({error.strerror}); set ACTSEARCH_KEY_SECRET instead"
            ) from None
    return read_secrets(settings)


def secret_id(secret: bytes) -> str:
    """A name for a secret that tells nothing of it."""
    return hashlib.sha256(b"actsearch key secret " + secret).hexdigest()[:12]


def _parsed(texts: Sequence[str], where: str) -> Sequence[bytes]:
    found = tuple(text.strip().encode() for text in texts if text.strip())
    if not found or any(len(secret) < LEAST for secret in found):
        message = f"secrets have at least {LEAST} characters, with commas between them; make one: openssl rand -hex 32"
        raise InvalidRequest(FieldProblem(where, message))
    return found


def _make(file: Path) -> None:
    """Write the file whole or not at all, for its owner's eyes; of several that do so at once, one wins."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile("w", dir=file.parent, prefix=f".{FILE}-", encoding="ascii") as draft:  # mode 0600
        draft.write(secrets.token_hex(32) + "\n")
        draft.flush()
        os.fsync(draft.fileno())
        try:
            os.link(draft.name, file)
        except FileExistsError:
            return
