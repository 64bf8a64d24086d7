"""The built-in architectures: their parameters, their sites and how their weights are drawn."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from actsearch.activations import resolve
from actsearch.architectures import (
    InputSpec,
    architectures,
    describe,
    get_architecture,
    initialise,
    resolve_parameters,
    site_names,
)
from actsearch.errors import InvalidRequest, NotFound
from actsearch.schemas import ActivationSpec
from actsearch.training import build_module
from actsearch.training.build import site_activations

torch.set_num_threads(1)

RELU = {"network": ActivationSpec(family="relu")}
SHAPES = {"vector": (7,), "sequence": (2, 11), "image": (3, 5, 6), "coordinates": (2,), "tokens": (6,)}
INPUTS = [
    (name, kind) for name, architecture in architectures().items() for kind in architecture.inputs if kind in SHAPES
]
SMALL = {"depth": 3, "width": 9, "channels": 3, "stages": 4, "layers": 2, "blocks": 2, "heads": 3, "patch": 7}


def drawn_parameters(name: str, data: st.DataObject) -> dict[str, Any]:
    """Any parameters that the architecture declares, of a small network."""
    found: dict[str, Any] = {}
    for info in get_architecture(name).parameters:
        if info.type == "bool":
            values: st.SearchStrategy[Any] = st.booleans()
        elif info.type == "choice":
            values = st.sampled_from(info.choices or [])
        else:
            low, high = info.low or 0, min(info.high or 4, SMALL.get(info.name, 4))
            values = st.integers(int(low), int(high)) if info.type == "int" else st.sampled_from([low, high / 2])
        found[info.name] = data.draw(values, info.name)
    return found


@pytest.mark.parametrize("name", architectures())
def test_every_baseline_is_an_activation_of_the_catalogue(name: str) -> None:
    resolve(describe(get_architecture(name)).baseline)


@pytest.mark.parametrize(("name", "kind"), INPUTS)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_every_network_maps_its_inputs_to_the_outputs(name: str, kind: str, data: st.DataObject) -> None:
    spec = InputSpec(kind, SHAPES[kind], outputs=4)

    module = build_module(name, drawn_parameters(name, data), spec, RELU, seed=0)

    outputs = module(inputs_of(spec))
    assert outputs.shape == ((3, *spec.shape, 4) if kind == "tokens" else (3, 4))
    assert outputs.isfinite().all()


@pytest.mark.parametrize(("name", "kind"), INPUTS)
@settings(max_examples=5, deadline=None)
@given(data=st.data())
def test_sites_are_called_in_the_order_and_with_the_channels_they_name(
    name: str, kind: str, data: st.DataObject
) -> None:
    spec, parameters, seen = InputSpec(kind, SHAPES[kind], outputs=4), drawn_parameters(name, data), []
    named = site_names(get_architecture(name), parameters, spec)
    module = build_module(name, parameters, spec, RELU, seed=0)

    def note(activation: Any, inputs: tuple[Tensor, ...]) -> None:
        assert inputs[0].shape[activation.axis] == activation.channels
        seen.append(activation.site)

    for activation in site_activations(module).values():
        activation.register_forward_pre_hook(note)
    module(inputs_of(spec))

    sites, stages = [site for site, _ in named], [stage for _, stage in named]
    assert list(dict.fromkeys(seen)) == sites
    assert len(set(sites)) == len(sites)
    assert name == "rnn" or sorted(stages) == stages  # there a stage is a role in the cell
    assert not {*sites, "network"} & set(stages)


DEEP = [
    ("resnet", {"blocks": 3, "norm": "none"}),
    ("resnet", {"blocks": 3, "norm": "layer"}),
    ("vit", {"depth": 6}),
    ("vit", {"depth": 6, "unit": "glu"}),
    ("mlp_mixer", {"depth": 6}),
    ("mlp_mixer", {"depth": 6, "unit": "maxout"}),
    ("transformer_lm", {"depth": 6}),
]


@pytest.mark.parametrize("family", ["relu", "gelu", "tanh", "selu"])
@pytest.mark.parametrize(("name", "parameters"), DEEP)
def test_the_signal_has_about_one_size_at_all_sites(name: str, parameters: dict[str, Any], family: str) -> None:
    kind = "tokens" if name == "transformer_lm" else "image"
    spec = InputSpec(kind, {"tokens": (20,), "image": (3, 12, 12)}[kind], outputs=10)
    module = build_module(name, parameters, spec, {"network": ActivationSpec(family=family)}, seed=1).train()
    sizes: list[float] = []
    for activation in site_activations(module).values():
        activation.register_forward_pre_hook(lambda _, inputs: sizes.append(inputs[0].square().mean().item()))
    with torch.no_grad():
        module(inputs_of(spec, samples=20))
    assert all(0.2 < size < 5 for size in sizes), sizes


def inputs_of(spec: InputSpec, samples: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    if spec.kind == "tokens":
        return torch.randint(0, spec.outputs, (samples, *spec.shape), generator=generator)
    return torch.randn(samples, *spec.shape, generator=generator)


def test_sites_are_named_in_forward_order() -> None:
    spec = InputSpec("image", (1, 8, 8), 10)
    mlp, convnet = get_architecture("mlp"), get_architecture("convnet")
    assert site_names(mlp, {"depth": 5}, spec) == [
        ("layer1", "stage1"),
        ("layer2", "stage1"),
        ("layer3", "stage2"),
        ("layer4", "stage2"),
        ("layer5", "stage3"),
    ]
    assert site_names(mlp, {"depth": 1}, spec) == [("layer1", "stage1")]
    assert site_names(convnet, {"stages": 2, "layers": 2}, spec) == [
        ("layer1", "stage1"),
        ("layer2", "stage1"),
        ("layer3", "stage2"),
        ("layer4", "stage2"),
    ]


@pytest.mark.parametrize(
    ("given_", "field", "allowed"),
    [
        ({"deep": 3}, "deep", "depth"),
        ({"depth": 0}, "depth", "1 to 100"),
        ({"depth": 2.5}, "depth", "integers"),
        ({"depth": True}, "depth", "1 to 100"),
        ({"width": "64"}, "width", "1 to 8192"),
        ({"norm": "group"}, "norm", "batch"),
        ({"dropout": 1.0}, "dropout", "0 to 0.9"),
    ],
)
def test_wrong_parameters_are_named_with_what_is_allowed(given_: dict[str, Any], field: str, allowed: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        resolve_parameters(get_architecture("mlp"), {"norm": "layer"} | given_)
    (problem,) = caught.value.problems
    assert problem.field == field
    assert allowed in ", ".join(problem.allowed)


def test_all_problems_are_told_at_once_and_good_values_get_their_types() -> None:
    mlp = get_architecture("mlp")
    with pytest.raises(InvalidRequest) as caught:
        resolve_parameters(mlp, {"depth": -1, "width": 0, "colour": 1})
    assert [p.field for p in caught.value.problems] == ["depth", "width", "colour"]
    found = resolve_parameters(mlp, {"depth": 2.0, "dropout": 0})
    units = {"unit": "plain", "pieces": 2, "match_size": True}
    assert found == {"depth": 2, "width": 64, "norm": "none", "dropout": 0.0} | units
    assert isinstance(found["depth"], int)
    assert isinstance(found["dropout"], float)


def test_descriptions_say_what_a_request_may_contain() -> None:
    with pytest.raises(NotFound, match="mlp"):
        get_architecture("perceptron")
    for name, architecture in architectures().items():
        info = describe(architecture)
        assert info.name == name
        assert info.description.endswith(".")
        assert resolve_parameters(architecture, {p.name: p.default for p in info.parameters})


@pytest.mark.parametrize("layer", [nn.Linear(300, 200), nn.Conv1d(40, 300, 3), nn.Conv2d(16, 300, 3)])
def test_weights_have_the_variance_that_keeps_the_signal(layer: Any) -> None:
    torch.manual_seed(0)
    initialise(layer, 1.7)
    fan_in = layer.weight[0].numel()
    assert layer.weight.std().item() * math.sqrt(fan_in) == pytest.approx(1.7, rel=0.02)
    assert layer.weight.mean().item() == pytest.approx(0, abs=1e-2)
    assert not layer.bias.any()


@pytest.mark.parametrize("family", ["relu", "tanh", "selu"])
def test_the_signal_keeps_its_size_through_a_deep_network(family: str) -> None:
    parameters = {"depth": 20, "width": 400}
    module = build_module(
        "mlp", parameters, InputSpec("vector", (400,), 400), {"network": ActivationSpec(family=family)}, 0
    )
    with torch.no_grad():
        outputs = module(torch.randn(50, 400, generator=torch.Generator().manual_seed(0)))
    assert 0.3 < outputs.square().mean().item() < 3


def test_one_seed_gives_the_same_weights_up_to_the_gain() -> None:
    spec, sizes = InputSpec("vector", (7,), 3), {"depth": 2, "width": 5}
    torch.manual_seed(1)
    relu = build_module("mlp", sizes, spec, RELU, seed=4)
    after = torch.rand(1)
    torch.manual_seed(1)
    assert torch.equal(after, torch.rand(1))  # the global generator is left alone
    selu = build_module("mlp", sizes, spec, {"network": ActivationSpec(family="selu")}, seed=4)
    other = build_module("mlp", sizes, spec, RELU, seed=5)
    pairs = list(zip(relu.parameters(), selu.parameters(), other.parameters(), strict=True))
    torch.testing.assert_close(pairs[0][0], pairs[0][1] * math.sqrt(2), rtol=1e-3, atol=1e-6)
    assert torch.equal(pairs[-2][0], pairs[-2][1])
    assert not torch.equal(pairs[0][0], pairs[0][2])
