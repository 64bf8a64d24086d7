"""What eight bits cost, beside two engines' own quantised networks: PyTorch's graph mode and ONNX Runtime.

Both compute them here by what their operations mean, and not by the processor's own multiplications of eight bits:
those of a processor without VNNI (or of ARM without dot products) add two products in 16 bits, which overflow.
"""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from onnxruntime import (  # type: ignore[attr-defined]
    GraphOptimizationLevel,
    InferenceSession,
    SessionOptions,
    quantization,
)
from torch import Tensor, nn
from torch.ao.quantization import MinMaxObserver, PerChannelMinMaxObserver, QConfig, QConfigMapping, quantize_fx

from actsearch.measures import quantised
from actsearch.schemas import ActivationSpec, Training
from actsearch.tasks import get_task, load
from actsearch.training import Candidate, Cohort, Plan, train

EIGHT_BITS = QConfig(
    activation=MinMaxObserver.with_args(dtype=torch.quint8),
    weight=PerChannelMinMaxObserver.with_args(
        dtype=torch.qint8, qscheme=torch.per_channel_symmetric, quant_min=-127, quant_max=127
    ),
)


@pytest.fixture(autouse=True)
def _engine() -> Iterator[None]:
    """Both are deprecated in favour of parts that are not here, and say so."""
    before, torch.backends.quantized.engine = torch.backends.quantized.engine, "x86"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        yield
    logging.disable(logging.NOTSET)
    torch.backends.quantized.engine = before


def trained(architecture: str, parameters: dict[str, Any], families: list[str]) -> list[nn.Module]:
    found: list[nn.Module] = []

    def keep(place: int, module: nn.Module) -> dict[str, object]:
        found.append(copy.deepcopy(module).eval())
        return {}

    candidates = [Candidate({"network": ActivationSpec(family=name)}, 1e-2, 0.0, 0.9) for name in families]
    plan = Plan(Training(epochs=4))
    train(
        Cohort(architecture, parameters, candidates), get_task("digits"), load("digits", {}), plan,
        lambda rung: [True] * len(families), on_complete=keep,
    )  # fmt: skip
    return found


def of_torch(module: nn.Module, samples: Tensor, x: Tensor) -> Tensor:
    prepared = quantize_fx.prepare_fx(copy.deepcopy(module), QConfigMapping().set_global(EIGHT_BITS), (samples[:1],))
    prepared(samples)
    outputs: Tensor = quantize_fx.convert_to_reference_fx(prepared)(x)
    return outputs


class Once(quantization.CalibrationDataReader):  # type: ignore[name-defined, misc]
    """All samples at once."""

    def __init__(self, samples: Tensor) -> None:
        self._left = iter([{"x": samples.numpy()}])

    def get_next(self) -> Any:
        return next(self._left, None)


def of_onnx_runtime(module: nn.Module, samples: Tensor, x: Tensor, folder: Path) -> Tensor:
    exact, coarse = folder / "exact.onnx", folder / "coarse.onnx"
    torch.onnx.export(
        module, (x[:2],), exact, dynamo=False, input_names=["x"], dynamic_axes={"x": {0: "samples"}}, verbose=False
    )
    eight = quantization.QuantType.QInt8  # type: ignore[attr-defined]
    quantization.quantize_static(  # type: ignore[attr-defined]
        exact, coarse, Once(samples), per_channel=True, activation_type=eight, weight_type=eight
    )
    as_written = SessionOptions()
    as_written.graph_optimization_level = GraphOptimizationLevel.ORT_DISABLE_ALL
    return torch.tensor(InferenceSession(coarse, as_written).run(None, {"x": x.numpy()})[0])


@pytest.mark.parametrize(
    ("architecture", "parameters", "families"),
    [
        ("mlp", {"depth": 3, "width": 24}, ["relu", "gelu", "elu", "swish"]),
        ("convnet", {"channels": 8, "norm": "batch"}, ["relu", "hardswish"]),
    ],
)
def test_the_drop_is_what_engines_see(
    architecture: str, parameters: dict[str, Any], families: list[str], tmp_path: Path
) -> None:
    data = load("digits", {})
    samples, (x, labels) = data.train[0][:512], data.train
    for family, module in zip(families, trained(architecture, parameters, families), strict=True):
        with torch.no_grad(), quantised(module, samples) as coarse:
            ours, exact, own = coarse(x), module(x), of_torch(module, samples, x)
        runtime = of_onnx_runtime(module, samples, x, tmp_path)
        accuracy, *others = (float((y.argmax(1) == labels).float().mean()) for y in (ours, runtime, own))
        assert others == pytest.approx([accuracy] * 2, abs=0.005), family
        error, *errors = (float((y - exact).square().mean().sqrt()) for y in (ours, runtime, own))
        assert errors[0] == pytest.approx(error, rel=0.25), family
        assert errors[1] > 0.7 * error, family  # it rounds some operations twice
