"""The three facts about activations, at reduced size: each must still show what it claims."""

from __future__ import annotations

import importlib.util
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

FACTS = Path(__file__).parents[2] / "examples" / "facts"


@pytest.fixture
def run_fact(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[str], tuple[Any, str]]:
    """`run_fact(name)` -> what the example measured and what it printed; its figure is checked on the way."""

    def run(name: str) -> tuple[Any, str]:
        spec = importlib.util.spec_from_file_location(f"fact_{name}", FACTS / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        figure = tmp_path / "figures" / f"{name}.svg"
        found = module.main(["--quick", "--output", str(figure)])
        assert ET.parse(figure).getroot().tag.endswith("svg")
        return found, capsys.readouterr().out

    return run


def test_sigmoid_starves_the_first_layer_by_many_orders_of_magnitude(run_fact: Any) -> None:
    found, printed = run_fact("vanishing_gradient")
    first = {label: float(norms[0]) for label, norms in found.items()}
    assert first["sigmoid, He"] < 1e-8 * first["relu, He"]
    assert first["sigmoid, own gain"] < 1e-6 * first["relu, He"]
    assert all(label in printed for label in found)


def test_negative_means_kill_relu_units_unless_something_helps(run_fact: Any) -> None:
    found, printed = run_fact("dying_units")
    alive, at_half, below = range(3)  # means 0, -0.5 and -0.75
    assert found["ReLU"][alive] < 0.05
    assert min(found["ReLU"][at_half], found["ReLU"][below]) > 0.5
    assert max(found["leaky ReLU"] + found["ReLU + BatchNorm"]) < 0.02
    assert found["ReLU + He"][at_half] < found["ReLU"][at_half] / 2
    assert all(arm in printed for arm in found)


def test_every_activation_is_timed(run_fact: Any) -> None:
    found, printed = run_fact("speed")
    assert {"ReLU", "sigmoid", "tanh", "ELU", "softplus"} <= set(found)
    assert all(0 < times.low <= times.median <= times.high for times in found.values())
    assert all(name in printed for name in found)
