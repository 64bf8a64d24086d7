"""Inputs that are several tensors, and networks that give several outputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from actsearch.errors import InvalidRequest
from actsearch.inprocess import search

torch.set_num_threads(1)

QUICK: dict[str, Any] = {"families": ["relu", "tanh"], "trials": 4, "epochs": 3, "seed": 1, "confirmation": "off"}


@dataclass
class Answer:
    """As transformers' outputs are, without the package."""

    hidden: Tensor
    logits: Tensor


class Reader(nn.Module):
    """Says whether a padded sequence of tokens holds more of the upper half of them; padding is masked."""

    def __init__(self, act: nn.Module | None = None, kind: str = "tensor") -> None:
        super().__init__()
        self.kind = kind
        self.embedding, self.inner = nn.Embedding(10, 8), nn.Linear(8, 8)
        self.act, self.head = act or nn.GELU(), nn.Linear(8, 2)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Any:
        weights = attention_mask.unsqueeze(-1).float()
        hidden = (self.embedding(input_ids) * weights).sum(1) / weights.sum(1)
        logits = self.head(self.act(self.inner(hidden)))
        kinds = {
            "tensor": logits,
            "mapping": {"hidden": hidden, "logits": logits},
            "dataclass": Answer(hidden, logits),
            "tuple": (logits, hidden),
            "unclear": {"hidden": hidden, "scores": logits},
            "text": "logits",
        }
        return kinds[self.kind]


def tokens(samples: int = 120) -> tuple[dict[str, Tensor], Tensor]:
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, 10, (samples, 7), generator=generator)
    mask = torch.arange(7) < torch.randint(3, 8, (samples, 1), generator=generator)
    upper = ((ids >= 5) & mask).sum(1) * 2 > mask.sum(1)
    return {"input_ids": ids * mask, "attention_mask": mask}, upper.long()


def rates(found: Any) -> list[float]:
    return [trial.metrics["validation_loss"] for trial in found.trials]


def test_keyword_inputs_are_trained_alone_and_together_alike() -> None:
    model, data = Reader(), tokens()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    together, alone = (search(model, data, cohort_size=size, **QUICK) for size in (4, 1))
    assert {trial.state for trial in together.trials} == {"complete"}
    assert [trial.metrics["environment"]["cohort_size"] for trial in together.trials] == [4] * 4
    assert rates(together) == pytest.approx(rates(alone), rel=1e-3)
    assert "inputs: input_ids, attention_mask are given to the network by keyword" in str(together)
    assert list(together.replaced) == ["act"]
    best = together.best_module
    assert type(best) is Reader
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert best.state_dict().keys() <= before.keys()
    inputs, _ = data
    assert best(**inputs).shape == (120, 2)


def test_what_is_learned_is_what_the_winner_computes() -> None:
    found = search(Reader(), tokens(), tokens(60), **QUICK | {"epochs": 30, "optimizer": "adam", "learning_rate": 0.02})
    inputs, targets = tokens(60)
    assert found.best_module is not None
    with torch.no_grad():
        accuracy = float((found.best_module(**inputs).argmax(1) == targets).float().mean())
    assert accuracy == pytest.approx(found.best.value or 0.0, abs=1e-6)
    assert accuracy > 0.8


def test_a_function_may_build_a_network_of_several_inputs() -> None:
    found = search(lambda act: Reader(act()), tokens(), **QUICK)
    assert {trial.state for trial in found.trials} == {"complete"}
    assert type(found.best_module) is Reader


def test_a_tuple_gives_arguments_in_order() -> None:
    inputs, targets = tokens()
    named = search(Reader(), (inputs, targets), **QUICK)
    placed = search(Reader(), (tuple(inputs.values()), targets), **QUICK)
    assert rates(named) == rates(placed)
    assert "2 of them are given to the network one after the other" in str(placed)


