"""Every example, at reduced size; those with jobs share one service."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from actsearch.cli.stack import Stack, running
from actsearch.settings import Settings

EXAMPLES = Path(__file__).parents[2] / "examples"
JOBS = ("classification", "forecasting", "character_lm", "implicit_image", "pde", "gan", "own_data")


@pytest.fixture
def stack(database_url: str, tmp_path: Path) -> Iterator[Stack]:
    """The whole service, its own data in a directory of its own."""
    settings = Settings(_env_file=None, data_dir=tmp_path, database_url=database_url, port=0, devices="cpu")
    with running(settings, logs=tmp_path) as started:
        yield started


@pytest.fixture
def load_example(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`load_example(name)` -> the example's module."""
    monkeypatch.syspath_prepend(EXAMPLES)

    def load(name: str) -> Any:
        spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


def test_every_job_example_ends_with_a_ranking(
    stack: Stack, load_example: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in JOBS:
        module = load_example(name)
        job = module.main(["--quick", "--url", stack.url, "--data-dir", str(tmp_path)])
        printed = capsys.readouterr().out
        assert job.progress.complete > 0, name
        assert job.progress.finished == module.QUICK["trials"], name
        assert str(job.snapshot.name) in printed, name
    reports = load_example("reports").main(
        ["--quick", "--url", stack.url, "--only", "breast_cancer", "--output", str(tmp_path / "reports")]
    )
    assert "Breast cancer" in reports[0].read_text()


def test_own_model_ends_with_a_trained_network(load_example: Any, capsys: pytest.CaptureFixture[str]) -> None:
    found = load_example("own_model").main(["--quick"])
    printed = capsys.readouterr().out
    assert len(found.trials) == 5
    assert found.best_module is not None
    assert "test accuracy" in printed
    assert "activation =" in printed
