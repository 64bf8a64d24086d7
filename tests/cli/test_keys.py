"""`actsearch keys`, as an operator types it: on the database, whether or not the service runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner, Result

from actsearch.cli import app
from actsearch.schemas import KeyScope
from actsearch.settings import Settings, settings
from actsearch.store.key_secrets import read_secrets
from actsearch.store.keys import Holder, find_holder

Run = Callable[..., Result]


@pytest.fixture
def api_settings(tmp_path: Path) -> Settings:
    """An API that asks for keys."""
    return Settings(_env_file=None, require_key=True, data_dir=tmp_path)


@pytest.fixture
def run(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `actsearch ARGUMENTS` on a database and a data directory of its own."""
    monkeypatch.setenv("ACTSEARCH_DATABASE_URL", database_url)
    monkeypatch.setenv("ACTSEARCH_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("ACTSEARCH_API_KEY", raising=False)

    def command(*arguments: str, code: int = 0) -> Result:
        settings.cache_clear()
        result = CliRunner().invoke(app, arguments)
        settings.cache_clear()
        assert result.exit_code == code, result.output
        return result

    return command


def test_a_key_is_made_shown_once_listed_and_revoked(run: Run, engine: Engine, tmp_path: Path) -> None:
    made = run("keys", "create", "--name", "ci", "--scope", "read")
    token = made.stdout.strip()
    assert "not shown again" in made.stderr
    secrets = read_secrets(Settings(_env_file=None, data_dir=tmp_path))
    with engine.begin() as connection:
        assert find_holder(connection, secrets, token) == Holder("ci", KeyScope.read)

    [listed] = json.loads(run("keys", "list", "--json").stdout)
    assert (listed["name"], listed["scope"], listed["hashed_with"]) == ("ci", "read", "current")
    for shown in (run("keys", "list").stdout, str(listed)):
        assert token not in shown
        assert token[:11] in shown

    assert "ci" in run("keys", "revoke", token[:11]).stdout
    assert "revoked" in run("keys", "list").stdout
    assert "no active key" in run("keys", "revoke", "ci", code=1).stderr
    with engine.begin() as connection:
        assert find_holder(connection, secrets, token) is None


def test_json_has_the_key_beside_what_is_known_of_it(run: Run) -> None:
    made = json.loads(run("keys", "create", "--name", "ci", "--json").stdout)
    assert made["key"].startswith(made["hint"])
    assert made["scope"] == "submit"


def test_the_command_line_shows_its_key(run: Run, api_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    token = run("keys", "create", "--name", "robot-7").stdout.strip()
    monkeypatch.setenv("ACTSEARCH_URL", api_url)

    refused = run("submit", "--task", "digits", code=1)
    assert "ACTSEARCH_API_KEY" in refused.stderr
    monkeypatch.setenv("ACTSEARCH_API_KEY", token)
    run("submit", "--task", "digits")
    assert "robot-7" in run("show", "last").stdout
    assert "cancelled" in run("cancel", "last").stdout

    run("keys", "revoke", "robot-7")
    assert "not valid" in run("jobs", code=1).stderr


def test_the_last_job_is_the_last_of_this_client(run: Run, api_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mine, others = (run("keys", "create", "--name", name).stdout.strip() for name in ("mine", "other"))
    monkeypatch.setenv("ACTSEARCH_URL", api_url)
    monkeypatch.setenv("ACTSEARCH_API_KEY", mine)
    assert "submitted none" in run("cancel", "last", code=1).stderr
    run("submit", "--task", "digits", "--name", "first-of-mine")
    monkeypatch.setenv("ACTSEARCH_API_KEY", others)
    assert "others have" in run("cancel", "last", code=1).stderr
    run("submit", "--task", "digits", "--name", "one-of-others")

    monkeypatch.setenv("ACTSEARCH_API_KEY", mine)
    assert "first-of-mine" in run("show", "last").stdout
    assert "one-of-others" in run("jobs").stdout
    assert "one-of-others" not in run("jobs", "--mine").stdout
    monkeypatch.setenv("ACTSEARCH_API_KEY", run("keys", "create", "--name", "mine").stdout.strip())
    assert "cancelled" in run("cancel", "last").stdout


def test_wrong_use_is_said(run: Run) -> None:
    assert "letters" in run("keys", "create", "--name", "two words", code=2).stderr
    run("keys", "create", "--name", "ci", "--scope", "root", code=2)
    run("keys", "create", code=2)