@pytest.mark.parametrize("kind", ["mapping", "dataclass", "tuple"])
def test_of_several_outputs_the_obvious_one_is_learned_and_told(kind: str) -> None:
    plain, several = (search(Reader(kind=name), tokens(), **QUICK) for name in ("tensor", kind))
    assert rates(several) == pytest.approx(rates(plain), rel=1e-6)
    chosen = 0 if kind == "tuple" else "'logits'"
    assert f"outputs: {chosen} of the " in str(several)


def test_outputs_and_forward_say_otherwise() -> None:
    data = tokens()
    plain = search(Reader(), data, **QUICK)
    named = search(Reader(kind="unclear"), data, outputs="scores", **QUICK)
    assert rates(named) == pytest.approx(rates(plain), rel=1e-6)

    def forward(model: Any, inputs: Any) -> Tensor:
        return model(inputs["input_ids"], inputs["attention_mask"])["scores"]  # type: ignore[no-any-return]

    hooked = search(Reader(kind="unclear"), data, forward=forward, **QUICK)
    assert rates(hooked) == pytest.approx(rates(plain), rel=1e-6)


def test_a_hook_may_hold_the_rest_of_the_inputs() -> None:
    """As for graphs: samples are nodes, the graph is the same for all."""
    generator = torch.Generator().manual_seed(0)
    features, links = torch.randn(50, 4, generator=generator), torch.rand(50, 50, generator=generator) / 25

    class Graph(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.act, self.second = nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)

        def forward(self, x: Tensor, links: Tensor) -> Tensor:
            return self.second(links @ self.act(self.first(x)))

    nodes = torch.arange(50)
    found = search(
        Graph(),
        (nodes, nodes % 3),
        forward=lambda model, chosen: model(features, links)[chosen],
        cohort_size=4,
        **QUICK,
    )
    assert {trial.state for trial in found.trials} == {"complete"}


class Samples(Dataset[Any]):
    """Mappings with a label, as Hugging Face's data sets give them."""

    def __len__(self) -> int:
        return 60

    def __getitem__(self, index: int) -> Mapping[str, Any]:
        if index >= 60:
            raise IndexError
        inputs, targets = tokens(60)
        return {**{name: value[index] for name, value in inputs.items()}, "labels": targets[index]}


def test_samples_may_be_mappings_with_labels() -> None:
    for data in (Samples(), DataLoader(Samples(), 16)):  # type: ignore[list-item]
        found = search(Reader(), data, **QUICK | {"trials": 1, "epochs": 1})
        assert found.trials[0].state == "complete"


def test_costs_and_precision_take_several_inputs() -> None:
    costs = ["latency_ms", "activation_cost", "parameters"]
    found = search(Reader(), tokens(), measures=costs, precision="bfloat16", cohort_size=4, **QUICK)
    assert all(trial.metrics[name] > 0 for trial in found.trials for name in costs)
    assert found.trials[0].metrics["activation_cost"] == 8 * 3  # eight GELUs of a sample


@pytest.mark.parametrize(
    ("model", "keywords", "words"),
    [
        (Reader(kind="unclear"), {}, "hidden, scores; say which is learned with `outputs=`"),
        (Reader(kind="unclear"), {"outputs": "logits"}, "choose one of: hidden, scores"),
        (Reader(kind="text"), {}, "gives a str"),
        (nn.Sequential(nn.Linear(7, 2), nn.ReLU()), {}, "forward=lambda model, inputs"),
        (Reader(), {"measures": ["int8_drop"]}, "one tensor as input"),
        (Reader(), {"sites": ["nowhere"]}, "no activation matches 'nowhere'"),
    ],
)
def test_what_cannot_be_known_is_refused(model: nn.Module, keywords: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        search(model, tokens(), **QUICK, **keywords)


def test_several_inputs_have_one_length() -> None:
    inputs, targets = tokens()
    with pytest.raises(InvalidRequest, match="119 inputs of 'attention_mask' and 120 targets"):
        search(Reader(), ({**inputs, "attention_mask": inputs["attention_mask"][1:]}, targets), **QUICK)
