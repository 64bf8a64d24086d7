"""What importing the package, the SDK and the command line brings with it."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "sqlalchemy", "fastapi", "optuna", "numpy", "pandas", "procrastinate")


def loaded_after(code: str) -> set[str]:
    script = f"{code}\nimport sys\nprint(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "code",
    [
        "import actsearch",
        "from actsearch import *; Client('http://localhost:1'); JobRequest(task='digits')",
        "import actsearch.cli",
    ],
)
def test_no_heavy_package_comes_along(code: str) -> None:
    assert loaded_after(code) & set(HEAVY) == set()


def test_the_package_alone_loads_next_to_nothing() -> None:
    assert loaded_after("import actsearch") & {"httpx", "pydantic", "rich", "typer"} == set()


def test_everything_exported_is_there() -> None:
    loaded_after("import actsearch\nfor name in actsearch.__all__: assert getattr(actsearch, name) is not None, name")


def test_a_name_that_is_not_exported() -> None:
    code = "try: actsearch.torch\nexcept AttributeError as e: assert 'torch' in str(e)\nelse: 1/0"
    loaded_after(f"import actsearch\n{code}")
