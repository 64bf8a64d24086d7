"""What a `forward` does beside computing its outputs outlives the exchange of its activations."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from actsearch import swap_activations

torch.set_num_threads(1)


@dataclass
class Outputs(OrderedDict[str, Tensor]):
    """A mapping with attributes, as networks of transformers return."""

    logits: Tensor
    boxes: Tensor

    def __post_init__(self) -> None:
        self["logits"], self["boxes"] = self.logits, self.boxes


class Detector(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.classes, self.place = nn.Linear(4, 4), nn.Linear(4, 3), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Outputs:
        hidden = F.relu(self.body(x))
        return Outputs(logits=self.classes(hidden), boxes=self.place(hidden).sigmoid())


class Ordered(Detector):
    def forward(self, x: Tensor) -> OrderedDict[str, Tensor]:
        hidden = F.relu(self.body(x))
        return OrderedDict(logits=self.classes(hidden), boxes=self.place(hidden).sigmoid())


class Counting(nn.Module):
    """Counts its steps in training."""

    def __init__(self, act: nn.Module | None) -> None:
        super().__init__()
        self.layer, self.act = nn.Linear(4, 4), act
        self.register_buffer("steps", torch.tensor(0))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.steps.add_(1)
        y = self.layer(x)
        return (F.relu(y) if self.act is None else self.act(y)).sum(1)


@pytest.mark.parametrize("kind", [Detector, Ordered])
@pytest.mark.parametrize("given", [False, True])
def test_outputs_keep_their_class(kind: type[Detector], given: bool) -> None:
    model, x = kind(), torch.randn(2, 4)
    swapped = swap_activations(model, "tanh", inputs=x if given else None)
    assert list(swapped.replaced.values()) == ["F.relu"]
    assert ["output" in reason for path, reason in swapped.left.items() if "sigmoid" in path] == [True]
    for module in (swapped.module, pickle.loads(pickle.dumps(swapped.module))):
        outputs = module(x)
        assert type(outputs) is type(model(x))
        torch.testing.assert_close(outputs["logits"], model.classes(model.body(x).tanh()))
        torch.testing.assert_close(outputs["boxes"], model.place(model.body(x).tanh()).sigmoid())


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("act", [None, nn.ReLU()])
def test_buffers_are_counted_by_nobody_but_the_network(act: nn.Module | None, given: bool) -> None:
    model = Counting(act)
    head = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), model)
    swapped = swap_activations(head, "tanh", inputs=torch.randn(2, 4) if given else None)
    counting = swapped.module[2]
    assert int(model.steps) == int(counting.steps) == 0
    swapped.module.train()(torch.randn(2, 4))
    assert int(counting.steps) == 1
    if act is None:
        assert "changes its buffers" in swapped.left["2"]
