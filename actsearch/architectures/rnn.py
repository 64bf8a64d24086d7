"""Recurrent networks, their cells written out so that every activation in them is a site."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from actsearch.architectures.declaration import InputSpec, Sites, architecture
from actsearch.architectures.dropout import Dropout
from actsearch.architectures.initialisation import gain_of, initialise
from actsearch.architectures.sequences import Head, embedding
from actsearch.schemas import ActivationSpec, ParameterInfo


@architecture(
    inputs=("sequence", "tokens"),
    baseline=ActivationSpec(family="tanh"),
    role_baselines={"gate": ActivationSpec(family="sigmoid")},
    parameters=(
        ParameterInfo(
            name="cell", type="choice", default="lstm", choices=["lstm", "gru", "vanilla"], description="kind of cell"
        ),
        ParameterInfo(name="layers", type="int", default=1, low=1, high=8, description="cells on top of one another"),
        ParameterInfo(name="width", type="int", default=64, low=1, high=2048, log=True, description="size of a state"),
        ParameterInfo(name="dropout", type="float", default=0.0, low=0.0, high=0.9, description="between layers"),
        ParameterInfo(
            name="search_gates",
            type="bool",
            default=False,
            description="search the gates too, apart from the rest (stage `gate`); otherwise they keep the sigmoid",
        ),
    ),
)
def rnn(
    spec: InputSpec, sites: Sites, *, cell: str, layers: int, width: int, dropout: float, search_gates: bool
) -> nn.Module:
    """Recurrent network: LSTM, GRU or vanilla cells with searchable candidate, output and (on demand) gate activations.

    Sequences are answered by their last step, tokens by every step. Sites of layer n, in forward order: `gate<n>` in
    stage `gate` (with `search_gates`, not in vanilla cells), `candidate<n>` and, in an LSTM, `output<n>`, both in stage
    `candidate`. By default the search leaves gates alone; asked for, it chooses them apart from the rest, whatever the
    placement, and the baseline has sigmoid gates as in the usual cells. A searched gate is clipped to [0, 1], which
    leaves sigmoids as they are and makes a gate of any other function: with ReLU's own range, states would grow
    without bound.

    References: Hochreiter & Schmidhuber 1997, Long short-term memory; Cho et al. 2014 (GRU; the form of torch.nn.GRU);
    Jozefowicz et al. 2015, An empirical exploration of recurrent network architectures (forget gates start open).
    """
    entry, size = embedding(spec, width)
    stack: list[nn.Module] = [entry]  # -> (B, C, T)
    for number in range(1, layers + 1):
        stack += [Dropout(dropout)] if dropout and number > 1 else []
        stack.append(_CELLS[cell](size, width, number, sites, search_gates=search_gates))
        size = width
    return nn.Sequential(*stack, Head(spec, width))


class Mixture(nn.Module):
    """W x + U h + b, drawn so that its second moment is gain² when those of x and h are 1.

    Args:
        memory: share of the state in the second moment, 0 to 1.
    """

    def __init__(self, inputs: int, width: int, outputs: int, gain: float, memory: float = 0.5) -> None:
        super().__init__()
        self.input = initialise(nn.Linear(inputs, outputs), gain * math.sqrt(1.0 - memory))
        self.state = initialise(nn.Linear(width, outputs, bias=False), gain * math.sqrt(memory))


class Vanilla(nn.Module):
    """h' = f(W x + U h + b), over signals (B, C, T) -> (B, width, T).

    Nothing but U carries gradients back in time, so it is drawn large: with an even share they would halve each step.
    """

    def __init__(self, inputs: int, width: int, number: int, sites: Sites, *, search_gates: bool) -> None:
        super().__init__()
        self.width = width
        self.activation = sites(f"candidate{number}", stage="candidate", channels=width)
        self.candidate = Mixture(inputs, width, width, gain_of(self.activation), memory=0.9)

    def forward(self, x: Tensor) -> Tensor:
        """The states of all steps."""
        steps = self.candidate.input(x.transpose(1, 2)).unbind(1)  # T times (B, width)
        states = [self.activation(steps[0])]  # the first state before is zero
        for step in steps[1:]:
            states.append(self.activation(step + self.candidate.state(states[-1])))
        return torch.stack(states, 2)


class Gru(nn.Module):
    """r, z = gate(...); h' = (1 - z) f(W x + b + r U h) + z h, over signals (B, C, T) -> (B, width, T)."""

    def __init__(self, inputs: int, width: int, number: int, sites: Sites, *, search_gates: bool) -> None:
        super().__init__()
        self.width = width
        self.gate = _gate(number, 2 * width, sites, search_gates=search_gates)
        self.activation = sites(f"candidate{number}", stage="candidate", channels=width)
        self.gates = Mixture(inputs, width, 2 * width, gain_of(self.gate))
        self.candidate = Mixture(inputs, width, width, gain_of(self.activation))

    def forward(self, x: Tensor) -> Tensor:
        """The states of all steps."""
        x = x.transpose(1, 2)  # (B, T, C)
        state = x.new_zeros(len(x), self.width)
        states = []
        for gates, candidate in zip(self.gates.input(x).unbind(1), self.candidate.input(x).unbind(1), strict=True):
            reset, update = self.gate(gates + self.gates.state(state)).chunk(2, -1)  # (B, width) each
            new = self.activation(candidate + reset * self.candidate.state(state))
            state = new + update * (state - new)
            states.append(state)
        return torch.stack(states, 2)


