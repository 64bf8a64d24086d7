"""How many trials are trained together."""

from __future__ import annotations

from pathlib import Path
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
from actsearch.training import build_module, cohort_size, why_too_large
from actsearch.training.build import EVERYWHERE
from actsearch.training.footprint import least_bytes, trial_bytes
from actsearch.training.memory import free_bytes, host_memory

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


def least(name: str, spec: InputSpec, batch_size: int, precision: Precision = "float32", **parameters: Any) -> int:
    relu = {EVERYWHERE: ActivationSpec(family="relu")}
    with torch.device("meta"):
        module = build_module(name, parameters, spec, relu, seed=0)
    return least_bytes(module, spec, batch_size, precision)


@pytest.mark.parametrize("name", [name for name in architectures() if not name.startswith("timm")])
def test_the_least_is_below_what_is_reckoned_with(name: str) -> None:
    kinds = architectures()[name].inputs
    spec = next(spec for spec in (input_spec(load(task)) for task in tasks()) if spec.kind in kinds)
    assert 0 < least(name, spec, 8) < footprint(name, spec, 8)


def test_the_least_counts_weights_and_the_larger_of_gradients_and_signals() -> None:
    weights = (64 * 50 + 50) + (50 * 50 + 50) + (50 * 10 + 10)
    signals = 32 * (64 + 50 + 50)  # the inputs, and what ReLU gives: it and the next layer keep one and the same
    assert least("mlp", DIGITS, 32, depth=2, width=50) == 4 * (2 * weights)
    assert least("mlp", DIGITS, 32 * 8, depth=2, width=50) == 4 * (weights + 8 * signals)
    assert least("mlp", DIGITS, 32 * 8, "bfloat16", depth=2, width=50) == 4 * weights + 2 * 8 * signals


def test_a_step_takes_no_less_than_the_least() -> None:
    """By the peak of what tensors take while one is trained, as torch's own profiler counts it."""
    width, batch = 512, 2048
    relu = {EVERYWHERE: ActivationSpec(family="relu")}
    module = build_module("mlp", {"depth": 3, "width": width}, DIGITS, relu, seed=0)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        module(torch.randn(batch, 1, 8, 8)).sum().backward()
    taken, peak = 0, 0
    for event in profile.profiler.kineto_results.events():  # type: ignore[union-attr]
        if event.name() == "[memory]":
            taken += event.nbytes()
            peak = max(peak, taken)
    weights = sum(value.numel() * 4 for value in module.parameters())
    needed = least("mlp", DIGITS, batch, depth=3, width=width)
    assert 0.5 * (peak + weights) < needed <= peak + weights


def test_what_does_not_fit_is_told_with_both_numbers() -> None:
    takes = least("mlp", DIGITS, 64, depth=4, width=1000)
    given: Any = {"batch_size": 64, "device": "cpu"}
    assert why_too_large("mlp", {"depth": 4, "width": 1000}, DIGITS, memory=takes, **given) is None
    told = why_too_large("mlp", {"depth": 4, "width": 1000}, DIGITS, memory=takes - 1, **given)
    assert told is not None
    assert told.count(f"{takes / 1e9:,.3g} GB") == 2
    assert why_too_large("mlp", {"depth": 4, "width": 1000}, DIGITS, **given) is None  # on this machine


def groups(folder: Path, version: int, limit: str, used: int, cached: int) -> Path:
    """A container's files of memory, as Linux has them."""
    if version == 2:
        files = {"memory.max": limit, "memory.current": used, "memory.stat": f"anon 1\ninactive_file {cached}\n"}
    else:
        stat = f"inactive_file 0\ntotal_inactive_file {cached}\n"
        files = {"limit_in_bytes": limit, "usage_in_bytes": used}
        files = {f"memory/memory.{name}": value for name, value in files.items()} | {"memory/memory.stat": stat}
    for name, value in files.items():
        file = folder / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"{value}\n")
    return folder


@pytest.mark.parametrize("version", [1, 2])
def test_a_container_has_what_it_is_given_and_not_what_its_host_has(tmp_path: Path, version: int) -> None:
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:       16000000 kB\nMemFree: 1 kB\nMemAvailable:    8000000 kB\n")
    host = (16_000_000 * 1024, 8_000_000 * 1024)
    nowhere = tmp_path / "nowhere"
    assert host_memory(nowhere, meminfo) == host
    assert host_memory(nowhere, nowhere) == (None, None)
    unlimited = "max" if version == 2 else str(2**63 - 4096)
    assert host_memory(groups(tmp_path, version, unlimited, 10**9, 0), meminfo) == host
    assert host_memory(groups(tmp_path, version, str(2 * 10**9), 10**9, 10**8), meminfo) == (2 * 10**9, 1.1 * 10**9)
    assert host_memory(groups(tmp_path, version, str(2 * 10**9), 3 * 10**9, 0), meminfo) == (2 * 10**9, 0)
    large = groups(tmp_path, version, str(12 * 10**9), 10**9, 0)
    assert host_memory(large, meminfo) == (12 * 10**9, host[1])
