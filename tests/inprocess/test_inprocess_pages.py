"""The Python of the pages on in-process use runs as it stands, once the reader's own network and data are there."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import actsearch

ROOT = Path(__file__).parents[2]


def blocks(page: str) -> list[str]:
    """The Python blocks of a page, in order."""
    found = re.findall(r"^( *)```python\n(.*?)^ *```", (ROOT / page).read_text(), re.DOTALL | re.MULTILINE)
    return [textwrap.dedent(block) for _, block in found]


def run(block: str, **given: Any) -> dict[str, Any]:
    names = dict(given)
    exec(compile(block, "block", "exec"), names)
    return names


def rows(samples: int, inputs: int, classes: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(samples)
    x = torch.randn(samples, inputs, generator=generator)
    return x, x[:, :classes].argmax(1)


@pytest.fixture
def data() -> dict[str, Tensor]:
    """What the pages call the reader's data: 40 numbers a sample, ten classes."""
    sets = {name: rows(size, 40, 10) for name, size in {"train": 48, "valid": 24, "test": 24}.items()}
    return {f"x_{name}": x for name, (x, _) in sets.items()} | {f"y_{name}": y for name, (_, y) in sets.items()}


@pytest.mark.heavy
def test_a_module(data: dict[str, Tensor]) -> None:
    model = nn.Sequential(nn.Linear(40, 16), nn.ReLU(), nn.Linear(16, 10))
    found = run(blocks("docs/in-process.md")[0], model=model, **data)["found"]
    assert found.verdict is not None
    assert len(found.trials) == 60
    assert {trial.family for trial in found.trials} <= {"as given", "gelu", "leaky_relu"}  # `relu` is as given here
    assert isinstance(found.winner_module, nn.Sequential)


def test_a_function_that_says_where_activations_stand(data: dict[str, Tensor]) -> None:
    build = run(blocks("docs/in-process.md")[1], nn=nn)["build"]
    found = actsearch.search(
        build, (data["x_train"], data["y_train"]), families=["tanh"], trials=2, epochs=1, confirmation="off"
    )
    assert {trial.state for trial in found.trials} == {"complete"}


class Reader(nn.Module):
    """A network with two inputs by name and a mapping as its output."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.act, self.head = nn.Embedding(12, 8), nn.GELU(), nn.Linear(8, 3)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> dict[str, Tensor]:
        mask = attention_mask.unsqueeze(-1)
        return {"logits": self.head((self.act(self.embedding(input_ids)) * mask).sum(1) / mask.sum(1))}


@pytest.mark.heavy
def test_several_inputs_and_outputs() -> None:
    ids = torch.randint(0, 12, (60, 5), generator=torch.Generator().manual_seed(0))
    given = {"ids": ids, "mask": (ids > 2).long().index_fill(1, torch.tensor(0), 1), "labels": ids[:, 0] % 3}
    block = blocks("docs/in-process.md")[2]
    small = block.replace("outputs=", 'trials=3, epochs=1, confirmation="off", families=["relu"], outputs=')
    assert small != block
    found = run(small, actsearch=actsearch, model=Reader(), **given)["found"]
    assert {trial.state for trial in found.trials} == {"complete"}


def test_a_swap() -> None:
    model = nn.Sequential()
    model.add_module("encoder", nn.Sequential(nn.Linear(4, 4), nn.ReLU(inplace=True), nn.Linear(4, 4), nn.PReLU()))
    model.add_module("head", nn.Linear(4, 2))
    [block] = blocks("docs/swapping.md")
    swapped = run(block, model=model, batch=torch.randn(3, 4))["swapped"]
    assert swapped.replaced == {"encoder.1": "ReLU(inplace=True)", "encoder.3": "PReLU(num_parameters=1)"}
    assert swapped.lost_keys == ("encoder.3.weight",)
    assert isinstance(model.encoder[1], nn.ReLU)
