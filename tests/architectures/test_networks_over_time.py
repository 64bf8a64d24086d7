"""`rnn` and `tcn`: against torch's own cells, causality, sites."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from actsearch.architectures import InputSpec, get_architecture, site_names
from actsearch.schemas import ActivationSpec
from actsearch.training import build_module

torch.set_num_threads(1)

TANH = {"network": ActivationSpec(family="tanh")}
SEQUENCE, TOKENS = InputSpec("sequence", (3, 9), 4), InputSpec("tokens", (9,), 11)
CELLS = ["lstm", "gru", "vanilla"]


def random_inputs(spec: InputSpec, count: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    if spec.kind == "tokens":
        return torch.randint(spec.outputs, (count, *spec.shape), generator=generator)
    return torch.randn(count, *spec.shape, generator=generator)


def torch_twin(cell: str, ours: nn.Module, inputs: int, width: int) -> nn.Module:
    """torch's own layer with the weights of ours; its gates come in another order."""
    twin = {"lstm": nn.LSTM, "gru": nn.GRU, "vanilla": nn.RNN}[cell](inputs, width, batch_first=True)
    named: dict[str, torch.Tensor] = dict(ours.named_parameters())

    def rows(kind: str) -> torch.Tensor:
        candidate = named[f"candidate.{kind}"]
        if cell == "vanilla":
            return candidate
        gates = named[f"gates.{kind}"].split(width)
        return torch.cat([gates[0], gates[1], candidate, *gates[2:]])  # i f g o; r z n

    with torch.no_grad():
        twin.weight_ih_l0.copy_(rows("input.weight"))
        twin.weight_hh_l0.copy_(rows("state.weight"))
        twin.bias_ih_l0.copy_(rows("input.bias"))
        twin.bias_hh_l0.zero_()
    return twin


@pytest.mark.parametrize("cell", CELLS)
def test_with_tanh_a_cell_is_torchs_own(cell: str) -> None:
    module = build_module("rnn", {"cell": cell, "width": 5}, SEQUENCE, TANH, seed=3)
    layer = module[1]  # type: ignore[index]
    for parameter in layer.parameters():  # biases start at zero: let them count
        nn.init.normal_(parameter, std=0.5)
    x = random_inputs(SEQUENCE)

    states = layer(x)

    expected = torch_twin(cell, layer, 3, 5)(x.transpose(1, 2))[0]
    torch.testing.assert_close(states, expected.transpose(1, 2))


def test_forget_gates_start_open() -> None:
    module = build_module("rnn", {"cell": "lstm", "width": 3}, SEQUENCE, TANH, seed=0)
    assert module[1].gates.input.bias.tolist() == [0, 0, 0, 1, 1, 1, 0, 0, 0]  # type: ignore[index,union-attr]


@pytest.mark.parametrize("spec", [SEQUENCE, TOKENS], ids=lambda s: s.kind)
@pytest.mark.parametrize(
    ("name", "parameters"),
    [*(("rnn", {"cell": cell, "layers": 2, "width": 6}) for cell in CELLS)]
    + [("tcn", {"channels": 5, "blocks": 3, "norm": norm, "kernel": 2}) for norm in ("none", "batch", "layer")],
)
def test_no_step_sees_a_later_one(name: str, parameters: dict[str, Any], spec: InputSpec) -> None:
    module = build_module(name, parameters, spec, TANH, seed=0).eval()
    every = module[:-1]  # type: ignore[index]
    x = random_inputs(spec)
    changed = x.clone()
    changed[..., 6] = 1 - changed[..., 6].clamp(0, 1)

    before, after = every(x), every(changed)

    assert torch.equal(before[..., :6], after[..., :6])
    assert not torch.equal(before[..., 6:], after[..., 6:])
    assert module(x).shape == ((2, 4) if spec.kind == "sequence" else (2, 9, 11))


def test_a_tcn_looks_back_as_far_as_it_says() -> None:
    spec, kernel, blocks = InputSpec("sequence", (1, 40), 1), 3, 3
    reach = 2 * (kernel - 1) * (2**blocks - 1)
    module = build_module("tcn", {"kernel": kernel, "blocks": blocks}, spec, TANH, seed=0)
    x = torch.zeros(1, 1, 40, requires_grad=True)
    (slope,) = torch.autograd.grad(module(x).sum(), x)
    assert slope[0, 0].nonzero()[0].item() == 39 - reach


def test_sites_of_cells_in_forward_order() -> None:
    rnn = get_architecture("rnn")

    def sites(**parameters: Any) -> list[tuple[str, str]]:
        return site_names(rnn, parameters, SEQUENCE)

    assert sites(cell="vanilla", layers=2, search_gates=True) == [
        ("candidate1", "candidate"),
        ("candidate2", "candidate"),
    ]
    assert sites(cell="lstm") == [("candidate1", "candidate"), ("output1", "candidate")]
    assert sites(cell="lstm", search_gates=True) == [
        ("gate1", "gate"),
        ("candidate1", "candidate"),
        ("output1", "candidate"),
    ]
    assert sites(cell="gru", search_gates=True) == [("gate1", "gate"), ("candidate1", "candidate")]


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_searched_gates_of_sigmoids_are_the_usual_cell_up_to_the_gain(cell: str) -> None:
    sigmoid = ActivationSpec(family="sigmoid")
    usual = build_module("rnn", {"cell": cell, "width": 5}, SEQUENCE, TANH, seed=2)
    searched = build_module(
        "rnn", {"cell": cell, "width": 5, "search_gates": True}, SEQUENCE, TANH | {"gate": sigmoid}, seed=2
    )
    searched.load_state_dict(usual.state_dict())
    x = random_inputs(SEQUENCE)
    assert torch.equal(usual(x), searched(x))


@pytest.mark.parametrize("family", ["relu", "tanh", "gelu"])
def test_the_signal_keeps_its_size_through_many_blocks(family: str) -> None:
    activations = {"network": ActivationSpec(family=family)}
    module = build_module(
        "tcn", {"channels": 64, "blocks": 6}, InputSpec("sequence", (64, 400), 1), activations, seed=0
    )
    with torch.no_grad():
        signal = module[:-1](random_inputs(InputSpec("sequence", (64, 400), 1)))  # type: ignore[index]
    assert 0.2 < math.sqrt(signal[..., 200:].square().mean().item()) < 6  # 19 layers
