"""The faults that `scripts/mutants.py` makes: each changes what the code does, and leaves it code."""

from __future__ import annotations

import ast
import importlib.util
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "mutants.py"


@pytest.fixture(scope="module")
def script() -> Iterator[ModuleType]:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("mutants", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["mutants"] = module  # where dataclasses look for it
    spec.loader.exec_module(module)
    yield module
    del sys.modules["mutants"]


@pytest.mark.parametrize(
    ("code", "wanted"),
    [
        ("y = a + 1", {"y = a - 1", "y = a + 2"}),
        ("y = a < b <= c", {"y = a <= b <= c", "y = a < b < c"}),
        ("y = -(a)", {"y = (a)"}),
        ("y = not (a and b)", {"y = (a and b)", "y = not (a or b)"}),
        ("y = max(a)", {"y = min(a)"}),
        ("y = 0.0, 1.5, True", {"y = 1.0, 1.5, True", "y = 0.0, 3.0, True", "y = 0.0, 1.5, False"}),
        ("y = a if b else c", {"y = a if not (b) else c"}),
        ("y = a not in b", {"y = a in b"}),
        ("f(a)\ng = 'é' + b", {"pass\ng = 'é' + b", "f(a)\ng = 'é' - b"}),
        ("y = 'WHERE a >= 1'", {"y = 'WHERE a > 1'"}),
        ("y = f'WHERE {a} AND b'", {"y = f'WHERE {a} OR b'"}),
    ],
)
def test_the_faults_of_a_line(script: ModuleType, code: str, wanted: set[str]) -> None:
    assert {mutant.applied(code) for mutant in script.mutants("m.py", code)} == wanted


def test_the_faults_of_statements_in_a_file(script: ModuleType) -> None:
    code = "-- name: a\n-- Here 1 < 2.\nSELECT min(a) FROM b\nWHERE c > 1 AND state = 'running'\n"
    found = [mutant.applied(code).removeprefix(code[:26]) for mutant in script.mutants("a.sql", code)]
    assert found == [
        "SELECT max(a) FROM b\nWHERE c > 1 AND state = 'running'\n",
        "SELECT min(a) FROM b\nWHERE c >= 1 AND state = 'running'\n",
        "SELECT min(a) FROM b\nWHERE c > 1 OR state = 'running'\n",
        "SELECT min(a) FROM b\nWHERE c > 1 AND state <> 'running'\n",
        "SELECT min(a) FROM b\nWHERE c > 1 AND state = 'nothing'\n",
    ]


@pytest.mark.parametrize(
    "code",
    [
        '"""A text with 1 < 2."""',
        "from a import b",
        "y = zip(a, b, strict=True)",
        "x: Literal[1]\n",
        "def f(x: 'a < b') -> 'c + d':\n    return x",
        "@decorated(1)\ndef f():\n    return x",
        "if TYPE_CHECKING:\n    import a",
    ],
)
def test_what_does_not_run_has_no_faults(script: ModuleType, code: str) -> None:
    assert script.mutants("m.py", code) == []


def test_the_text_of_an_error_is_left_alone_but_not_the_error(script: ModuleType) -> None:
    assert [m.applied("raise E(1 + 1)") for m in script.mutants("m.py", "raise E(1 + 1)")] == ["pass"]


def test_every_area_names_modules_and_tests_and_every_fault_leaves_code(script: ModuleType) -> None:
    areas = tomllib.loads((ROOT / "scripts" / "mutants.toml").read_text(encoding="utf-8"))
    for modules in areas.values():
        for module, tests in modules.items():
            source = (ROOT / module).read_text(encoding="utf-8")
            assert all((ROOT / test).is_file() for test in tests), module
            found = script.mutants(module, source)
            assert found
            for mutant in found[::9]:
                assert mutant.applied(source) != source
                if module.endswith(".py"):
                    ast.parse(mutant.applied(source), mutant.named(source))


def test_known_equivalents_still_stand_in_the_code(script: ModuleType) -> None:
    areas = tomllib.loads((ROOT / "scripts" / "mutants.toml").read_text(encoding="utf-8"))
    names = {
        mutant.named(source)
        for modules in areas.values()
        for module in modules
        for source in [(ROOT / module).read_text(encoding="utf-8")]
        for mutant in script.mutants(module, source)
    }
    listed = [
        line.removeprefix("- ") for line in (ROOT / "docs/mutants.md").read_text().splitlines() if "` -> `" in line
    ]
    assert [line for line in listed if line not in names] == []
