"""Metrics against scikit-learn's, on random targets and scores with many ties, one by one and in a stack."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, softmax
from sklearn import metrics as reference
from torch import Tensor

from actsearch.tasks.kinds import STANDARD, Kind

Array = np.ndarray[Any, Any]
Expected = Mapping[str, Callable[[Array, Array], float]]
few = settings(max_examples=60, deadline=None)


def found_of(kind: Kind, outputs: Array, targets: Array) -> dict[str, float]:
    """All metrics of a kind that are defined on the targets, from outputs in float64."""
    standard, part = STANDARD[kind], (torch.empty(0), _targets(kind, targets))
    logits = torch.from_numpy(outputs)
    everything = {**standard.metrics(logits, part), **{n: f(logits, part) for n, f in standard.final_metrics.items()}}
    assert set(everything) == set(standard.directions)
    assert all(value.shape == () for value in everything.values())
    undefined = standard.undefined(part, outputs.shape[-1])
    return {name: float(value) for name, value in everything.items() if name not in undefined}


def _targets(kind: Kind, targets: Array) -> Tensor:
    return torch.from_numpy(targets.astype(np.int64 if kind == "classification" else np.float64))


def compare(found: Mapping[str, float], expected: Expected, truth: Array, outputs: Array) -> None:
    for name, value in found.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of absent classes
            assert value == pytest.approx(expected[name](truth, outputs), rel=1e-6, abs=1e-9), name


def one_against_rest(metric: Callable[..., float]) -> Callable[[Array, Array], float]:
    """The mean over classes of a metric of probabilities."""

    def mean(truth: Array, logits: Array) -> float:
        probabilities = softmax(logits, 1)
        return float(np.mean([metric(truth == c, probabilities[:, c]) for c in range(logits.shape[1])]))

    return mean


CLASSIFICATION: Expected = {
    "accuracy": lambda y, out: reference.accuracy_score(y, out.argmax(1)),
    "loss": lambda y, out: reference.log_loss(y, softmax(out, 1), labels=range(out.shape[1])),
    "log_loss": lambda y, out: reference.log_loss(y, softmax(out, 1), labels=range(out.shape[1])),
    "balanced_accuracy": lambda y, out: reference.balanced_accuracy_score(y, out.argmax(1)),
    "f1_macro": lambda y, out: reference.f1_score(y, out.argmax(1), average="macro"),
    "roc_auc": lambda y, out: reference.roc_auc_score(y, softmax(out, 1), multi_class="ovr"),
    "average_precision": one_against_rest(reference.average_precision_score),
}
TWO_CLASSES: Expected = CLASSIFICATION | {
    "roc_auc": lambda y, out: reference.roc_auc_score(y, out[:, 1] - out[:, 0]),
    "average_precision": lambda y, out: reference.average_precision_score(y, out[:, 1] - out[:, 0]),
}
BINARY: Expected = {
    "accuracy": lambda y, out: reference.accuracy_score(y, out[:, 0] > 0),
    "loss": lambda y, out: reference.log_loss(y, expit(out[:, 0]), labels=[0, 1]),
    "log_loss": lambda y, out: reference.log_loss(y, expit(out[:, 0]), labels=[0, 1]),
    "balanced_accuracy": lambda y, out: reference.balanced_accuracy_score(y, out[:, 0] > 0),
    "f1": lambda y, out: reference.f1_score(y, out[:, 0] > 0),
    "f1_macro": lambda y, out: reference.f1_score(y, out[:, 0] > 0, average="macro"),
    "roc_auc": lambda y, out: reference.roc_auc_score(y, out[:, 0]),
    "average_precision": lambda y, out: reference.average_precision_score(y, out[:, 0]),
}
MULTILABEL: Expected = {
    "accuracy": lambda y, out: float(np.mean(y == (out > 0))),
    "exact_match": lambda y, out: reference.accuracy_score(y, out > 0),
    "loss": lambda y, out: reference.log_loss(y.ravel(), expit(out.ravel()), labels=[0, 1]),
    "log_loss": lambda y, out: reference.log_loss(y.ravel(), expit(out.ravel()), labels=[0, 1]),
    "f1_macro": lambda y, out: reference.f1_score(y, out > 0, average="macro"),
    "roc_auc": lambda y, out: reference.roc_auc_score(y, out, average="macro"),
    "average_precision": lambda y, out: reference.average_precision_score(y, out, average="macro"),
}
REGRESSION: Expected = {
    "mse": reference.mean_squared_error,
    "mae": reference.mean_absolute_error,
    "rmse": reference.root_mean_squared_error,
    "r2": reference.r2_score,
}
COUNT: Expected = {
    "loss": lambda y, out: float(np.mean(np.exp(out) - y * out)),
    "poisson_deviance": lambda y, out: reference.mean_poisson_deviance(y.ravel(), np.exp(out).ravel()),
    **{name: lambda y, out, f=f: f(y, np.exp(out)) for name, f in REGRESSION.items()},
}


def drawn(seed: int, samples: int, columns: int, *, ties: bool) -> tuple[np.random.Generator, Array]:
    """Outputs (N, columns); with ties, few different numbers."""
    rng = np.random.default_rng(seed)
    outputs = rng.normal(size=(samples, columns))
    return rng, np.round(outputs) if ties else outputs


seeds, sizes = st.integers(0, 2**31), st.integers(2, 40)


@given(seed=seeds, samples=sizes, classes=st.integers(3, 6), ties=st.booleans())
@few
def test_classification(seed: int, samples: int, classes: int, ties: bool) -> None:
    rng, outputs = drawn(seed, samples, classes, ties=False)
    if ties:  # equal logits of whole samples, which stay equal as probabilities
        outputs = outputs[rng.integers(0, 3, samples) % samples]
    truth = rng.integers(0, classes, samples)
    found = found_of("classification", outputs, truth)
    compare(found, CLASSIFICATION, truth, outputs)
    assert ("roc_auc" in found) == (len(np.unique(truth)) == classes)


@given(seed=seeds, samples=sizes, ties=st.booleans())
@few
def test_two_classes_are_judged_by_class_1(seed: int, samples: int, ties: bool) -> None:
    rng, outputs = drawn(seed, samples, 2, ties=ties)
    truth = rng.integers(0, 2, samples)
    compare(found_of("classification", outputs, truth), TWO_CLASSES, truth, outputs)


@given(seed=seeds, samples=sizes, ties=st.booleans(), chance=st.floats(0, 1))
@few
def test_binary(seed: int, samples: int, ties: bool, chance: float) -> None:
    rng, outputs = drawn(seed, samples, 1, ties=ties)
    truth = (rng.uniform(size=samples) < chance).astype(int)
    found = found_of("binary", outputs, truth[:, None])
    compare(found, BINARY, truth, outputs)
    assert ("roc_auc" in found) == (0 < truth.sum() < samples)
    assert ("average_precision" in found) == (truth.sum() > 0)
    assert found_of("binary", outputs[:, 0], truth) == pytest.approx(found)


@given(seed=seeds, samples=sizes, labels=st.integers(2, 5), ties=st.booleans())
@few
def test_multilabel(seed: int, samples: int, labels: int, ties: bool) -> None:
    rng, outputs = drawn(seed, samples, labels, ties=ties)
    truth = (rng.uniform(size=(samples, labels)) < rng.uniform(size=labels)).astype(int)
    compare(found_of("multilabel", outputs, truth), MULTILABEL, truth, outputs)


@given(seed=seeds, samples=sizes, targets=st.integers(1, 3), constant=st.booleans())
@few
def test_regression(seed: int, samples: int, targets: int, constant: bool) -> None:
    rng, outputs = drawn(seed, samples, targets, ties=False)
    truth = rng.normal(size=(samples, targets))
    truth[:, 0] = 3.0 if constant else truth[:, 0]
    found = found_of("regression", outputs, truth)
    compare(found, REGRESSION, truth, outputs)
    assert ("r2" in found) == (not constant)


@given(seed=seeds, samples=sizes)
@few
def test_count(seed: int, samples: int) -> None:
    rng, outputs = drawn(seed, samples, 1, ties=False)
    truth = rng.poisson(2, (samples, 1))
    compare(found_of("count", outputs, truth), COUNT, truth, outputs)


SHAPES: list[tuple[Kind, tuple[int, ...]]] = [
    ("classification", (4,)),
    ("classification", (2,)),
    ("binary", (1,)),
    ("binary", ()),
    ("multilabel", (3,)),
    ("regression", (2,)),
    ("regression", ()),
    ("count", (1,)),
    ("count", ()),
]


def stack_of(kind: Kind, shape: tuple[int, ...]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Outputs (3, 24, *shape) with ties, and a part of 24 samples."""
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(3, 24, *shape, generator=generator).mul(2).round().div(2)
    if kind == "classification":
        targets = torch.arange(24) % shape[0]
    elif kind in ("binary", "multilabel"):
        targets = torch.randint(0, 2, (24, *shape), generator=generator).float()
    else:
        targets = torch.randint(0, 5, (24, *shape), generator=generator).float()
    return outputs, (torch.empty(24, 1), targets)


