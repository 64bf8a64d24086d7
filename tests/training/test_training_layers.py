"""Networks written out layer by layer against the same under vmap, and tasks that need the latter."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from actsearch.architectures import InputSpec
from actsearch.schemas import ActivationSpec, Training
from actsearch.tasks import get_task, load
from actsearch.training import Candidate, build_module
from actsearch.training.layers import layers_of
from actsearch.training.stack import StackedTrials
from actsearch.training.stacked_layers import Block

# Learned and stochastic ones among them, and one that comes twice.
FAMILIES = ["relu", "prelu", "rrelu", "gelu", "relu", "swish"]
# Blocks of their own (four and more), and what is run together before, between and after them.
RUNS = ["relu", "gelu", "prelu", "prelu", "prelu", "prelu", "elu", "rrelu", "rrelu", "rrelu", "rrelu", "rrelu", "tanh"]
VECTOR, IMAGE, SEQUENCE = (InputSpec("image", s, 5) for s in ((3, 4, 4), (3, 8, 8), (2, 12)))


def stack(
    architecture: str, spec: InputSpec, parameters: dict[str, Any], task: Any, families: list[str] = FAMILIES
) -> StackedTrials:
    candidates = [Candidate({"network": ActivationSpec(family=name)}, 0.01, 0.0, 0.9) for name in families]
    modules = [build_module(architecture, parameters, spec, c.activations, seed) for seed, c in enumerate(candidates)]
    return StackedTrials(modules, candidates, task, Training(optimizer="sgd"), device=torch.device("cpu"), piece=7)


@pytest.mark.parametrize(
    ("architecture", "spec", "parameters"),
    [
        ("mlp", VECTOR, {"depth": 2, "width": 6}),
        ("mlp", VECTOR, {"depth": 2, "width": 6, "norm": "batch", "dropout": 0.3}),
        ("mlp", VECTOR, {"depth": 2, "width": 6, "norm": "layer"}),
        ("convnet", IMAGE, {"channels": 4, "norm": "none"}),
        ("convnet", IMAGE, {"channels": 4, "norm": "batch", "dropout": 0.3}),
        ("convnet", IMAGE, {"channels": 4, "norm": "layer"}),
        ("convnet", SEQUENCE, {"channels": 4, "norm": "batch"}),
        ("mlp", VECTOR, {"depth": 2, "width": 6, "unit": "glu"}),
        ("mlp", VECTOR, {"depth": 2, "width": 6, "unit": "maxout", "pieces": 3}),
        ("mlp", VECTOR, {"depth": 2, "width": 6, "unit": "crelu"}),
        ("mlp", VECTOR, {"depth": 2, "width": 6, "unit": "gabor"}),
        ("mlp", VECTOR, {"depth": 2, "width": 6, "unit": "polynorm"}),
        ("convnet", IMAGE, {"channels": 4, "unit": "gabor"}),
        ("mlp", VECTOR, {"depth": 2, "width": 6, "unit": "dy_relu"}),
        ("convnet", IMAGE, {"channels": 4, "unit": "meta_acon"}),
        ("convnet", IMAGE, {"channels": 4, "unit": "frelu"}),
        ("coordinate", InputSpec("coordinates", (2,), 5), {"depth": 2, "width": 6}),
    ],
)
def test_written_out_and_vmapped_networks_take_the_same_steps(
    architecture: str, spec: InputSpec, parameters: dict[str, Any]
) -> None:
    assert_same_steps(*(stack(architecture, spec, parameters, get_task("digits")) for _ in range(2)), spec)


@pytest.mark.parametrize("spec", [IMAGE, SEQUENCE], ids=["image", "sequence"])
@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
def test_convolutions_in_blocks_take_the_same_steps(norm: str, spec: InputSpec) -> None:
    parameters = {"channels": 4, "norm": norm, "dropout": 0.3}
    written, vmapped = (stack("convnet", spec, parameters, get_task("digits"), RUNS) for _ in range(2))
    assert [(block.rows, block.channels_last) for block in written._blocks] == [
        (range(2), False),
        (range(2, 6), True),
        (range(6, 7), False),
        (range(7, 12), True),
        (range(12, 13), False),
    ]
    assert_same_steps(written, vmapped, spec)
    for trials in (written, vmapped):
        trials.keep([0, 3, 4, 6, 7, 8, 9, 10])
    assert [len(block) for block in written._blocks] == [4, 4]
    assert_same_steps(written, vmapped, spec)


@pytest.mark.parametrize("unit", ["crelu", "glu", "frelu"])
def test_units_of_convolutions_take_the_same_steps_in_runs_of_a_family(unit: str) -> None:
    parameters = {"channels": 4, "norm": "batch", "unit": unit}
    assert_same_steps(*(stack("convnet", IMAGE, parameters, get_task("digits"), RUNS) for _ in range(2)), IMAGE)


def test_blocks_end_where_every_site_begins_another_activation() -> None:
    spec = InputSpec("image", (1, 8, 8), 5)
    late = ["relu"] * 4 + ["gelu"] * 8
    candidates = [
        Candidate({"network": ActivationSpec(family=n), "stage1": ActivationSpec(family=m)}, 0.01, 0.0, 0.9)
        for n, m in zip(["relu"] * 8 + ["gelu"] * 4, late, strict=True)
    ]
    modules = [build_module("convnet", {"channels": 4}, spec, c.activations, 0) for c in candidates]
    task, training = get_task("digits"), Training(optimizer="sgd")

    trials = StackedTrials(modules, candidates, task, training, device=torch.device("cpu"), piece=7)

    assert trials._blocks == [Block(range(12))]


def assert_same_steps(written: StackedTrials, vmapped: StackedTrials, spec: InputSpec) -> None:
    """Three steps and an evaluation, written out and under vmap."""
    assert written._layers is not None
    vmapped._layers = None
    part = (torch.randn(20, *spec.shape), torch.randint(0, 5, (20,)))

    for step in range(3):
        losses = []
        for trials in (written, vmapped):
            torch.manual_seed(step)
            losses.append(trials.step(part, 1.0))
        torch.testing.assert_close(*losses, rtol=1e-4, atol=1e-5)
    for name, value in written.evaluate(part).items():
        torch.testing.assert_close(value, vmapped.evaluate(part)[name], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(written._buffers, vmapped._buffers, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [0, 3])
def test_layers_before_the_first_weights_are_shared_until_they_differ(size: int) -> None:
    chain = layers_of(nn.Sequential(nn.Flatten(), nn.Sequential(nn.Identity(), nn.LayerNorm(6))))
    assert chain is not None
    x = torch.randn(size, 2, 3)

    out = chain(
        {"1.1.weight": torch.ones(4, 6), "1.1.bias": torch.arange(4.0).repeat(6, 1).T}, {}, x, [Block(range(4))]
    )

    assert out.shape == (4, size, 6)
    torch.testing.assert_close(out[3], nn.functional.layer_norm(x.flatten(1), [6]) + 3)


@pytest.mark.parametrize(
    "module",
    [
        nn.Sequential(nn.Linear(2, 2), nn.Softmax(-1)),
        nn.Conv2d(4, 4, 3, groups=2),
        nn.BatchNorm2d(4, affine=False),
        nn.Flatten(0),
        nn.TransformerEncoderLayer(4, 2),
    ],
)
def test_what_is_not_known_is_left_to_vmap(module: nn.Module) -> None:
    assert layers_of(module) is None


def test_a_loss_that_differentiates_the_network_is_left_to_vmap() -> None:
    dataset = load("pinn_poisson", {"samples": 64})
    spec = InputSpec(dataset.input_kind, dataset.input_shape, dataset.outputs)
    trials = stack("mlp", spec, {"depth": 2, "width": 6}, get_task("pinn_poisson"))
    assert trials._layers is not None

    losses = trials.step(tuple(tensor[:8] for tensor in dataset.train), 1.0)

    assert trials._layers is None
    assert torch.isfinite(losses).all()
