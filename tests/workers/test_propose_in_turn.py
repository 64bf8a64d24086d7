"""Runners of one job propose in turn, so that none tries what another one trains already."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine, text


@pytest.mark.parametrize(("sampler", "families"), [("shape", "all"), ("brute_force", ["relu", "tanh", "gelu", "mish"])])
def test_runners_that_begin_together_try_nothing_twice(
    engine: Engine, submit: Callable[..., UUID], run: Callable[..., bool], sampler: str, families: Any
) -> None:
    rates = {"learning_rate": {"choices": [0.1, 0.01, 0.003, 0.001]}}
    space = {"families": families, "training": rates if sampler == "brute_force" else {}}
    job = submit(budget={"trials": 16}, space=space, sampler=sampler, cohort_size=4, confirmation="off")
    barrier = threading.Barrier(3)

    def work(runner: int) -> bool:
        barrier.wait()
        return run(job, worker=f"worker-{runner}")

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(work, (1, 2, 3)))

    query = "SELECT count(*), count(DISTINCT params) FROM trials JOIN jobs USING (study_id) WHERE jobs.id = :job"
    with engine.connect() as connection:
        assert connection.execute(text(query), {"job": job}).one() == (16, 16)
