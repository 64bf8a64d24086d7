"""API keys in the database, and the secrets that they are hashed with."""

from __future__ import annotations

import re
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from actsearch.errors import InvalidRequest, NotFound, StoreError
from actsearch.schemas import KeyScope
from actsearch.settings import Settings
from actsearch.store.key_secrets import FILE, read_or_make_secrets, read_secrets
from actsearch.store.keys import Holder, create_key, find_holder, list_keys, revoke_key
from actsearch.store.tokens import digest, hint, is_well_formed, new_token

OLD, NEW, OTHER = b"o" * 32, b"n" * 32, b"x" * 32


def find(engine: Engine, token: str, *secrets: bytes) -> Holder | None:
    with engine.begin() as connection:
        return find_holder(connection, secrets or (NEW,), token)


def make(engine: Engine, name: str = "ci", scope: KeyScope = KeyScope.submit, *secrets: bytes) -> str:
    with engine.begin() as connection:
        return create_key(connection, secrets or (NEW,), name, scope)[0]


# --- what a key looks like --------------------------------------------------------------------------


def test_a_key_is_found_by_the_pattern_that_is_published_for_scanners() -> None:
    page = (Path(__file__).parents[2] / "docs" / "security.md").read_text()
    [pattern] = re.findall(r"`(acts_\[\S+)`", page)
    assert all(re.fullmatch(pattern, new_token()) for _ in range(100))


def test_no_two_keys_are_alike() -> None:
    assert len({new_token() for _ in range(1000)}) == 1000


@given(st.integers(0, 46), st.sampled_from("0123456789ABCxyz_-"))
def test_a_mistyped_key_is_told_apart(place: int, character: str) -> None:
    token = new_token()
    assert is_well_formed(token)
    typed = token[:place] + character + token[place + 1 :]
    assert is_well_formed(typed) is (typed == token)


@given(st.text(max_size=60))
def test_other_text_is_no_key(some: str) -> None:
    assert not is_well_formed(some)


# --- life ---------------------------------------------------------------------------------------------


def test_a_key_is_its_clients_until_it_is_revoked(engine: Engine) -> None:
    token, other = make(engine, "ci", KeyScope.submit), make(engine, "ops", KeyScope.admin)
    assert find(engine, token) == Holder("ci", KeyScope.submit)
    with engine.begin() as connection:
        revoke_key(connection, (NEW,), "ci")
    assert find(engine, token) is None
    assert find(engine, other) == Holder("ops", KeyScope.admin)
    with engine.connect() as connection:
        assert [key.revoked_at is None for key in list_keys(connection, (NEW,))] == [False, True]


def test_nothing_in_the_database_lets_anyone_in(engine: Engine) -> None:
    token = make(engine)
    with engine.connect() as connection:
        kept = str(connection.execute(text("SELECT * FROM api_keys")).all())
    assert token not in kept
    assert token[len(hint(token)) :] not in kept
    assert find(engine, digest(NEW, token)) is None
    assert find(engine, token, OTHER) is None  # whoever writes a row needs the secret, too
    assert find(engine, new_token()) is None


def test_last_use_is_written_at_most_once_a_minute(engine: Engine) -> None:
    token, seen = make(engine), []
    for aged in ("0 s", "0 s", "59 s", "61 s"):
        with engine.begin() as connection:
            connection.execute(text(f"UPDATE api_keys SET last_used_at = last_used_at - INTERVAL '{aged}'"))
            before = connection.execute(text("SELECT last_used_at FROM api_keys")).scalar_one()
        find(engine, token)
        with engine.connect() as connection:
            [key] = list_keys(connection, (NEW,))
        seen.append(key.last_used_at != before)
    assert seen == [True, False, False, True]


def test_nobody_waits_for_another_who_uses_the_same_key(engine: Engine) -> None:
    token = make(engine)
    with engine.begin() as first, engine.begin() as second:
        second.execute(text("SET LOCAL lock_timeout = '1s'"))
        assert find_holder(first, (NEW,), token) == find_holder(second, (NEW,), token) == Holder("ci", KeyScope.submit)


