"""`groups=`: no patient, scene or speaker is in two parts of the caller's data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from actsearch import search
from actsearch.errors import InvalidRequest
from actsearch.inprocess.groups import held_out_groups, read_groups

QUICK: dict[str, Any] = {"epochs": 1, "batch_size": 64, "trials": 2, "families": ["relu", "elu"], "seed": 1}


def patients(count: int = 40, each: int = 12) -> tuple[Tensor, Tensor, list[str]]:
    """Samples that carry their patient's number as their first feature, two classes of patients, patients mixed."""
    generator = torch.Generator().manual_seed(0)
    who = torch.randperm(count * each, generator=generator) % count
    x = torch.randn(count * each, 4, generator=generator)
    x[:, 0] = who
    return x, (who % 2).long(), [f"patient {one}" for one in who.tolist()]


def test_a_leak_of_patients_is_closed() -> None:
    """Labels are the patients' own and nothing else tells them: who knows the patients does well, others cannot."""
    x, y, who = patients()
    generator = torch.Generator().manual_seed(1)
    y = torch.randint(0, 2, (40,), generator=generator)[x[:, 0].long()]
    inputs = torch.nn.functional.one_hot(x[:, 0].long(), 40).float()
    network = nn.Sequential(nn.Linear(40, 32), nn.ReLU(), nn.Linear(32, 2))
    wanted: dict[str, Any] = QUICK | {"epochs": 60, "learning_rate": 0.3, "confirmation": "off"}
    leaking = search(network, (inputs, y), **wanted)
    honest = search(network, (inputs, y), groups=who, **wanted)
    assert leaking.best.value is not None
    assert honest.best.value is not None
    assert leaking.best.value > 0.95
    assert honest.best.value < 0.85
    assert any(note.startswith("valid_data: ") and "of 40 groups" in note for note in honest.notes)


def test_a_confirmed_search_holds_two_parts_out() -> None:
    x, y, who = patients()
    network = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    found = search(network, (x / 40, y), groups=np.array(who), confirmation={"finalists": 1, "seeds": 2}, **QUICK)
    notes = [note for note in found.notes if "groups" in note]
    assert [note.partition(":")[0] for note in notes] == ["test_data", "valid_data"]
    assert found.verdict is not None


@given(st.integers(0, 1000), st.integers(3, 30), st.integers(1, 2), st.sampled_from(["classification", "regression"]))
@settings(max_examples=40)
def test_no_group_is_in_two_parts_and_none_is_lost(seed: int, count: int, parts: int, kind: Any) -> None:
    generator = np.random.default_rng(seed)
    groups = generator.integers(0, count, 200)
    groups[:count] = np.arange(count)
    part = (torch.arange(200.0).reshape(200, 1), torch.from_numpy(generator.integers(0, 2, 200)))
    parts_held, notes = held_out_groups(part, groups, ["test_data", "valid_data"][:parts], seed, kind)
    found = [set(groups[one[0][:, 0].long().numpy()].tolist()) for one in parts_held.values()]
    assert sum(map(len, found)) == len(set.union(*found)) == count
    assert sum(len(one[1]) for one in parts_held.values()) == 200
    assert len(notes) == parts


@pytest.mark.parametrize(
    "groups",
    [
        ["a", "b"] * 10,
        [1, 2] * 10,
        np.array([1.0, 2.0] * 10),
        torch.tensor([1, 2] * 10),
        torch.tensor([1, 2] * 10)[:, None],
        pd.Series(["a", "b"] * 10, dtype="category"),
        pd.Series(pd.to_datetime(["2026-01-01", "2026-01-02"] * 10)),
    ],
)
def test_groups_are_names_or_numbers_of_any_kind(groups: Any) -> None:
    assert read_groups(groups, (torch.zeros(20, 1), torch.zeros(20)), 20).tolist() == [0, 1] * 10


def frame() -> Any:
    return pd.DataFrame({"a": range(6)}, index=list("abcdef"))


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        ([1, 2, 3], "one group for each of the 6 samples"),
        ([[1, 2]] * 6, "one group for each of the 6 samples"),
        ([1, 2, None, 4, 5, 6], "sample 2 (from 0) has no group"),
        (np.array([1, np.nan, 3, np.nan, 5, 6]), "sample 1 (from 0) has no group (2 have none)"),
        (pd.Series(range(6), index=list("fedcba")), "groups.loc[inputs.index]"),
    ],
)
def test_what_are_no_groups_is_refused(groups: Any, words: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        read_groups(groups, (frame(), torch.zeros(6)), 6)
    assert raised.value.problems[0].field == "groups"
    assert words in raised.value.problems[0].message


def test_groups_without_a_use_or_too_few_are_refused() -> None:
    x, y, who = patients()
    network = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    off: dict[str, Any] = QUICK | {"confirmation": "off"}
    with pytest.raises(InvalidRequest, match="groups: nothing is held out"):
        search(network, (x, y), (x, y), groups=who, **off)
    with pytest.raises(InvalidRequest, match="groups: 2 groups cannot be split into 3 parts"):
        search(network, (x, y), groups=[one[-1] < "5" for one in who], confirmation={"seeds": 2}, **QUICK)
    with pytest.raises(InvalidRequest, match="groups: needs samples whose order is known"):
        search(network, DataLoader(TensorDataset(x, y), shuffle=True), groups=who, **off)
    assert search(network, TensorDataset(x, y), groups=who, **off).trials
