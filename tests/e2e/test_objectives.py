"""A search with several objectives through the whole system."""

from __future__ import annotations

from typing import Any

from actsearch import Client


def test_quality_latency_and_quantisation_together(service: Any, client: Client) -> None:
    service.start_worker()
    job = client.submit(
        task="digits",
        architecture={"name": "mlp", "parameters": {"depth": 2}},
        space={"families": ["relu", "gelu", "mish", "tanh"], "architecture": {"width": {"choices": [8, 64]}}},
        objectives=[{"metric": "accuracy"}, {"metric": "activation_cost"}, {"metric": "int8_drop"}],
        measures=["latency_ms"],
        sampler="random",
        trials=10,
        epochs=3,
    )

    done = job.wait(timeout=180)

    assert done.state == "completed", service.log_text()
    trials = {trial.number: trial for trial in job.trials()}
    assert {trial.state for trial in trials.values()} == {"complete"}
    assert all(trial.metrics["latency_ms"] > 0 for trial in trials.values())
    front = job.pareto()
    assert [o.metric for o in front.objectives] == ["accuracy", "activation_cost", "int8_drop"]
    assert front.complete == 10
    for entry in front.entries:
        metrics = trials[entry.trial.number].metrics
        assert entry.values == [metrics["validation_accuracy"], metrics["activation_cost"], metrics["int8_drop"]]
    best = job.ranking(by="trial").entries[0].trial
    assert best.value == max(entry.values[0] for entry in front.entries)
    volumes = [point.value for point in front.hypervolume]
    assert volumes == sorted(volumes)