@pytest.mark.parametrize("how", ["id", "start", "hint", "token", "name"])
def test_a_key_is_revoked_by_whatever_names_it(engine: Engine, how: str) -> None:
    token = make(engine)
    make(engine, "other")
    with engine.begin() as connection:
        key = next(key for key in list_keys(connection, (NEW,)) if key.name == "ci")
        wanted = {"id": str(key.id), "start": key.id.hex[:30], "hint": key.hint, "token": token, "name": "ci"}[how]
        assert revoke_key(connection, (NEW,), wanted).id == key.id
    assert find(engine, token) is None


def test_what_names_no_key_or_several_revokes_none(engine: Engine) -> None:
    tokens = [make(engine), make(engine)]
    for wanted in ("ci", "nobody", "", "0"):
        with pytest.raises(NotFound), engine.begin() as connection:
            revoke_key(connection, (NEW,), wanted)
    assert all(find(engine, token) for token in tokens)


@pytest.mark.parametrize("name", ["", "a b", "-x", "x" * 101, "a\n", "ä", "<script>"])
def test_names_are_plain(engine: Engine, name: str) -> None:
    with pytest.raises(InvalidRequest, match="name"):
        make(engine, name)


def test_scopes_include_the_lesser_ones() -> None:
    scopes = list(KeyScope)
    assert [[a.includes(b) for b in scopes] for a in scopes] == [
        [True, False, False],
        [True, True, False],
        [True, True, True],
    ]


# --- secrets ------------------------------------------------------------------------------------------


def test_a_secret_is_replaced_without_a_new_key(engine: Engine) -> None:
    used, unused = make(engine, "used", KeyScope.read, OLD), make(engine, "unused", KeyScope.read, OLD)
    assert find(engine, used, NEW, OLD) == Holder("used", KeyScope.read)
    with engine.connect() as connection:
        assert [key.hashed_with for key in list_keys(connection, (NEW, OLD))] == ["current", "older"]
        assert [key.hashed_with for key in list_keys(connection, (NEW,))] == ["current", "unknown"]
    assert find(engine, used, NEW) is not None
    assert find(engine, unused, NEW) is None


def test_no_key_is_made_that_other_machines_would_not_know(engine: Engine) -> None:
    make(engine, "ci", KeyScope.read, OLD)
    with pytest.raises(InvalidRequest, match="ACTSEARCH_KEY_SECRET"):
        make(engine, "more", KeyScope.read, OTHER)
    with engine.begin() as connection:
        revoke_key(connection, (OTHER,), "ci")
    make(engine, "more", KeyScope.read, OTHER)


def test_the_first_secret_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, data_dir=tmp_path / "data")
    assert read_secrets(settings) == ()
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: read_or_make_secrets(settings), range(16)))
    assert len(set(made)) == 1
    assert len(made[0][0]) == 64
    file = settings.data_dir / FILE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [found.name for found in settings.data_dir.iterdir()] == [FILE]
    file.write_text("n" * 32 + "\n" + file.read_text())
    assert read_secrets(settings) == (NEW, made[0][0])


def test_secrets_of_the_environment_come_first_and_are_told_nobody(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("f" * 32)
    given = f"{NEW.decode()}, {OLD.decode()}"
    settings = Settings(_env_file=None, data_dir=tmp_path, key_secret=given, api_key="acts_mine")
    assert read_or_make_secrets(settings) == (NEW, OLD)
    assert NEW.decode() not in repr(settings) + settings.model_dump_json()
    assert "acts_mine" not in repr(settings) + settings.model_dump_json()


@pytest.mark.parametrize("given", ["short", "", ",", "n" * 32 + ",short"])
def test_a_weak_secret_is_refused_without_repeating_it(tmp_path: Path, given: str) -> None:
    with pytest.raises(InvalidRequest, match="32 characters") as caught:
        read_secrets(Settings(_env_file=None, data_dir=tmp_path, key_secret=given))
    assert not given.strip(",") or given not in str(caught.value)


def test_a_secret_that_cannot_be_read_or_written_is_said(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    with pytest.raises(StoreError, match=FILE):
        read_secrets(Settings(_env_file=None, data_dir=tmp_path))
    with pytest.raises(StoreError, match="ACTSEARCH_KEY_SECRET"):
        read_or_make_secrets(Settings(_env_file=None, data_dir=Path("/proc/nowhere")))
