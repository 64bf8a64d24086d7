"""Databases for tests: one embedded PostgreSQL a run, a fresh migrated database a test; a browser; torchvision."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import psycopg
import pytest
from hypothesis import settings
from playwright.sync_api import Browser, Page, sync_playwright
from sqlalchemy import Engine
from sqlalchemy.engine import make_url

from actsearch.store.embedded import forget_dead_users, normalise_url, start_embedded
from actsearch.store.engine import create_store_engine, libpq_url
from actsearch.store.migrate import upgrade

if TYPE_CHECKING:
    import torch

TEMPLATE = "migrated_template"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
BROWSER_PATIENCE = 60_000
"""Milliseconds: a busy machine takes its time to draw a page."""

# A busy machine is no fault of the code; pytest-timeout ends what hangs.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


@pytest.fixture(scope="session")
def postgres_url(testrun_uid: str) -> Iterator[str]:
    """URL of an empty database on the run's PostgreSQL, which xdist's workers share; the last to leave deletes it."""
    server = start_embedded(Path(tempfile.gettempdir()) / f"actsearch-tests-{testrun_uid[:12]}", cleanup_mode="delete")
    url = normalise_url(server.get_uri())
    with psycopg.connect(libpq_url(url), autocommit=True) as connection:
        # Tests need no data after a power cut; disk flushes are most of what their writes cost.
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("ALTER SYSTEM SET full_page_writes = off")
        connection.execute("SELECT pg_reload_conf()")
    yield url
    forget_dead_users(server)
    server.cleanup()


@pytest.fixture(scope="session")
def migrated_template(postgres_url: str) -> str:
    """Name of a migrated database to copy; whichever xdist worker comes first makes it."""
    with psycopg.connect(libpq_url(postgres_url), autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(1)")
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [TEMPLATE]).fetchone() is None:
            connection.execute(f"CREATE DATABASE {TEMPLATE}_draft")
            upgrade(sibling(postgres_url, f"{TEMPLATE}_draft"))
            connection.execute(f"ALTER DATABASE {TEMPLATE}_draft RENAME TO {TEMPLATE}")
    return TEMPLATE


@pytest.fixture
def empty_database_url(postgres_url: str) -> Iterator[str]:
    """SQLAlchemy URL of a fresh database without any table."""
    yield from _database(postgres_url, "template1")


@pytest.fixture
def database_url(postgres_url: str, migrated_template: str) -> Iterator[str]:
    """SQLAlchemy URL of a fresh, migrated database."""
    yield from _database(postgres_url, migrated_template)


@pytest.fixture(scope="module")
def module_engine(postgres_url: str, migrated_template: str) -> Iterator[Engine]:
    """Engine on a migrated database that a module's tests share: for those that leave no trace."""
    for url in _database(postgres_url, migrated_template):
        made = create_store_engine(url)
        yield made
        made.dispose()


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """Engine on a fresh, migrated database."""
    made = create_store_engine(database_url)
    yield made
    made.dispose()


@pytest.fixture
def browser() -> Iterator[Browser]:
    """The system's own browser."""
    executable = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    assert executable, f"none of {', '.join(BROWSERS)} is installed; `make browser` tries to"
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=executable, args=BROWSER_FLAGS, timeout=BROWSER_PATIENCE)
        yield started
        started.close()


@pytest.fixture
def page(browser: Browser) -> Page:
    """A page of it."""
    opened = browser.new_page(viewport={"width": 1600, "height": 1200})
    opened.set_default_timeout(BROWSER_PATIENCE)
    return opened


@pytest.fixture(scope="session")
def torchvision() -> torch.library.Library:
    """Lets torchvision be imported where its compiled part is missing, as PyPI's for CUDA beside a CPU build of torch.

    It then stops at `nms` and `qnms`, for which it has more to register than for its other operators. Declared without
    code they let it, and what imports it (timm, transformers, MONAI), be imported; their networks use none of them.
    """
    import torch

    operators = torch.library.Library("torchvision", "FRAGMENT")
    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        for name in ("nms", "qnms"):
            operators.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return operators  # what it declares lasts as long as it does


def sibling(url: str, database: str) -> str:
    """`url` with another database name."""
    return make_url(url).set(database=database).render_as_string(hide_password=False)


def _database(postgres_url: str, template: str) -> Iterator[str]:
    name = f"test_{uuid4().hex}"
    with psycopg.connect(libpq_url(postgres_url), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    yield sibling(postgres_url, name)
    with psycopg.connect(libpq_url(postgres_url), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
