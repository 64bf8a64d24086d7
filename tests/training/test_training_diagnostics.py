"""What is recorded of every trial beside its metrics."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from actsearch.training.environment import forget_peak_memory, peak_memory


@pytest.mark.parametrize("others", [0, 2])
def test_sparsity_is_the_share_of_outputs_near_zero(train_toy: Any, candidate: Any, others: int) -> None:
    cohort = [candidate("relu"), *[candidate("tanh")] * others]

    outcomes = train_toy(cohort, epochs=1).outcomes

    shares = outcomes[0].metrics["activation_sparsity_by_site"]
    assert list(shares) == ["layer1", "layer2"]
    assert all(0.25 < share < 0.75 for share in shares.values())
    assert outcomes[0].metrics["activation_sparsity"] == pytest.approx(sum(shares.values()) / 2)
    assert all(outcome.metrics["activation_sparsity"] < 0.05 for outcome in outcomes[1:])


@pytest.mark.parametrize("keep", [True, False])
def test_every_trial_says_where_it_was_trained(train_toy: Any, candidate: Any, device: str, keep: bool) -> None:
    trained = train_toy([candidate("relu"), candidate("elu")], epochs=2, seed=11, keep=lambda epoch, place: keep)

    for outcome in trained.outcomes:
        found = outcome.metrics["environment"]
        assert found["device"] == device
        assert found["device_name"]
        assert found["cohort_size"] == 2
        assert found["tf32"] is False
        assert found["versions"]["torch"] == torch.__version__
        assert found["peak_memory_bytes"] > 2**20
        assert outcome.metrics["seed"] == 11


def test_peak_memory_is_of_what_happened_since_it_was_forgotten() -> None:
    cpu = torch.device("cpu")
    forget_peak_memory(cpu)
    before = peak_memory(cpu)
    block = torch.ones(2**25)  # 128 MiB
    high = peak_memory(cpu)
    del block
    forget_peak_memory(cpu)
    after = peak_memory(cpu)
    assert before is not None
    assert high is not None
    assert after is not None
    assert high > before + 2**26
    assert after < high - 2**26


@pytest.mark.parametrize("others", [0, 3])
def test_a_dead_network_is_trained_to_the_end(train_toy: Any, candidate: Any, others: int) -> None:
    """No gradient reaches its first layer, nor its last one's weights; that is poor, not a divergence."""
    dead = candidate("relu", scale=0.0)
    outcome = train_toy([dead, *(candidate("elu") for _ in range(others))]).outcomes[0]
    assert (outcome.state, outcome.metrics["initial_gradient_ratio"]) == ("complete", 0.0)
