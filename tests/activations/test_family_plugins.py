"""Families that an installed distribution brings along."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

PLUGIN = '''
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
import json, warnings
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    from actsearch.activations import Activation, families, gain, snippet
from actsearch.schemas import ActivationSpec, JobRequest
from actsearch.search import prepare
spec = ActivationSpec(family="signed_log", parameters={"scale": 2}, learned="channel")
prepared = prepare(JobRequest(task="digits", space={"families": ["relu", "signed_log"]}))
print(json.dumps({
    "repr": repr(Activation(spec, channels=3)),
    "gain": gain(spec),
    "snippet": snippet(spec),
    "searched": list(prepared.space.families["signed_log"].searched),
    "relu": "relu" in families(),
    "warnings": [str(w.message) for w in caught if "left out" in str(w.message)],
}))
"""


def install(folder: Path, name: str, source: str) -> None:
    """A distribution with one module that the entry point names, as pip would lay it out."""
    (folder / f"{name}.py").write_text(source)
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[actsearch.families]\n{name} = {name}\n")


def test_installed_families_join_the_catalogue_and_a_broken_plugin_costs_only_itself(tmp_path: Path) -> None:
    install(tmp_path, "log_families", PLUGIN)
    install(tmp_path, "broken_families", "import nothing_of_this_name")
    path = os.pathsep.join([str(tmp_path), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", USE], env=os.environ | {"PYTHONPATH": path}, check=True, capture_output=True, text=True
    )
    found = json.loads(done.stdout)
    assert found["repr"] == "Activation(signed_log, scale=2, learned=channel)"
    assert 0.5 < found["gain"] < 3
    assert "def signed_log(" in found["snippet"]
    assert found["searched"] == ["scale"]
    assert found["relu"]
    (warning,) = found["warnings"]
    assert "broken_families" in warning
    assert "nothing_of_this_name" in warning
