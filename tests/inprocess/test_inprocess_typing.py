"""What the README shows type-checks strictly, and what `search` raises can be caught by name."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import actsearch
from actsearch import errors

ROOT = Path(__file__).parents[2]


def headline() -> str:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    return next(block for block in blocks if "actsearch.search(" in block)


@pytest.mark.timeout(600)
def test_the_headline_call_passes_mypy_strict(tmp_path: Path) -> None:
    right, wrong = tmp_path / "right.py", tmp_path / "wrong.py"
    right.write_text(headline())
    wrong.write_text(headline().replace("trials=30", 'trials="forty"') + "\nfound.no_such_thing\n")
    # With the project's configuration, which is strict, so that what `make lint` has looked at is not looked at again.
    command = [sys.executable, "-m", "mypy", str(right), str(wrong)]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout
    found = [line for line in told.splitlines() if ": error:" in line]
    assert [line for line in found if "right.py" in line] == [], told
    assert any("trials" in line for line in found), told
    assert any("no_such_thing" in line for line in found), told


def test_every_error_of_the_package_can_be_imported_from_it() -> None:
    declared = {
        name
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, errors.ActsearchError)
    }
    assert declared <= set(actsearch.__all__)
    assert all(getattr(actsearch, name) is getattr(errors, name) for name in declared)
    assert actsearch.FieldProblem is errors.FieldProblem


def test_what_a_search_refuses_is_caught_by_name() -> None:
    with pytest.raises(actsearch.InvalidRequest) as caught:
        actsearch.search(17, ([[0.0]], [0]))  # type: ignore[arg-type]
    assert caught.value.problems[0].field == "model"
