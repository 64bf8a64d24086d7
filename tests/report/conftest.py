"""Findings of a job that was never run: every number is made up, every type is the real one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from actsearch.report import Findings
from actsearch.schemas import (
    ActivationSpec,
    CurvePoint,
    FamilyRanking,
    HypervolumePoint,
    Job,
    JobRequest,
    ObjectiveInfo,
    ParetoEntry,
    ParetoFront,
    Progress,
    RankedFamily,
    Trial,
)

JOB = UUID("01a20eed-e163-7494-b457-7e69d3f2f6ba")
NOW = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)


def trial(number: int, family: str, value: float, **parameters: float) -> Trial:
    return Trial(
        id=uuid4(),
        job_id=JOB,
        number=number,
        state="complete",
        value=value,
        is_baseline=number == 0,
        family=family,
        activations={"network": ActivationSpec(family=family, parameters=parameters)},
        parameters={"family": family, "training.learning_rate": 0.01},
        metrics={
            "validation_accuracy": value,
            "test_accuracy": value - 0.01,
            "parameters": 100,
            "dead_fraction": 0.1,
            "seed": 0,
            "environment": {"device": "cpu", "device_name": "<b>chip</b>", "versions": {"torch": "2.13"}},
        },
        curve=[CurvePoint(epoch=e, metrics={"validation_accuracy": value * e / 3}) for e in (1, 2, 3)],
        attempt=1,
        worker="w",
        started_at=NOW,
        finished_at=NOW,
    )


TRIALS = [
    trial(0, "relu", 0.70),
    trial(1, "elu", 0.80, alpha=0.5),
    trial(2, "elu", 0.74, alpha=1.5),
    trial(3, "relu", 0.72),
    trial(4, "gelu", 0.75),
    trial(5, "gelu", 0.71),
    trial(6, "gelu", 0.73),
    trial(7, "elu", 0.77, alpha=0.7),
]


@pytest.fixture(scope="session")
def findings_of() -> Callable[..., Findings]:
    """`findings_of(name=..., trials=..., several=...)`."""

    def make(name: str | None = "a job", trials: Any = TRIALS, several: bool = False) -> Findings:
        objective = ObjectiveInfo(metric="accuracy", direction="maximize")
        counts = {"complete": len(trials), "pruned": 0, "failed": 0, "running": 0, "waiting": 0}
        request: dict[str, Any] = {"task": "digits", "name": name}
        if several:
            request["objectives"] = [{"metric": "accuracy"}, {"metric": "latency_ms"}]
        job = Job(
            id=JOB,
            name=name,
            state="completed",
            reason=None,
            request=JobRequest.model_validate(request),
            architecture="mlp",
            task="digits",
            objective=objective,
            progress=Progress(budget=8, finished=len(trials), **counts),
            best=max(trials, key=lambda t: t.value, default=None),
            workers_online=1,
            dashboard="",
            created_at=NOW,
            started_at=NOW,
            finished_at=NOW,
        )
        return Findings(
            job=job,
            trials=trials,
            families=_families(trials, objective),
            curves=trials[:3],
            front=_front(trials, objective) if several else None,
            cloud=[[t.value, 1.0 + t.number] for t in trials] if several else [],
            importances={"family": 0.7, "training.learning_rate": 0.3} if trials else {},
        )

    return make


def _families(trials: Any, objective: ObjectiveInfo) -> FamilyRanking:
    entries = []
    for family in dict.fromkeys(t.family for t in sorted(trials, key=lambda t: -t.value)):
        own = sorted((t for t in trials if t.family == family), key=lambda t: -t.value)
        entries.append(
            RankedFamily(
                rank=len(entries) + 1,
                family=family,
                trials=len(own),
                best=own[0].value,
                mean=sum(t.value for t in own) / len(own),
                sd=0.02 if len(own) > 1 else None,
                best_trial=own[0],
                is_baseline=family == "relu",
            )
        )
    baseline = next((entry for entry in entries if entry.is_baseline), None)
    return FamilyRanking(job_id=JOB, objective=objective, baseline=baseline, entries=entries)


def _front(trials: Any, objective: ObjectiveInfo) -> ParetoFront:
    entries = [ParetoEntry(trial=t, values=[t.value, 1.0 + t.number]) for t in trials[:2]]
    return ParetoFront(
        job_id=JOB,
        objectives=[objective, ObjectiveInfo(metric="latency_ms", direction="minimize")],
        complete=len(trials),
        entries=entries[::-1],
        baseline=entries[0],
        reference=[0.7, 8.0],
        hypervolume=[HypervolumePoint(trials=1, value=0.0), HypervolumePoint(trials=2, value=0.6)],
    )
