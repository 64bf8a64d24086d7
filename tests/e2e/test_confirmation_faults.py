"""Confirmation through the whole system: killed amid it, it loses nothing, and the verdict reaches the user."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from actsearch import Client

Eventually = Callable[[Callable[[], bool], float], None]

REQUEST = {
    "task": "mnist1d",
    "architecture": {"name": "mlp", "parameters": {"depth": 2, "width": 32}},
    "training": {"epochs": 6},
    "space": {"families": ["gelu", "tanh"]},
    "budget": {"trials": 3},
    "confirmation": {"finalists": 1, "seeds": 7, "most_seeds": 7, "early_stop": False},
    "sampler": "random",
}


def test_killing_the_device_process_amid_confirmation_loses_nothing(
    service: Any, client: Client, kill_device: Callable[[Any], None], eventually: Eventually
) -> None:
    worker = service.start_worker()
    job = client.submit(REQUEST)

    def is_amid_it() -> bool:
        progress = job.refresh().confirmation
        return progress is not None and progress.finished >= 2 and progress.running > 0

    eventually(is_amid_it, 120)
    finished = {e.id: e.metrics for e in job.evaluations() if e.state == "complete"}

    kill_device(worker)

    done = job.wait(timeout=180)
    assert done.state == "completed", service.log_text()
    evaluations = list(job.evaluations())
    assert {e.state for e in evaluations} == {"complete"}
    assert len(evaluations) == 2 * 7
    assert {e.id: e.metrics for e in evaluations if e.id in finished} == finished
    assert max(e.attempt for e in evaluations) == 2
    verdict = job.verdict()
    assert len(verdict.seeds) == 7
    assert verdict.words == done.verdict.words
    assert all(seed != done.request.training.seed for seed in verdict.seeds)