class Lstm(nn.Module):
    """i, f, o = gate(...); c' = f c + i g(W x + U h + b); h' = o k(c'), over signals (B, C, T) -> (B, width, T)."""

    def __init__(self, inputs: int, width: int, number: int, sites: Sites, *, search_gates: bool) -> None:
        super().__init__()
        self.width = width
        self.gate = _gate(number, 3 * width, sites, search_gates=search_gates)
        self.activation = sites(f"candidate{number}", stage="candidate", channels=width)
        self.output = sites(f"output{number}", stage="candidate", channels=width)
        self.gates = Mixture(inputs, width, 3 * width, gain_of(self.gate))
        self.candidate = Mixture(inputs, width, width, gain_of(self.activation))
        with torch.no_grad():
            self.gates.input.bias[width : 2 * width].fill_(1.0)  # forget gates start open

    def forward(self, x: Tensor) -> Tensor:
        """The states of all steps."""
        x = x.transpose(1, 2)  # (B, T, C)
        state = memory = x.new_zeros(len(x), self.width)
        states = []
        for gates, candidate in zip(self.gates.input(x).unbind(1), self.candidate.input(x).unbind(1), strict=True):
            enter, keep, leave = self.gate(gates + self.gates.state(state)).chunk(3, -1)  # (B, width) each
            memory = keep * memory + enter * self.activation(candidate + self.candidate.state(state))
            state = leave * self.output(memory)
            states.append(state)
        return torch.stack(states, 2)


_CELLS: dict[str, Callable[..., nn.Module]] = {"lstm": Lstm, "gru": Gru, "vanilla": Vanilla}


class FixedGate(nn.Sigmoid):
    """The logistic sigmoid of gates that are not searched."""

    gain = 1.0


class SearchedGate(nn.Module):
    """An activation clipped to [0, 1]."""

    def __init__(self, activation: nn.Module) -> None:
        super().__init__()
        self.activation = activation
        self.gain = gain_of(activation)

    def forward(self, x: Tensor) -> Tensor:
        """How far each gate is open, shape of x."""
        opened: Tensor = self.activation(x)
        return opened.clamp(0.0, 1.0)


def _gate(number: int, channels: int, sites: Sites, *, search_gates: bool) -> nn.Module:
    return SearchedGate(sites(f"gate{number}", stage="gate", channels=channels)) if search_gates else FixedGate()
