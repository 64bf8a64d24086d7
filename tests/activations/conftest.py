"""Every test that takes `family` runs once for each family of the catalogue, those added later included."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from actsearch.activations import Family, families

Corners = Callable[[Family, torch.dtype], dict[str, Tensor]]
Setting = Callable[[Family, float], dict[str, float]]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "family" in metafunc.fixturenames:
        metafunc.parametrize("family", families().values(), ids=list(families()))


@pytest.fixture(scope="session")
def setting() -> Setting:
    """The values of a spec: every hyperparameter in use at a share of its range, whole numbers rounded."""

    def values(family: Family, share: float) -> dict[str, float]:
        inside = {name: p.low + share * (p.high - p.low) for name, p in family.parameters.items()}
        inside |= {name: round(inside[name]) for name, p in family.parameters.items() if p.whole}
        return {name: inside[name] for name in family.used(inside)}

    return values


@pytest.fixture(scope="session")
def corners() -> Corners:
    """Parameter values worth a look, each (K, 1): the defaults, all low, all high, and low and high in turn."""

    def values(family: Family, dtype: torch.dtype) -> dict[str, Tensor]:
        columns = {
            name: [p.default, p.low, p.high, p.low if i % 2 else p.high, p.high if i % 2 else p.low]
            for i, (name, p) in enumerate(family.parameters.items())
        }
        return {name: torch.tensor(column, dtype=dtype).unsqueeze(1) for name, column in columns.items()}

    return values
