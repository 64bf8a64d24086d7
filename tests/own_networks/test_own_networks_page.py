"""The committed page about other people's networks says what is tested of them."""

from __future__ import annotations

import importlib.util
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_is_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("generate_own_networks", DOCS / "generate_own_networks.py")
    assert spec is not None
    assert spec.loader is not None
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    written = (DOCS / "own-networks.md").read_text(encoding="utf-8")
    assert written == generator.page(), "run `python docs/generate_own_networks.py` and commit what it writes"
