"""The README's blocks, run as they stand, against a service on an address of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from actsearch.cli.stack import Stack, running
from actsearch.settings import Settings

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
PYTHON = [text for language, text in BLOCKS if language == "python"]
SHELL = [text for language, text in BLOCKS if not language]

Run = Callable[[list[str]], str]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The whole service, with a database of its own."""
    folder = tmp_path_factory.mktemp("service")
    settings = Settings(_env_file=None, data_dir=folder, port=0, devices="cpu")
    with running(settings, logs=folder) as started:
        yield started


@pytest.fixture
def run(stack: Stack, tmp_path: Path) -> Run:
    """Run a command as a person does who has installed this; what it prints."""

    def do(command: list[str]) -> str:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = os.environ | {"ACTSEARCH_URL": stack.url, "PATH": path, "COLUMNS": "80"}
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=500, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return do


def block(blocks: list[str], word: str) -> str:
    """The one with this in it."""
    [found] = [one for one in blocks if word in one]
    return found


@pytest.mark.timeout(600)
def test_the_blocks_of_the_service_work(run: Run) -> None:
    told = run(["sh", "-ec", block(SHELL, "actsearch submit")])
    assert re.search(r"completed|use trial", told)
    assert "swish_relu_mix" in told
    ranked = run([sys.executable, "-c", block(PYTHON, "Client(")])
    assert re.search(r"^1 \w+ [01]\.\d+$", ranked, re.MULTILINE)


@pytest.mark.timeout(600)
def test_the_block_of_a_search_in_process_works(run: Run) -> None:
    told = run([sys.executable, "-c", block(PYTHON, "actsearch.search(")])
    assert "relu" in told
    assert "torch" in told


def test_the_blocks_of_curl_work(run: Run, stack: Stack) -> None:
    submit, rank = (
        block(SHELL, "curl -s").replace("localhost:8800", stack.url.removeprefix("http://")).split("curl -s ")[1:]
    )
    job = json.loads(run(["sh", "-ec", f"curl -s {submit}"]))
    ranking = json.loads(run(["sh", "-ec", f"curl -s {rank.replace('JOB_ID', job['id'])}"]))
    assert (job["progress"]["budget"], ranking["by"]) == (20, "family")