@pytest.mark.parametrize(("kind", "shape"), SHAPES)
def test_in_a_stack_each_network_has_its_own_metrics(kind: Kind, shape: tuple[int, ...]) -> None:
    outputs, part = stack_of(kind, shape)
    standard = STANDARD[kind]

    def measured(output: Tensor) -> dict[str, Tensor]:
        final = {name: metric(output, part) for name, metric in standard.final_metrics.items()}
        return {**standard.metrics(output, part), **final}

    with warnings.catch_warnings():
        warnings.simplefilter("error")  # that an operation is not vectorised
        together = torch.vmap(measured)(outputs)
    for row, output in enumerate(outputs):
        for name, value in measured(output).items():
            torch.testing.assert_close(together[name][row], value, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("kind", "shape"), SHAPES)
def test_the_stacked_loss_is_each_networks_own(kind: Kind, shape: tuple[int, ...]) -> None:
    outputs, part = stack_of(kind, shape)
    standard = STANDARD[kind]
    together = standard.stacked_loss(outputs, part)
    alone = [standard.loss(lambda x, output=output: output, part) for output in outputs]
    torch.testing.assert_close(together, torch.stack(alone))


@pytest.mark.parametrize("kind", ["binary", "multilabel", "regression", "count"])
def test_outputs_and_targets_that_would_be_broadcast_are_refused(kind: Kind) -> None:
    standard, batch = STANDARD[kind], (torch.empty(5, 1), torch.ones(5))
    with pytest.raises(ValueError, match=r"outputs have shape \(5, 1\) and targets \(5,\)"):
        standard.loss(lambda x: torch.zeros(5, 1), batch)
    with pytest.raises(ValueError, match=r"outputs have shape \(5, 1\) and targets \(5,\)"):
        standard.stacked_loss(torch.zeros(3, 5, 1), batch)
