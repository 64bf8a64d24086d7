"""Each test that takes a `network` is run with every one of the zoo."""

from __future__ import annotations

import pytest

from zoo import NETWORKS


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test per network; those that take several seconds are marked `heavy`."""
    if "network" in metafunc.fixturenames:
        heavy = {True: [pytest.mark.heavy], False: []}
        networks = [pytest.param(network, id=network.name, marks=heavy[network.heavy]) for network in NETWORKS]
        metafunc.parametrize("network", networks)
