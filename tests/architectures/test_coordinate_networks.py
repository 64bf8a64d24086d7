"""`coordinate`: SIREN's initialisation, input scaling, derivatives."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap

from actsearch.architectures import InputSpec
from actsearch.schemas import ActivationSpec
from actsearch.training import build_module

torch.set_num_threads(1)

PLANE = InputSpec("coordinates", (2,), 3)


def network(family: str, seed: int = 0, **parameters: float) -> nn.Sequential:
    values = {key: value for key, value in parameters.items() if key != "omega"}
    own = {"omega": parameters["omega"]} if "omega" in parameters else {}
    built = build_module("coordinate", values, PLANE, {"network": ActivationSpec(family=family, parameters=own)}, seed)
    assert isinstance(built, nn.Sequential)
    return built


def linears(module: nn.Module) -> list[nn.Linear]:
    return [layer for layer in module if isinstance(layer, nn.Linear)]  # type: ignore[attr-defined]


@pytest.mark.parametrize("omega", [1.0, 30.0])
def test_weights_before_a_sine_are_sirens(omega: float) -> None:
    """Hidden weights of variance 2 / (n omega^2), so that omega x has variance 1 everywhere behind the first layer."""
    module = network("sine", omega=omega, width=512, depth=4)
    for layer in linears(module)[1:-1]:
        assert layer.weight.std().item() * omega * math.sqrt(512 / 2) == pytest.approx(1, rel=0.05)
    signal = torch.rand(400, 2) * 2 - 1
    with torch.no_grad():
        for layer in module[:-1]:
            if isinstance(layer, nn.Linear) and layer.in_features == 512:
                assert (omega * layer(signal)).var().item() == pytest.approx(1, rel=0.2)
            signal = layer(signal)


@pytest.mark.parametrize("omega", [1.0, 30.0])
def test_the_input_scale_alone_sets_the_first_frequencies(omega: float) -> None:
    for scale in (0.5, 10.0):
        module = network("sine", omega=omega, width=2048, input_scale=scale)
        frequencies = scale * omega * linears(module)[0].weight
        assert frequencies.std().item() == pytest.approx(scale * math.sqrt(2 / 2), rel=0.05)


def test_units_of_the_first_layer_bend_inside_the_domain() -> None:
    module = network("relu", width=500, input_scale=7.0)
    corners = torch.tensor([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])
    with torch.no_grad():
        before = module[:2](corners)  # (4, width): a line through the square has corners on both sides
    assert ((before > 0).any(0) & (before < 0).any(0)).all()


def test_laplacians_under_vmap_are_those_of_finite_differences() -> None:
    """PINN losses differentiate twice, for stacked weights at once."""
    modules = [network("tanh", seed=seed, width=7).double() for seed in (1, 2, 3)]
    parameters, buffers = stack_module_state(modules)
    place = torch.tensor([0.3, -0.2], dtype=torch.float64)

    def value(weights: dict[str, Tensor], at: Tensor) -> Tensor:
        out: Tensor = functional_call(modules[0], (weights, buffers), (at[None],))
        return out[0, 0]

    def bend(weights: dict[str, Tensor]) -> Tensor:
        slope = grad(value, argnums=1)
        return torch.stack([grad(lambda at, i=i: slope(weights, at)[i])(place)[i] for i in range(2)]).sum()

    found = vmap(bend)(parameters)
    step = 1e-4
    for module, together in zip(modules, found, strict=True):
        total = torch.zeros((), dtype=torch.float64)
        for axis in range(2):
            shift = torch.zeros(2, dtype=torch.float64)
            shift[axis] = step
            around = torch.stack([place + shift, place, place - shift])
            total += (module(around)[:, 0] * torch.tensor([1.0, -2.0, 1.0], dtype=torch.float64)).sum() / step**2
        torch.testing.assert_close(together, total.detach(), rtol=1e-4, atol=1e-5)
