"""The architectures' own dropout."""

from __future__ import annotations

import pytest
import torch

from actsearch.architectures.dropout import Dropout


def noisy(x: torch.Tensor, share: float = 0.4) -> torch.Tensor:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Dropout(share)(x)


def test_the_noise_does_not_depend_on_the_layout_in_memory() -> None:
    x = torch.randn(4, 5, 6)
    transposed = x.transpose(1, 2).contiguous().transpose(1, 2)
    assert torch.equal(noisy(x), noisy(transposed))
    every = torch.vmap(noisy, in_dims=2, randomness="same")(torch.stack([x, x + 1], 2))
    torch.testing.assert_close(every[0], noisy(x))
    torch.testing.assert_close(every[1], noisy(x + 1))


def test_it_is_dropout() -> None:
    x = torch.ones(100_000)
    found = noisy(x, 0.3)
    assert (found == 0).float().mean().item() == pytest.approx(0.3, abs=0.01)
    assert found.unique().tolist() == pytest.approx([0, 1 / 0.7])
    assert torch.equal(Dropout(0.3).eval()(x), x)
    assert torch.equal(Dropout(0.0)(x), x)
