"""The blocking and the asynchronous client are one client."""

from __future__ import annotations

import importlib.util
import inspect
from pathlib import Path
from types import ModuleType

import pytest

from actsearch import AsyncClient, AsyncJobHandle, Client, JobHandle

SCRIPT = Path(__file__).parents[2] / "scripts" / "generate_blocking_client.py"
PAIRS = [(Client, AsyncClient), (JobHandle, AsyncJobHandle)]


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("generate_blocking_client", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_blocking_client_is_what_the_asynchronous_one_gives(generator: ModuleType) -> None:
    derived = generator.blocking(generator.SOURCE.read_text(encoding="utf-8"))
    assert generator.TARGET.read_text(encoding="utf-8") == derived, f"run `python {SCRIPT.name}` in scripts/"


@pytest.mark.parametrize("unknown", ["await asyncio.gather(a, b)", "async for a in b(): ...\nanext(b)", "AsyncLock()"])
def test_what_has_no_blocking_form_is_refused(generator: ModuleType, unknown: str) -> None:
    with pytest.raises(ValueError, match="add it to WORDS"):
        generator.blocking(unknown)


def surface(kind: type) -> dict[str, object]:
    """Public methods with what they take."""
    found = {}
    for name, member in inspect.getmembers(kind, callable):
        if not name.startswith("_"):
            parameters = inspect.signature(member).parameters.values()
            found[name] = [(p.name, p.kind, p.default) for p in parameters]
    return found


@pytest.mark.parametrize(("blocking", "asynchronous"), PAIRS)
def test_they_have_the_same_methods_with_the_same_arguments(blocking: type, asynchronous: type) -> None:
    assert surface(blocking) == surface(asynchronous)


@pytest.mark.parametrize(("blocking", "asynchronous"), PAIRS)
def test_every_method_is_documented(blocking: type, asynchronous: type) -> None:
    for kind in (blocking, asynchronous):
        assert [name for name in surface(kind) if not inspect.getdoc(getattr(kind, name))] == []
