"""How many trials are trained together."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from actsearch.architectures import InputSpec, architectures
from actsearch.schemas import ActivationSpec, Precision
from actsearch.study import input_spec
from actsearch.tasks import load, tasks
from actsearch.training import build_module, cohort_size
from actsearch.training.build import EVERYWHERE
from actsearch.training.footprint import free_bytes, trial_bytes

DIGITS = InputSpec("image", (1, 8, 8), 10)


@pytest.fixture(autouse=True)
def _products(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a processor where MKL multiplies stacks: which it is here is the machine's affair."""
    monkeypatch.setattr("actsearch.training.size.multiplies_by_openblas", lambda: False)


def size(
    width: int, limit: int = 1000, device: str = "cpu", precision: Precision = "float32", **parameters: Any
) -> int:
    given = {"width": width} | parameters
    return cohort_size("mlp", given, DIGITS, batch_size=64, device=device, limit=limit, precision=precision)


def test_small_networks_are_stacked_and_large_ones_are_not() -> None:
    assert size(32) == size(64) == 64
    assert size(128) == size(512) == 1
    assert size(512, device="cuda:0") > 1


def test_where_openblas_multiplies_larger_networks_are_stacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actsearch.training.size.multiplies_by_openblas", lambda: True)
    assert size(128) == 64
    assert 1 < size(256) == 2**23 // 150_794 < 64
    assert size(128, norm="layer") == 1


def test_in_bfloat16_larger_networks_are_stacked() -> None:
    assert size(128, precision="bfloat16") == 64
    assert size(256, precision="bfloat16") == 2**23 // 150_794
    assert size(512, precision="bfloat16") == 1


def test_networks_that_need_vmap_train_alone_on_a_cpu() -> None:
    small = {"channels": 4, "blocks": 1}
    assert cohort_size("resnet", small, DIGITS, batch_size=64, device="cpu", limit=64) == 1
    assert cohort_size("resnet", small, DIGITS, batch_size=64, device="cuda:0", limit=64) == 64
    assert cohort_size("convnet", {"channels": 4, "norm": "batch"}, DIGITS, batch_size=64, device="cpu", limit=64) == 64


def test_coordinate_networks_are_stacked_unless_the_loss_takes_derivatives() -> None:
    spec = InputSpec("coordinates", (2,), 3)
    sizes = [
        cohort_size("coordinate", {"width": 32}, spec, batch_size=64, device="cpu", limit=64, differentiates_inputs=by)
        for by in (False, True)
    ]
    assert sizes == [64, 1]


@pytest.mark.parametrize("unit", ["glu", "maxout", "crelu", "meta_acon", "dy_relu"])
def test_units_of_more_than_one_number_are_stacked_where_that_pays(unit: str) -> None:
    assert size(32, unit=unit) == 64
    small = {"channels": 4, "unit": unit}
    assert cohort_size("convnet", small, DIGITS, batch_size=64, device="cpu", limit=64) == 1
    assert cohort_size("convnet", small, DIGITS, batch_size=64, device="cuda:0", limit=64) == 64


def test_a_handful_is_not_worth_stacking_on_a_cpu() -> None:
    assert [size(32, limit=limit) for limit in (1, 7, 8, 20)] == [1, 1, 8, 20]
    assert size(32, limit=5, device="cuda:0") == 5
    assert [size(32, limit=limit, unit="crelu") for limit in (15, 16)] == [1, 16]
    wide = [
        cohort_size("convnet", {"channels": 12}, DIGITS, batch_size=64, device="cpu", limit=limit) for limit in (31, 32)
    ]
    assert wide == [1, 32]


@settings(max_examples=20, deadline=None)
@given(
    width=st.integers(1, 8192),
    depth=st.integers(1, 6),
    limit=st.integers(1, 4096),
    device=st.sampled_from(["cpu", "cuda:0"]),
)
def test_never_more_than_asked_for_and_never_none(width: int, depth: int, limit: int, device: str) -> None:
    assert 1 <= size(width, limit, device, depth=depth) <= limit


def footprint(architecture: str, spec: InputSpec, batch_size: int) -> int:
    with torch.device("meta"):
        module = build_module(architecture, {}, spec, {EVERYWHERE: ActivationSpec(family="relu")}, seed=0)
    return trial_bytes(module, spec, batch_size)


def test_what_is_trained_together_fits_into_the_memory() -> None:
    one = footprint("mlp", DIGITS, 64)
    fitting = [
        cohort_size("mlp", {}, DIGITS, batch_size=64, device="cuda:0", limit=1000, memory=n * one) for n in (0, 1, 20)
    ]
    assert fitting == [1, 1, 20]


def test_a_cpu_trains_alone_what_does_not_fit_together() -> None:
    memory = 4 * footprint("convnet", DIGITS, 64)
    assert cohort_size("convnet", {"channels": 4}, DIGITS, batch_size=64, device="cpu", limit=64) == 64
    assert cohort_size("convnet", {}, DIGITS, batch_size=64, device="cpu", limit=64, memory=memory) == 1


@pytest.mark.parametrize("name", [name for name in architectures() if not name.startswith("timm")])
def test_the_footprint_of_every_architecture_grows_with_the_batch(name: str) -> None:
    kinds = architectures()[name].inputs
    spec = next(spec for spec in (input_spec(load(task)) for task in tasks()) if spec.kind in kinds)
    assert 0 < footprint(name, spec, 8) < footprint(name, spec, 64)


class Counts(nn.Module):
    """A network whose forward pass looks at numbers, which the meta device has not."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.layer(x.flatten(1))
        return outputs if outputs.sum().item() > 0 else -outputs


def test_of_a_network_that_cannot_run_without_numbers_the_weights_count() -> None:
    with torch.device("meta"):
        module = Counts()
    assert trial_bytes(module, DIGITS, 64) >= 4 * (64 * 10 + 10)


def test_a_process_may_take_less_than_the_machine_has() -> None:
    free = free_bytes(torch.device("cpu"))
    assert free is None or 0 < free < 2**50
