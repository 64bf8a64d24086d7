"""Latency, costs and simulated quantisation of networks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from actsearch.architectures import InputSpec, architectures
from actsearch.measures import activation_cost, int8_drop, latency, measure, parameter_count, quantised
from actsearch.measures.quantisation import Extremes
from actsearch.schemas import ActivationSpec, Measure, Training
from actsearch.tasks import get_task, load
from actsearch.training import Candidate, Cohort, Plan, build_module, train


def network(family: str, architecture: str = "mlp", **parameters: Any) -> nn.Module:
    spec = {"network": ActivationSpec(family=family)}
    return build_module(architecture, parameters, InputSpec("image", (1, 8, 8), 10), spec, seed=0).eval()


def test_latency_grows_with_the_work() -> None:
    x = torch.randn(64, 1, 8, 8)
    small, large = latency(network("relu", width=8), x), latency(network("relu", width=2048, depth=4), x)
    assert 0 < small.median < large.median
    assert small.quartile_range >= 0
    assert (small.batch, small.repeats) == (64, 31)


def test_costs_are_counted_by_hand() -> None:
    x = torch.randn(5, 1, 8, 8)
    module = network("relu", depth=2, width=16)
    assert parameter_count(module) == (64 * 16 + 16) + (16 * 16 + 16) + (16 * 10 + 10)
    assert activation_cost(module, x) == 2 * 16
    assert activation_cost(network("elu", depth=2, width=16), x) == 3 * 2 * 16
    assert activation_cost(network("mish", depth=2, width=16), x) == 10 * 2 * 16


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=50))
def test_rounding_is_at_most_half_a_step_off_and_keeps_zero(values: list[float]) -> None:
    x = torch.tensor(values)
    extremes = Extremes()
    extremes.see(x)
    step = (extremes.high - extremes.low) / 255
    rounded = extremes.rounded(x)
    assert torch.all((rounded - x).abs() <= step * 0.51 + 1e-6)
    assert float(extremes.rounded(torch.zeros(1))) == 0
    assert len(rounded.unique()) <= 256


def test_pytorch_rounds_weights_as_we_do() -> None:
    weight = torch.randn(20, 30)
    extremes = Extremes()
    extremes.see(weight)
    scale = (extremes.high - extremes.low) / 255
    zero = round(-128 - extremes.low / scale)
    expected = torch.quantize_per_tensor(weight, scale, zero, torch.qint8).dequantize()
    assert torch.allclose(extremes.rounded(weight), expected)


def test_quantisation_leaves_the_network_alone_and_its_own_outputs_near() -> None:
    module, x = network("gelu"), torch.randn(100, 1, 8, 8)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    with torch.no_grad(), quantised(module, x) as coarse:
        exact, eight = module(x), coarse(x)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert not torch.equal(exact, eight)
    assert (exact - eight).abs().mean() < 0.05 * exact.std()


@torch.no_grad()
def test_an_outlier_makes_all_other_steps_coarse() -> None:
    module, x = network("relu", depth=2, width=32), torch.randn(200, 1, 8, 8)
    x[:, 0, 0, 0] = 0  # the pixel that the outlier weighs is dark: exact outputs do not change
    errors = []
    for outlier in (1.0, 300.0):
        next(part for part in module.modules() if isinstance(part, nn.Linear)).weight[0, 0] = outlier
        with quantised(module, x) as coarse:
            errors.append(float((coarse(x) - module(x)).abs().mean() / module(x).std()))
    assert errors[1] > 3 * errors[0]


def test_all_measures_of_a_trained_network() -> None:
    task, dataset = get_task("digits"), load("digits", {})
    found: list[dict[str, float]] = []

    def look(place: int, module: nn.Module) -> dict[str, object]:
        found.append(measure(list(Measure), module, task, dataset, device="cpu"))
        return dict(found[-1])

    specs = [ActivationSpec(family=name) for name in ("relu", "gelu")]
    cohort = Cohort("mlp", {"depth": 2, "width": 32}, [Candidate({"network": s}, 1e-2, 0.0, 0.9) for s in specs])
    outcomes = train(cohort, task, dataset, Plan(Training(epochs=5)), lambda rung: [True, True], on_complete=look)

    for outcome, costs in zip(outcomes, found, strict=True):
        assert set(costs) == {
            "latency_ms", "latency_ms_quartile_range", "parameters", "activation_cost", "int8_drop"
        }  # fmt: skip
        assert costs["parameters"] == outcome.metrics["parameters"]
        assert abs(costs["int8_drop"]) < 0.05
        assert outcome.metrics["validation_accuracy"] > 0.8


@pytest.mark.parametrize("name", sorted(architectures()))
def test_every_architecture_can_be_quantised(name: str) -> None:
    """Any network of the catalogue that takes a task of the catalogue; the smallest that its ranges allow."""
    tasks = {"image": "digits", "sequence": "mnist1d", "vector": "wine", "tokens": "text", "coordinates": "image_fit"}
    task_name = next((task for kind, task in tasks.items() if kind in architectures()[name].inputs), "gan_ring")
    task, dataset = get_task(task_name), load(task_name, {})
    spec = InputSpec(dataset.input_kind, dataset.input_shape, dataset.outputs)
    module = build_module(name, {}, spec, {"network": ActivationSpec(family="relu")}, seed=0)

    assert abs(int8_drop(module, task, dataset)) < float("inf")
