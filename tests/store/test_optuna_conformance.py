"""Optuna's own conformance suite for storages, unchanged."""

from __future__ import annotations

import pytest
from optuna.testing.pytest_storages import StorageTestCase
from sqlalchemy import Engine

from actsearch.store import OptunaStorage


class TestOptunaStorage(StorageTestCase):
    """Every test of the suite on PostgreSQL."""

    @pytest.fixture
    def storage(self, engine: Engine) -> OptunaStorage:
        """A storage on a fresh database."""
        return OptunaStorage(engine)
