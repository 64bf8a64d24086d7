"""The committed docs page says what the catalogue declares."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from actsearch.activations import Family

DOCS = Path(__file__).parents[2] / "docs"
MEND = "run `python docs/generate_activations.py` and commit what it writes"


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    """docs/generate_activations.py as a module."""
    spec = importlib.util.spec_from_file_location("generate_activations", DOCS / "generate_activations.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_up_to_date(generator: ModuleType) -> None:
    assert (DOCS / "activations.md").read_text(encoding="utf-8") == generator.page(), MEND


def test_each_family_has_an_entry_and_a_plot(generator: ModuleType) -> None:
    names = {family.name for family in generator.catalogue()}
    page = (DOCS / "activations.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^### (\w+)$", page, re.MULTILINE)) == names, MEND
    assert {path.stem for path in (DOCS / "activations").glob("*.svg")} == names, MEND


def test_a_plot_shows_the_function(generator: ModuleType, family: Family) -> None:
    if family not in generator.catalogue():
        return
    committed = (DOCS / "activations" / f"{family.name}.svg").read_text(encoding="utf-8")
    drawn, wanted = (numbers(text) for text in (committed, generator.plot(family)))
    assert drawn == pytest.approx(wanted, abs=0.11), MEND  # the last digit may round otherwise elsewhere
    assert len(committed) < 3000


def numbers(svg: str) -> list[float]:
    return [float(word) for word in re.findall(r"(?<![#\w])-?\d+\.?\d*", svg)]
