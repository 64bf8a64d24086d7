"""Commands on API keys. They work on the database: whoever can run them needs no key."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from getpass import getuser
from platform import node
from typing import TYPE_CHECKING, Annotated

import typer

from actsearch.cli.extras import needs_extras
from actsearch.cli.options import AsJson, DataDir
from actsearch.cli.output import console, print_json, say
from actsearch.cli.tables import add_row, new_table
from actsearch.cli.texts import moment_text
from actsearch.schemas import KeyInfo, KeyScope
from actsearch.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy import Connection

keys = typer.Typer(no_args_is_help=True, help="The API keys of the service.")


@keys.command()
def create(
    name: Annotated[str, typer.Option(help="Client that will use it; keys with the same name share their jobs.")],
    scope: Annotated[
        KeyScope, typer.Option(help="read: see everything; submit: and submit and change its own jobs; admin: any job.")
    ] = KeyScope.submit,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Make a key and print it, once."""
    settings = _settings(data_dir)
    with needs_extras():
        from actsearch.store.key_secrets import read_or_make_secrets
        from actsearch.store.keys import create_key
    with _database(settings) as connection:
        token, info = create_key(connection, read_or_make_secrets(settings), name, scope, _user())
    if as_json:
        print_json(info.model_dump(mode="json") | {"key": token})
        return
    typer.echo(token)
    say(f"scope {info.scope}, for {info.name}; it is not shown again")
    say("SDK and command line take it from ACTSEARCH_API_KEY")


@keys.command("list")
def list_all(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List the keys, revoked ones too."""
    settings = _settings(data_dir)
    with needs_extras():
        from actsearch.store.key_secrets import read_secrets
        from actsearch.store.keys import list_keys
    with _database(settings) as connection:
        found = list_keys(connection, read_secrets(settings))
    if as_json:
        print_json(found)
        return
    table = new_table("id", "name", "scope", "key", "state", "made", "last used")
    for key in found:
        used = "never" if key.last_used_at is None else moment_text(key.last_used_at)
        add_row(table, key.id, key.name, key.scope, f"{key.hint}...", _state(key), moment_text(key.created_at), used)
    console().print(table)


@keys.command()
def revoke(
    key: Annotated[str, typer.Argument(metavar="KEY", help="Its id, its first characters, or the name of its client.")],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Revoke a key: it is refused and its sessions end at once."""
    settings = _settings(data_dir)
    with needs_extras():
        from actsearch.store.key_secrets import read_secrets
        from actsearch.store.keys import revoke_key
    with _database(settings) as connection:
        revoked = revoke_key(connection, read_secrets(settings), key, _user())
    if as_json:
        print_json(revoked)
    else:
        typer.echo(f"revoked {revoked.hint}... of {revoked.name} ({revoked.id})")


def _user() -> str:
    """Who runs the command, for the audit."""
    try:
        return f"{getuser()}@{node()}"
    except (KeyError, OSError):  # a user without a name, as in containers
        return node()


def _settings(data_dir: DataDir) -> Settings:
    return Settings() if data_dir is None else Settings(data_dir=data_dir)


@contextmanager
def _database(settings: Settings) -> Iterator[Connection]:
    """A connection in a transaction."""
    with needs_extras():
        from actsearch.store import open_store
    engine = open_store(settings)
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def _state(key: KeyInfo) -> str:
    if key.revoked_at is not None:
        return f"revoked {moment_text(key.revoked_at)}"
    states = {"current": "active", "older": "active, older secret", "unknown": "unusable: unknown secret"}
    return states[key.hashed_with]
