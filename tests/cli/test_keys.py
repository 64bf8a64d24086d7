"""`actsearch keys`, as an operator types it: on the database, whether or not the service runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner, Result

from actsearch.cli import app
from actsearch.schemas import KeyScope
from actsearch.settings import Settings
from actsearch.store.key_secrets import read_secrets
from actsearch.store.keys import Holder, find_holder


@pytest.fixture
def run(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    """Run `actsearch keys ARGUMENTS` on a database and a data directory of its own."""
    monkeypatch.setenv("ACTSEARCH_DATABASE_URL", database_url)
    monkeypatch.setenv("ACTSEARCH_DATA_DIR", str(tmp_path))

    def command(*arguments: str, code: int = 0) -> Result:
        result = CliRunner().invoke(app, ["keys", *arguments])
        assert result.exit_code == code, result.output
        return result

    return command


def test_a_key_is_made_shown_once_listed_and_revoked(run, engine: Engine, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    made = run("create", "--name", "ci", "--scope", "read")
    token = made.stdout.strip()
    assert "not shown again" in made.stderr
    secrets = read_secrets(Settings(_env_file=None, data_dir=tmp_path))
    with engine.begin() as connection:
        assert find_holder(connection, secrets, token) == Holder("ci", KeyScope.read)

    [listed] = json.loads(run("list", "--json").stdout)
    assert (listed["name"], listed["scope"], listed["hashed_with"]) == ("ci", "read", "current")
    for shown in (run("list").stdout, str(listed)):
        assert token not in shown
        assert token[:11] in shown

    assert "ci" in run("revoke", token[:11]).stdout
    assert "revoked" in run("list").stdout
    assert "no active key" in run("revoke", "ci", code=1).stderr
    with engine.begin() as connection:
        assert find_holder(connection, secrets, token) is None


def test_json_has_the_key_beside_what_is_known_of_it(run) -> None:  # type: ignore[no-untyped-def]
    made = json.loads(run("create", "--name", "ci", "--json").stdout)
    assert made["key"].startswith(made["hint"])
    assert made["scope"] == "submit"


def test_wrong_use_is_said(run) -> None:  # type: ignore[no-untyped-def]
    assert "letters" in run("create", "--name", "two words", code=2).stderr
    run("create", "--name", "ci", "--scope", "root", code=2)
    run("create", code=2)
