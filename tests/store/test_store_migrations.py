"""The schema: models and migrations agree, upgrades are idempotent and safe together."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, text

from actsearch.errors import StoreError
from actsearch.store.engine import create_store_engine
from actsearch.store.migrate import is_ours, require_current, upgrade
from actsearch.store.models import Base


def test_models_and_migrations_agree(engine: Engine) -> None:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_name": is_ours})
        assert compare_metadata(context, Base.metadata) == []


def test_the_queue_lives_in_its_own_schema_and_resolves(engine: Engine) -> None:
    with engine.connect() as connection:
        where = text("SELECT table_schema FROM information_schema.tables WHERE table_name = 'procrastinate_jobs'")
        assert connection.scalars(where).all() == ["procrastinate"]
        assert connection.scalar(text("SELECT count(*) FROM procrastinate_jobs")) == 0
        queue_ours = text(
            "SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND proname ~ 'procrastinate'"
        )
        assert connection.scalar(queue_ours) == 0


def test_upgrade_is_idempotent_and_safe_for_several_at_once(empty_database_url: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(upgrade, [empty_database_url] * 4))
    engine = create_store_engine(empty_database_url)
    require_current(engine)
    engine.dispose()


def test_an_empty_database_is_reported_with_the_remedy(empty_database_url: str) -> None:
    engine = create_store_engine(empty_database_url)
    with pytest.raises(StoreError, match="run `actsearch db upgrade`"):
        require_current(engine)
    engine.dispose()


def test_an_unreachable_database_is_reported_without_the_password() -> None:
    engine = create_store_engine("postgresql+psycopg://me:hunter2@127.0.0.1:1/nowhere")
    with pytest.raises(StoreError, match=r"cannot reach database 'nowhere' on 127\.0\.0\.1") as caught:
        require_current(engine)
    assert "hunter2" not in str(caught.value)
    engine.dispose()
