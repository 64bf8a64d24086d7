"""The blocking and the asynchronous client are one client."""

from __future__ import annotations

import inspect

import pytest

from actsearch import AsyncClient, AsyncJobHandle, Client, JobHandle

PAIRS = [(Client, AsyncClient), (JobHandle, AsyncJobHandle)]


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
