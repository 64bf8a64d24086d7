"""Every architecture on every task whose inputs it takes: builds, trains, and learns the same alone and in a cohort."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from actsearch.architectures import architectures
from actsearch.schemas import ActivationSpec, Training
from actsearch.tasks import Dataset, get_task, load, tasks
from actsearch.training import Candidate, Cohort, Plan, TrainingOutcome, train

SMALL_TASKS: dict[str, dict[str, Any]] = {
    "text": {"characters": 10_000, "context": 12},
    "gan_ring": {"samples": 256},
    "pinn_poisson": {"samples": 64},
    "image_fit": {"size": 8},
    "multi_sine": {"samples": 64},
    "sunspots": {"window": 8},
}
SMALL_SIZES = {"width": 6, "channels": 2, "depth": 2, "blocks": 2, "layers": 1, "stages": 1, "heads": 2}
VARIANTS: dict[str, list[dict[str, Any]]] = {
    "rnn": [
        {"cell": "lstm"},
        {"cell": "gru", "layers": 2, "dropout": 0.3, "search_gates": True},
        {"cell": "vanilla"},
    ],
    "tcn": [{"norm": "layer", "dropout": 0.3, "channels": 5}, {"norm": "batch"}],
    "gan2d": [{}, {"searched": "generator"}],
}
SAMPLES = 48
TOLERANCE = 1e-3
LEARNED = ("train_", "validation_", "test_", "dead_", "activation_sparsity", "gradient_", "initial_gradient")


def pairs() -> Iterator[Any]:
    """(task, architecture, parameters) of all that fit; variants of an architecture once each."""
    seen: set[str] = set()
    for task in tasks():
        kind = load(task, SMALL_TASKS.get(task, {})).input_kind
        fitting = [name for name, architecture in architectures().items() if kind in architecture.inputs]
        assert fitting, f"no architecture takes the {kind} inputs of {task}"
        for name in fitting:
            every = VARIANTS.get(name, [{}])
            for number, variant in enumerate(every if name not in seen else every[:1]):
                yield pytest.param(task, name, small(name) | variant, id=f"{task}-{name}-{number}")
            seen.add(name)


def small(architecture: str) -> dict[str, Any]:
    """An architecture's parameters at a small size."""
    return {p.name: SMALL_SIZES[p.name] for p in architectures()[architecture].parameters if p.name in SMALL_SIZES}


def few(task: str) -> Dataset:
    """The first samples of a task's parts."""
    data = load(task, SMALL_TASKS.get(task, {}))
    parts = {
        name: tuple(column[:SAMPLES] for column in getattr(data, name)) for name in ("train", "validation", "test")
    }
    return replace(data, **parts)


def trained(task: str, architecture: str, parameters: Mapping[str, Any], families: list[str]) -> list[TrainingOutcome]:
    """Two epochs on a few samples, one candidate a family."""
    candidates = [Candidate({"network": ActivationSpec(family=f)}, 1e-3, 0.01, 0.9) for f in families]
    plan = Plan(Training(epochs=2, batch_size=24, seed=1))
    cohort = Cohort(architecture, parameters, candidates)
    return train(cohort, get_task(task), few(task), plan, lambda rung: [True] * len(rung.positions))


@pytest.mark.parametrize(("task", "architecture", "parameters"), list(pairs()))
def test_a_task_trains_the_same_alone_and_in_a_cohort(task: str, architecture: str, parameters: dict[str, Any]) -> None:
    families = ["tanh", "prelu", "sigmoid"]

    together = trained(task, architecture, parameters, families)

    assert [outcome.state for outcome in together] == ["complete"] * 3, together
    for family, outcome in zip(families[:2], together, strict=False):
        (alone,) = trained(task, architecture, parameters, [family])
        compared = {key: value for key, value in alone.metrics.items() if key.startswith(LEARNED)}
        assert len(compared) >= 8
        for key, value in compared.items():
            assert outcome.metrics[key] == pytest.approx(value, rel=TOLERANCE, abs=1e-4), (family, key)


def test_every_architecture_has_a_task() -> None:
    assert {pair.values[1] for pair in pairs()} == set(architectures())
