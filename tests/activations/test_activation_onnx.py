"""The catalogue in ONNX: onnxruntime computes what torch does. Many at once, for the exporter is slow to start."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from actsearch.activations import Activation, Family, families, snippet
from actsearch.activations.expressions.operators import FUNCTIONS
from actsearch.schemas import ActivationSpec

CHANNELS = 3
X = torch.cat(
    [
        2 * torch.randn(6, CHANNELS, 5, generator=torch.Generator().manual_seed(0)),
        torch.linspace(-60, 60, 12 * CHANNELS * 5).view(12, CHANNELS, 5),
        torch.tensor([0.0, 1.0, -1.0, 0.5, -0.5, 2.0, -2.0, 3.0, -3.0, 6.0, -6.0, 100.0, -100.0, 1e3, -1e3]).view(
            1, 3, 5
        ),
    ]
)


class Network(nn.Module):
    """A layer, every activation side by side on what it gives, and a layer behind all of them."""

    def __init__(self, activations: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.before = nn.Conv1d(CHANNELS, CHANNELS, 1)
        with torch.no_grad():
            self.before.weight.copy_(torch.eye(CHANNELS).unsqueeze(2))
            self.before.bias.zero_()
        self.activations = nn.ModuleDict({f"{name}_": activation for name, activation in activations.items()})
        self.after = nn.Linear(5, 5)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = self.before(x)
        values = {name.removesuffix("_"): activation(x) for name, activation in self.activations.items()}
        return values | {"after": self.after(torch.stack([value[:, 0] for value in values.values()]).tanh())}


def check(activations: Mapping[str, nn.Module], path: Path) -> None:
    """Exported with a free batch size, run on another batch than it was exported with."""
    network = Network(activations).eval()
    free = {0: torch.export.Dim.DYNAMIC}
    program = torch.onnx.export(network, (X[:4],), dynamo=True, dynamic_shapes=(free,), verbose=False)
    program.save(str(path))
    session = onnxruntime.InferenceSession(path)
    found = session.run(None, {session.get_inputs()[0].name: X.numpy()})
    with torch.no_grad():
        wanted = network(X)
    for (name, value), other in zip(wanted.items(), map(torch.from_numpy, found), strict=True):
        rounding = 1e-5 * (1 + value.abs() + (0 if name == "after" else X.abs()))
        wrong = (value - other).abs() > rounding
        assert not wrong.any(), f"{name} at {X[wrong][:5]}: {other[wrong][:5]} for {value[wrong][:5]}"


def learns(family: Family) -> str:
    """Scalars where that is the family's habit, else a value for each channel."""
    return "scalar" if family.learned == "scalar" else "channel"


def build(family: Family, values: dict[str, float], learned: str) -> Activation:
    spec = ActivationSpec.model_validate({"family": family.name, "parameters": values, "learned": learned})
    return Activation(spec, channels=CHANNELS)


def test_every_family_with_fixed_values(setting: Any, tmp_path: Path) -> None:
    check({name: build(found, setting(found, 0.4), "fixed") for name, found in families().items()}, tmp_path / "m.onnx")


def test_every_family_that_learns(setting: Any, tmp_path: Path) -> None:
    found = {name: family for name, family in families().items() if "learnable" in family.tags}
    check({name: build(f, setting(f, 0.6), learns(f)) for name, f in found.items()}, tmp_path / "m.onnx")


def test_every_module_of_torch_that_a_snippet_names(setting: Any, tmp_path: Path) -> None:
    modules = {}
    for name, family in families().items():
        if family.torch_module is not None:
            scope: dict[str, Any] = {}
            learned = "channel" if "{channels}" in family.torch_module else "fixed"
            spec = {"family": name, "parameters": setting(family, 0.4), "learned": learned}
            source = snippet(ActivationSpec.model_validate(spec)).replace("channels = 64", f"channels = {CHANNELS}")
            exec(compile(source, "<snippet>", "exec"), scope)
            modules[name] = scope["activation"]
    check(modules, tmp_path / "m.onnx")


@pytest.mark.parametrize("learned", ["fixed", "channel"])
def test_every_operator_of_expressions(learned: str, tmp_path: Path) -> None:
    texts = [f"{name}({', '.join(['c * x', '0.5', 'x'][: f.arity])})" for name, f in FUNCTIONS.items()]
    texts += ["c + x - x / (2 + x^2)", "x / (c + x)", "-max(x, c)^2", "min(c, x)^3"]
    specs = [ActivationSpec(family="expression", expression=t, parameters={"c": 1.25}, learned=learned) for t in texts]
    check({str(i): Activation(spec, channels=CHANNELS) for i, spec in enumerate(specs)}, tmp_path / "m.onnx")
