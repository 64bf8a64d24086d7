"""How many trials are trained together."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from actsearch.architectures import InputSpec
from actsearch.training import cohort_size

DIGITS = InputSpec("image", (1, 8, 8), 10)


def size(width: int, limit: int = 1000, device: str = "cpu", **parameters: Any) -> int:
    return cohort_size("mlp", {"width": width} | parameters, DIGITS, device=device, limit=limit)


def test_small_networks_are_stacked_and_large_ones_are_not() -> None:
    assert size(32) == size(64) == 64
    assert size(128) == size(512) == 1
    assert size(512, device="cuda:0") > 1


def test_networks_that_need_vmap_train_alone_on_a_cpu() -> None:
    small = {"channels": 4, "blocks": 1}
    assert cohort_size("resnet", small, DIGITS, device="cpu", limit=64) == 1
    assert cohort_size("resnet", small, DIGITS, device="cuda:0", limit=64) == 64
    assert cohort_size("convnet", {"channels": 4, "norm": "batch"}, DIGITS, device="cpu", limit=64) == 64


def test_a_handful_is_not_worth_stacking_on_a_cpu() -> None:
    assert [size(32, limit=limit) for limit in (1, 7, 8, 20)] == [1, 1, 8, 20]
    assert size(32, limit=5, device="cuda:0") == 5


@settings(max_examples=20, deadline=None)
@given(
    width=st.integers(1, 8192),
    depth=st.integers(1, 6),
    limit=st.integers(1, 4096),
    device=st.sampled_from(["cpu", "cuda:0"]),
)
def test_never_more_than_asked_for_and_never_none(width: int, depth: int, limit: int, device: str) -> None:
    assert 1 <= size(width, limit, device, depth=depth) <= limit
