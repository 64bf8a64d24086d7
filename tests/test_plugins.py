"""Plugins: a real distribution on the path whose entry points declare an architecture and a task."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ARCHITECTURE = '''
from actsearch.architectures import architecture, gain_of, initialise
from actsearch.schemas import ParameterInfo
from torch import nn

@architecture(inputs=("vector",), parameters=(ParameterInfo(name="width", type="int", default=8, low=1, high=64),))
def tiny(spec, sites, *, width):
    """One hidden layer."""
    activation = sites("hidden", stage="stage1", channels=width)
    first = initialise(nn.Linear(spec.shape[0], width), gain_of(activation))
    return nn.Sequential(first, activation, initialise(nn.Linear(width, spec.outputs), 1.0))
'''
TASK = """
import torch
from actsearch.tasks import Dataset, Task, register
from actsearch.tasks.regression import DIRECTIONS, mean_squared_error, regression_metrics

def load():
    x = torch.linspace(-1, 1, 60)[:, None]
    parts = [(x[i::3], x[i::3].sin()) for i in range(3)]
    return Dataset(*parts, input_kind="vector", input_shape=(1,), outputs=1)

register(Task(
    "sine_of_x", "A curve.", "regression", load, mean_squared_error, regression_metrics, "mse", DIRECTIONS, "x"
))
"""


def install(site: Path, name: str, group: str, code: str) -> None:
    """What pip leaves behind: a module and its metadata."""
    (site / f"{name}.py").write_text(code)
    info = site / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{group}]\n{name} = {name}\n")


def run(site: Path, code: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(site), *([p] if (p := os.environ.get("PYTHONPATH")) else [])])
    return subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=False
    )


def test_a_plugins_architecture_trains_a_plugins_task(tmp_path: Path) -> None:
    install(tmp_path, "tiny_network", "actsearch.architectures", ARCHITECTURE)
    install(tmp_path, "sine_task", "actsearch.tasks", TASK)
    done = run(
        tmp_path,
        "import json\n"
        "from actsearch.schemas import *\n"
        "from actsearch.search import prepare\n"
        "from actsearch.tasks import get_task, load\n"
        "from actsearch.training import *\n"
        "request = JobRequest.model_validate({'task': 'sine_of_x', 'architecture': 'tiny'})\n"
        "prepare(request)\n"
        "candidates = [Candidate({'network': ActivationSpec(family=f)}, 0.01, 0.0, 0.9) for f in ('relu', 'tanh')]\n"
        "cohort, task, plan = Cohort('tiny', {}, candidates), get_task('sine_of_x'), Plan(request.training)\n"
        "out = train(cohort, task, load('sine_of_x'), plan, lambda rung: [True] * len(rung.positions))\n"
        "print(json.dumps([[o.state, o.metrics['test_mse']] for o in out]))\n",
    )
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    assert [state for state, _ in results] == ["complete", "complete"]
    assert all(error < 1 for _, error in results)


@pytest.mark.parametrize(
    ("code", "reason"),
    [("import nowhere_at_all", "nowhere_at_all"), (ARCHITECTURE.replace("def tiny", "def mlp"), "already declared")],
)
def test_a_plugin_that_fails_is_named_and_the_rest_goes_on(tmp_path: Path, code: str, reason: str) -> None:
    install(tmp_path, "broken_network", "actsearch.architectures", code)
    done = run(tmp_path, "from actsearch.architectures import architectures; print(*architectures())")
    assert done.returncode == 0, done.stderr
    assert "mlp" in done.stdout.split()
    assert "broken_network" in done.stderr
    assert reason in done.stderr
