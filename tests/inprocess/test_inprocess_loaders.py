"""What a loader yields is what is trained on: its sampler, its collate_fn, and fresh draws where it has them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    IterableDataset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
)

from actsearch.errors import InvalidRequest
from actsearch.inprocess import search
from actsearch.inprocess.data import read
from actsearch.inprocess.loaders import Read

torch.set_num_threads(1)

QUICK: dict[str, Any] = {"families": ["tanh"], "trials": 2, "epochs": 2, "seed": 1, "confirmation": "off"}


OWN = np.random.default_rng()


def tosses(samples: int = 400) -> TensorDataset:
    """Labels that nothing can predict, but that a network can learn by heart."""
    generator = torch.Generator().manual_seed(0)
    return TensorDataset(
        torch.randn(samples, 20, generator=generator), torch.randint(0, 2, (samples,), generator=generator)
    )


def numbered(samples: int = 12) -> TensorDataset:
    return TensorDataset(torch.arange(samples).float().unsqueeze(1), torch.arange(samples) % 2)


def network(act: Any) -> nn.Module:
    return nn.Sequential(nn.Linear(1, 8), act(), nn.Linear(8, 2))


def values(found: Read) -> list[float]:
    return found.part[0].flatten().tolist()  # type: ignore[no-any-return]


def test_two_samplers_over_one_data_set_keep_their_rows_apart() -> None:
    data = tosses()
    order = torch.randperm(400, generator=torch.Generator().manual_seed(1)).tolist()
    train = DataLoader(data, batch_size=32, sampler=SubsetRandomSampler(order[:200]))
    valid = DataLoader(data, batch_size=50, sampler=SubsetRandomSampler(order[200:]))
    model = nn.Sequential(nn.Linear(20, 128), nn.ReLU(), nn.Linear(128, 2))
    found = search(
        model, train, valid, **QUICK | {"epochs": 60, "trials": 1, "optimizer": "adam", "learning_rate": 3e-3}
    )
    assert found.best.metrics["train_accuracy"] > 0.95
    assert 0.4 < (found.best.value or 0.0) < 0.6
    assert "train_data: a DataLoader of 200 samples, read once" in str(found)
    assert "batch size: 32, the loader's" in str(found)


def test_a_collate_function_is_honoured() -> None:
    def flipped(samples: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        x, y = default_collate(samples)
        return x * 10, 1 - y

    inputs, targets = read(DataLoader(numbered(), 5, collate_fn=flipped), "train_data", training=True).part
    assert inputs.flatten().tolist() == [10.0 * i for i in range(12)]
    assert targets.tolist() == [(i + 1) % 2 for i in range(12)]


def test_shuffling_is_no_change_of_content_and_one_seed_gives_one_order() -> None:
    for generator in (None, torch.Generator()):
        loader = DataLoader(numbered(), 5, shuffle=True, generator=generator)
        one, other = (read(loader, "train_data", training=True) for _ in range(2))
        assert one.fresh is None
        assert values(one) == values(other)
        assert sorted(values(one)) == list(range(12))


@pytest.mark.parametrize("shuffle", [True, False])
def test_drop_last_leaves_out_what_the_loader_leaves_out(shuffle: bool) -> None:
    found = read(DataLoader(numbered(), 5, shuffle=shuffle, drop_last=True), "train_data", training=True)
    assert found.fresh is None
    assert sorted(values(found)) == list(range(12 if shuffle else 10))
    assert found.batch_size == 5  # of 12 shuffled samples each epoch leaves out other two


def test_a_batch_sampler_keeps_its_batches() -> None:
    class Halves(BatchSampler):
        """Batches of low numbers and of high ones."""

        def __init__(self) -> None:
            pass

        def __iter__(self) -> Iterator[list[int]]:
            yield from ([3, 1, 2], [9, 8, 7])

        def __len__(self) -> int:
            return 2

    found = read(DataLoader(numbered(), batch_sampler=Halves()), "train_data", training=True)
    assert found.fresh is not None
    assert found.in_order
    assert found.batch_size == 3
    assert found.fresh(5)[0].flatten().tolist() == [3, 1, 2, 9, 8, 7]


class Noisy(Dataset[Any]):
    """Random augmentation from one of the global generators."""

    def __init__(self, source: str = "torch") -> None:
        self.source, self.own = source, np.random.default_rng()

    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        if index >= 10:
            raise IndexError
        draws = {
            "torch": lambda: float(torch.rand(())),
            "numpy": lambda: float(np.random.rand()),
            "own": lambda: float(self.own.random()),
        }
        return torch.tensor([index + draws[self.source]()]), index % 2


@pytest.mark.parametrize("source", ["torch", "numpy"])
def test_augmentation_is_fresh_in_each_epoch_and_the_same_for_all(source: str) -> None:
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()
    found = read(DataLoader(Noisy(source), 5, shuffle=True), "train_data", training=True)
    assert found.fresh is not None
    one, other, again = (found.fresh(seed)[0] for seed in (1, 2, 1))
    assert not torch.equal(one.sort(0).values, other.sort(0).values)
    assert torch.equal(one, again)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]


class Seen(nn.Module):
    """Writes down what passes in training."""

    log: list[tuple[float, ...]] = []  # noqa: RUF012

    def __init__(self, act: Any) -> None:
        super().__init__()
        self.inner = network(act)

    def forward(self, x: Tensor) -> Tensor:
        if self.training and torch.is_grad_enabled() and len(x) == 5:
            Seen.log.append(tuple(x.flatten().tolist()))
        return self.inner(x)


@pytest.mark.parametrize("way", ["loader", "augment"])
def test_trials_apart_see_the_same_draws_and_epochs_see_others(way: str) -> None:
    Seen.log.clear()
    x, y = torch.arange(10.0).unsqueeze(1), torch.arange(10) % 2
    train: Any = DataLoader(Noisy(), 5, shuffle=True) if way == "loader" else (x, y)
    augment = (lambda inputs: inputs + torch.rand_like(inputs)) if way == "augment" else None
    wanted = QUICK | {"trials": 2, "epochs": 2, "cohort_size": 1, "batch_size": 5}
    found = search(Seen, train, (x, y), augment=augment, **wanted)
    assert {trial.state for trial in found.trials} == {"complete"}
    assert len(Seen.log) == 8  # 2 trials x 2 epochs x 2 batches
    assert Seen.log[:4] == Seen.log[4:]
    assert len(set(itertools.chain(*Seen.log[:4]))) == 20  # nothing is drawn twice


def test_a_weighted_sampler_draws_anew_in_each_epoch() -> None:
    weights = [1.0] * 6 + [0.0] * 6
    loader = DataLoader(numbered(), 4, sampler=WeightedRandomSampler(weights, 12))
    found = read(loader, "train_data", training=True)
    assert found.fresh is not None
    drawn = [found.fresh(seed)[0].flatten().tolist() for seed in range(5)]
    assert {value for draw in drawn for value in draw} == set(range(6))
    assert len({tuple(draw) for draw in drawn}) == 5
    assert "read anew for each epoch" in found.notes[0]


class Stream(IterableDataset[Any]):
    def __init__(self, end: int | None) -> None:
        self.end = end

    def __iter__(self) -> Iterator[tuple[Tensor, int]]:
        for number in itertools.count() if self.end is None else range(self.end):
            yield torch.tensor([float(number)]), number % 2


@pytest.mark.parametrize("wrapped", [True, False])
def test_streams_are_read_to_their_end(wrapped: bool) -> None:
    data: Any = DataLoader(Stream(11), 4) if wrapped else Stream(11)
    assert values(read(data, "train_data", training=True)) == list(range(11))


class Ragged(Dataset[Any]):
    """Tokens of several lengths, padded by a collate function."""

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> dict[str, Any]:
        if index >= 6:
            raise IndexError
        return {"input_ids": torch.arange(1, index + 2), "labels": index % 2}

    def padded(self, samples: list[dict[str, Any]], *, mask: bool = True) -> dict[str, Tensor]:
        ids = nn.utils.rnn.pad_sequence([sample["input_ids"] for sample in samples], batch_first=True)
        found = {"input_ids": ids, "labels": torch.tensor([sample["labels"] for sample in samples])}
        return found | ({"attention_mask": (ids > 0).long()} if mask else {})


def unmasked(samples: list[dict[str, Any]]) -> dict[str, Tensor]:
    return Ragged().padded(samples, mask=False)


def test_batches_of_several_lengths_are_padded_where_a_mask_says_so() -> None:
    data = Ragged()
    inputs, targets = read(DataLoader(data, 2, collate_fn=data.padded), "train_data", training=True).part
    assert inputs["input_ids"].shape == inputs["attention_mask"].shape == (6, 6)
    assert inputs["attention_mask"].sum(1).tolist() == [1, 2, 3, 4, 5, 6]
    assert targets.tolist() == [0, 1, 0, 1, 0, 1]


def test_random_transforms_leave_no_part_to_judge_on() -> None:
    x, y = torch.arange(10.0).unsqueeze(1), torch.arange(10) % 2
    with pytest.raises(InvalidRequest, match=r"valid_data: gives other samples in each pass"):
        search(network, (x, y), DataLoader(Noisy(), 5), **QUICK)
    with pytest.raises(InvalidRequest, match=r"valid_data: is not given, and cannot be held out"):
        search(network, DataLoader(Noisy(), 5), **QUICK)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (lambda: DataLoader(Stream(None), 4), "no end within 20000 batches"),
        (lambda: DataLoader(Noisy("own"), 5), "whatever the seeds"),
        (lambda: DataLoader(numbered(), 100, drop_last=True), "yields nothing"),
        (lambda: DataLoader(TensorDataset(torch.zeros(4, 1)), 2), "have 1 parts"),
        (lambda: DataLoader(TensorDataset(*(torch.zeros(4, 1),) * 3), 2), r"\(\(a, b\), target\)"),
        (lambda: DataLoader(Ragged(), 2), "samples differ in shape"),
        (
            lambda: DataLoader(Ragged(), 2, collate_fn=lambda s: Ragged().padded(s, mask=False)),
            "batches differ in shape",
        ),
        (lambda: iter(numbered()), "is a "),
    ],
)
def test_what_cannot_be_known_is_refused(data: Any, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        read(data(), "train_data", training=True)


@pytest.mark.parametrize(
    ("augment", "words"),
    [
        (lambda x: x[:1], "keep shapes"),
        (lambda x: x.double(), "keep shapes"),
        (lambda x: x / "a", "raises TypeError"),
        (lambda x: x + OWN.random(), "whatever the seeds"),
    ],
)
def test_an_augmentation_keeps_what_the_network_takes(augment: Any, words: str) -> None:
    x, y = torch.arange(10.0).unsqueeze(1), torch.arange(10) % 2
    with pytest.raises(InvalidRequest, match=words):
        search(network, (x, y), augment=augment, **QUICK)
