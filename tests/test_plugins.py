"""Plugins: a real distribution on the path whose entry points declare a family, an architecture or a task."""

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

FAMILY = '''
import torch
from torch import Tensor
from actsearch.activations import Parameter, family

@family(
    formula="sign(x) ln(1 + scale |x|)",
    reference="ours",
    parameters={"scale": Parameter(1.0, 0.1, 10.0, log=True, learnable=True, description="steepness")},
    smooth=True,
    monotone=True,
)
def signed_log(x: Tensor, scale: float | Tensor) -> Tensor:
    """Signed logarithm."""
    return torch.sign(x) * torch.log1p(scale * x.abs())
'''
USE = """
import json
from actsearch.activations import Activation, families, gain, snippet
from actsearch.schemas import ActivationSpec, JobRequest
from actsearch.study import prepare
spec = ActivationSpec(family="signed_log", parameters={"scale": 2}, learned="channel")
prepared = prepare(JobRequest(task="digits", space={"families": ["relu", "signed_log"]}))
print(json.dumps({
    "repr": repr(Activation(spec, channels=3)),
    "gain": gain(spec),
    "snippet": snippet(spec),
    "searched": list(prepared.space.families["signed_log"].searched),
}))
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
        "from actsearch.study import prepare\n"
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


def test_a_plugins_family_is_one_of_the_catalogue(tmp_path: Path) -> None:
    install(tmp_path, "log_families", "actsearch.families", FAMILY)
    done = run(tmp_path, USE)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["repr"] == "Activation(signed_log, scale=2, learned=channel)"
    assert 0.5 < found["gain"] < 3
    assert "def signed_log(" in found["snippet"]
    assert found["searched"] == ["scale"]


@pytest.mark.parametrize(
    ("group", "code", "reason"),
    [
        ("actsearch.architectures", "import nowhere_at_all", "nowhere_at_all"),
        ("actsearch.architectures", ARCHITECTURE.replace("def tiny", "def mlp"), "already declared"),
        ("actsearch.families", "import nowhere_at_all", "nowhere_at_all"),
        ("actsearch.families", FAMILY.replace("def signed_log", "def relu"), "already declared"),
    ],
)
def test_a_plugin_that_fails_is_named_and_the_rest_goes_on(tmp_path: Path, group: str, code: str, reason: str) -> None:
    install(tmp_path, "a_broken_plugin", group, code)
    install(tmp_path, "log_families", "actsearch.families", FAMILY)
    done = run(
        tmp_path,
        "from actsearch.activations import families\n"
        "from actsearch.architectures import architectures\n"
        "print(*families(), *architectures())",
    )
    assert done.returncode == 0, done.stderr
    assert {"relu", "signed_log", "mlp"} <= set(done.stdout.split())
    assert "a_broken_plugin" in done.stderr
    assert reason in done.stderr
