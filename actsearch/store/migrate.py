"""Bringing a database to the current schema, and checking that it is."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from actsearch.errors import StoreError
from actsearch.store.embedded import describe
from actsearch.store.engine import create_store_engine

_LOCK = 0x61637473  # "acts": the advisory lock that serialises upgrades


def upgrade(url: str) -> None:
    """Create or upgrade every table, in one transaction; does nothing where there is nothing to do.

    Several processes may call it at once: one works, the others wait.

    Raises:
        StoreError: the database cannot be reached.
    """
    engine = create_store_engine(url)
    try:
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
            config = alembic_config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except OperationalError as error:
        raise unreachable(engine, error) from error
    finally:
        engine.dispose()


def require_current(engine: Engine) -> None:
    """Return if the database answers and has the current schema.

    Raises:
        StoreError: it does not; says what to do.
    """
    try:
        with engine.connect() as connection:
            present = MigrationContext.configure(connection).get_current_heads()
    except OperationalError as error:
        raise unreachable(engine, error) from error
    wanted = ScriptDirectory.from_config(alembic_config()).get_heads()
    if set(present) != set(wanted):
        found = f"is at revision {', '.join(present)}" if present else "has no tables of actsearch"
        raise StoreError(f"{describe(engine.url)} {found}, not {', '.join(wanted)}; run `actsearch db upgrade`")


def unreachable(engine: Engine, error: OperationalError) -> StoreError:
    """The error to show when the database does not answer; never contains the password."""
    return StoreError(f"cannot reach {describe(engine.url)}: {str(error.orig).strip()}")


def alembic_config() -> Config:
    """Alembic's configuration, pointing at the migrations."""
    config = Config()
    config.set_main_option("script_location", str(_migrations()).replace("%", "%%"))
    return config


def is_ours(name: str | None, kind: str, _parents: object = None) -> bool:
    """Whether Alembic compares a table (its `include_name`): not those of the queue, which are visible beside ours."""
    return kind != "table" or not str(name).startswith("procrastinate_")


def _migrations() -> Path:
    """The migrations: inside the package in a wheel, at the root of the repository in a checkout."""
    here = Path(__file__).resolve()
    packaged = here.parent / "migrations"
    return packaged if packaged.is_dir() else here.parents[2] / "migrations"
