"""What would fail in every trial is told before the first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from actsearch.errors import InvalidRequest
from actsearch.inprocess import search

X = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] > 0).long()


def network(**changes: Any) -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)).requires_grad_(changes.get("trained", True))


class Wordy(nn.Module):
    """Returns more in training than in evaluation."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = network()

    def forward(self, x: Tensor) -> Any:
        y = self.inner(x)
        return (y, y.sum()) if self.training else y


class Cut(nn.Module):
    """Its outputs have no gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = network()

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x).detach()  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("model", "keywords", "said"),
    [
        (Wordy, {}, r"model: returns a tuple in training mode; say with `outputs=`"),
        (lambda: network(trained=False), {}, r"model: nothing in it is trained: .*`requires_grad`"),
        (Cut, {}, r"model: nothing in it is trained"),
        (network, {"valid_data": (X[:9, :3], Y[:9])}, r"valid_data: the network cannot be run on it: RuntimeError"),
        (network, {"test_data": (torch.randn(9, 5), Y[:9])}, r"test_data: the network cannot be run on it"),
        (network, {"forward": lambda module, x: module(x).sum()}, r"model: its loss on train_data raises ValueError"),
        (
            network,
            {"forward": lambda module, x: module(x).mean(0), "loss": lambda outputs, targets: outputs.sum()},
            r"model: gives of shape \(2,\) for 8 samples; outputs begin with an axis of the samples",
        ),
    ],
    ids=["tuple", "frozen", "cut", "valid", "test", "scalar", "mean"],
)
def test_it_is_refused_with_its_reason(model: Callable[[], nn.Module], keywords: dict[str, Any], said: str) -> None:
    trials: list[Any] = []
    with pytest.raises(InvalidRequest, match=said):
        search(model(), (X, Y), trials=2, epochs=1, on_trial=trials.append, **keywords)
    assert trials == []


def test_a_search_is_as_it_would_be_without() -> None:
    """Nothing is drawn from torch's generator, and the module is left as it is."""
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 2))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    torch.manual_seed(3)
    expected = torch.get_rng_state()
    search(model, (X, Y), trials=2, epochs=1)
    assert torch.equal(torch.get_rng_state(), expected)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
