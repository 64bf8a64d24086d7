"""The wheel, as users install it."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's wheel, freshly built."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(out), str(ROOT)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = out.glob("*.whl")
    return path


def test_the_wheel_has_all_packages_and_the_migrations(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for wanted in (
        "actsearch/py.typed",
        "actsearch_api/main.py",
        "actsearch_workers/main.py",
        "actsearch/store/migrations/env.py",
        "actsearch/store/migrations/versions/0001_tables.py",
    ):
        assert wanted in names
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/"))]


def test_without_extras_it_is_the_sdk_and_nothing_heavy(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", "-c", str(ROOT / "constraints.txt"), str(wheel)]
    subprocess.run(install, check=True, cwd=tmp_path)
    code = (
        "import importlib.util, json, actsearch;"
        "actsearch.Client('http://127.0.0.1:1'); actsearch.JobRequest(task='digits');"
        "heavy = ['torch', 'sqlalchemy', 'fastapi', 'optuna', 'numpy', 'procrastinate'];"
        "print(json.dumps([name for name in heavy if importlib.util.find_spec(name)]))"
    )
    answer = subprocess.run([str(python), "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout) == []
    cli = subprocess.run([str(tmp_path / "env/bin/actsearch"), "--help"], capture_output=True, text=True, check=False)
    assert cli.returncode == 0, cli.stderr
    hint = subprocess.run([str(tmp_path / "env/bin/actsearch"), "serve"], capture_output=True, text=True, check=False)
    assert hint.returncode != 0
    assert "actsearch[all]" in hint.stdout + hint.stderr
