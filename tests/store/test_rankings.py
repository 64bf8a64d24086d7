"""Rankings: merged replicates, families with intervals, ties explained, leaderboards across jobs."""

from __future__ import annotations

import json
import math
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from scipy import stats
from sqlalchemy import Engine, event, insert, text

from actsearch.schemas import Direction, SeedSpread
from actsearch.schemas.metrics import RANGES
from actsearch.store import ranking, runs
from actsearch.store.leaderboard import GAINS, JOBS, WHICH, jobs_of_pair
from actsearch.store.models import JobRow, StudyRow, TrialRow
from actsearch.study.ledger import PlannedArm
from actsearch.tasks import tasks
from actsearch.tasks.kinds import STANDARD

_NAMES = ("relu", "elu", "selu", "tanh", "mish", "silu", "gelu")
RELU, ELU, SELU, TANH, MISH, SILU, GELU = ({"network": {"family": name, "parameters": {}}} for name in _NAMES)


def make_job(engine: Engine, trials: list[tuple[dict[str, Any], float]], **columns: Any) -> UUID:
    """A job whose complete trials have these activations and values; those with relu compute the baseline."""
    with engine.begin() as connection:
        count = connection.execute(text("SELECT count(*) FROM studies")).scalar_one()
        study = connection.execute(
            insert(StudyRow).values(name=f"study {count}", directions=["maximize"]).returning(StudyRow.id)
        ).scalar_one()
        row = {
            "study_id": study,
            "state": "completed",
            "architecture": "mlp",
            "task": "digits",
            "metric": "accuracy",
            "direction": "maximize",
            "parallelism": 4,
            "budget_trials": len(trials),
            "request": {"baseline": {"family": "relu"}},
        }
        job = connection.execute(insert(JobRow).values(row | columns).returning(JobRow.id)).scalar_one()
        for number, (activations, value) in enumerate(trials):
            family = activations["network"]["family"]
            connection.execute(
                insert(TrialRow).values(
                    study_id=study,
                    number=number,
                    state="complete",
                    value=value,
                    values=[value],
                    family=family,
                    activations=activations,
                    is_baseline=family == "relu",
                )
            )
    return job


def confirm(engine: Engine, job: UUID, values: dict[int, list[float]]) -> None:
    """Complete evaluations of trials (by number) with these validation accuracies."""
    with engine.begin() as connection:
        query = "SELECT t.uid FROM trials t JOIN jobs j USING (study_id) WHERE j.id = :job AND t.number = :number"
        arms = [
            PlannedArm(connection.execute(text(query), {"job": job, "number": number}).scalar_one())
            for number in values
        ]
        seeds = len(next(iter(values.values())))
        runs.plan(connection, job, arms, {r: r + 1 for r in range(seeds)})
        for arm, found in enumerate(values.values()):
            for replicate, value in enumerate(found):
                connection.execute(
                    text(
                        "UPDATE evaluations SET state = 'complete', metrics = CAST(:metrics AS jsonb)"
                        " WHERE job_id = :job AND arm = :arm AND replicate = :replicate"
                    ),
                    {
                        "job": job,
                        "arm": arm,
                        "replicate": replicate,
                        "metrics": json.dumps({"validation_accuracy": value}),
                    },
                )


TRIALS = [(RELU, 0.7), (ELU, 0.8), (ELU, 0.9), (RELU, 0.75), (SELU, 0.74), (ELU, 0.85), (SELU, math.inf)]


def test_families_have_intervals_and_wins(engine: Engine) -> None:
    job = make_job(engine, TRIALS)
    with engine.connect() as connection:
        found = ranking.rank_families(connection, job, 10)
    elu, relu, selu = found.entries
    assert [e.family for e in found.entries] == ["elu", "relu", "selu"]
    assert [e.wins for e in found.entries] == [3, 0, 0]
    assert relu.best == 0.75
    assert selu.interval is None
    wanted = stats.ttest_1samp([0.8, 0.9, 0.85], 0).confidence_interval(0.95)
    assert elu.interval is not None
    assert (elu.interval.low, elu.interval.high) == pytest.approx(tuple(wanted))
    assert found.noise is None
    assert elu.tied_with_first is None


@pytest.mark.parametrize(
    ("metric", "values", "low", "high"),
    [
        ("accuracy", (0.6, 1.0), 0.0, 1.0),  # by Student's t alone -1.7 to 3.3
        ("mse", (0.1, 0.5), 0.0, math.inf),
        ("r2", (0.2, 0.9), -math.inf, 1.0),
        ("mine", (0.1, 0.5), -math.inf, math.inf),
        ("accuracy", (60.0, 100.0), -math.inf, math.inf),  # per cent, as somebody's own task may have it
    ],
)
def test_intervals_end_where_the_metric_does(
    engine: Engine, metric: str, values: tuple[float, float], low: float, high: float
) -> None:
    job = make_job(engine, [(RELU, values[0]), (ELU, values[0]), (ELU, values[1])], metric=metric)
    with engine.connect() as connection:
        elu = ranking.rank_families(connection, job, 10).entries[0]
    wanted = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert elu.interval is not None
    assert elu.interval.low == pytest.approx(max(wanted.low, low))
    assert elu.interval.high == pytest.approx(min(wanted.high, high))


UNBOUNDED = {"loss", "psnr"}
"""`loss` is whatever a task or its user minimises."""


def test_every_metric_of_the_tasks_has_a_range_or_none_on_purpose() -> None:
    declared = {name for task in tasks().values() for name in task.directions}
    declared |= {name for standard in STANDARD.values() for name in standard.directions}
    assert declared - UNBOUNDED == set(RANGES)


def test_families_without_a_result_are_told_with_why(engine: Engine) -> None:
    job = make_job(engine, [*TRIALS, *((TANH, 0.1),) * 130, (MISH, 0.1), (SILU, math.nan), (GELU, 0.1)])
    failed = "UPDATE trials SET state = 'failed', value = NULL, failure_reason = :reason, failure_detail = :detail"
    which = " WHERE family = :family AND number % 3 = ANY(:rests)"
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM family_tallies WHERE family IN ('tanh', 'mish', 'silu', 'gelu')"))
        values: dict[str, Any] = {"reason": "diverged", "detail": "the loss is nan", "family": "tanh", "rests": [1, 2]}
        connection.execute(text(failed + which), values)
        connection.execute(text("UPDATE trials SET state = 'pruned'" + which), values | {"rests": [0]})
        connection.execute(text("UPDATE trials SET state = 'running', value = NULL WHERE family = 'mish'"))
        values = {"reason": "invalid", "detail": "no such thing", "family": "gelu", "rests": [0, 1, 2]}
        connection.execute(text(failed + which), values)
        found = ranking.rank_families(connection, job, 10)
    assert [entry.family for entry in found.entries] == ["elu", "relu", "selu"]
    assert [(one.family, one.trials) for one in found.without] == [("gelu", 1), ("mish", 1), ("silu", 1), ("tanh", 20)]
    assert [one.words for one in found.without[:3]] == [
        "no complete trial: 1 invalid (no such thing)",
        "no complete trial: 1 running",
        "no complete trial: 1 not finite",
    ]
    tanh = found.without[3]
    assert tanh.outcomes.keys() == {"diverged", "pruned"}
    assert sum(tanh.outcomes.values()) == 20
    assert tanh.detail == "the loss is nan"


def test_activations_merge_what_was_trained_with_them(engine: Engine) -> None:
    job = make_job(engine, TRIALS)
    confirm(engine, job, {3: [0.70, 0.72, 0.71], 2: [0.80, 0.84, 0.82]})
    with engine.connect() as connection:
        found = ranking.rank_activations(connection, job, 10)
    assert [(e.family, e.trials, e.replicates) for e in found.entries] == [
        ("elu", 3, 3),
        ("relu", 2, 3),
        ("selu", 1, 0),
    ]
    assert found.entries[0].confirmed == pytest.approx(0.82)
    assert found.entries[0].best_trial.number == 2
    assert found.baseline is not None
    assert (found.baseline.family, found.baseline.best) == ("relu", 0.75)
    assert [e.spread for e in found.entries] == [None] * 3

    spreads = {
        number: SeedSpread(mean=mean, median=mean + 0.01, worst=0.1, collapsed=0.1, seeds=10).model_dump()
        for number, mean in ((1, 0.8), (3, 0.7))
    }
    arms = [{"trial": number, "results": {"validation": spread}} for number, spread in spreads.items()]
    verdict = {"baseline": arms[1], "finalists": [arms[0], {"trial": 4, "results": {}}]}
    with engine.begin() as connection:
        query = "UPDATE jobs SET verdict = CAST(:verdict AS jsonb) WHERE id = :job"
        connection.execute(text(query), {"job": job, "verdict": json.dumps(verdict)})
        again = ranking.rank_activations(connection, job, 10)
    assert [None if e.spread is None else e.spread.model_dump() for e in again.entries] == [
        spreads[1],
        spreads[3],
        None,
    ]


def test_ties_are_what_seed_noise_explains(engine: Engine) -> None:
    job = make_job(engine, [(RELU, 0.70), (ELU, 0.90), (SELU, 0.88), (SELU, 0.90)])
    arms = {0: [0.70, 0.72, 0.71], 1: [0.80, 0.82, 0.81]}
    confirm(engine, job, arms)
    with engine.connect() as connection:
        found = ranking.rank_trials(connection, job, 10)
    pooled = np.sqrt(np.mean([np.var(v, ddof=1) for v in arms.values()]))
    assert found.noise == pytest.approx(1.96 * np.sqrt(2) * pooled)
    assert [(e.rank, e.trial.number, e.tied_with_first) for e in found.entries] == [
        (1, 1, True),
        (1, 3, True),  # equal values stand in order of trial number
        (3, 2, True),
        (4, 0, False),
    ]
    assert found.baseline is not None
    assert found.baseline.tied_with_first is False


def test_candidates_hold_each_familys_best(engine: Engine) -> None:
    job = make_job(engine, TRIALS)
    with engine.connect() as connection:
        found = ranking.candidates(connection, job, Direction.maximize)
        baseline = ranking.baseline_trial(connection, job, Direction.maximize)
    assert [trial.number for trial in found] == [2, 5, 1, 4]
    assert baseline.number == 3


def _verdict(family: str, gain: float, low: float, outcome: str) -> dict[str, Any]:
    interval = {"low": low, "high": 2 * gain - low}
    difference = {
        "metric": "test_accuracy", "against": "own", "pairs": 10, "baseline": 0.7, "candidate": 0.7 + gain,
        "difference": gain, "sd": 0.1, "interval": interval, "bootstrap": None, "p_t": 0.01, "p_wilcoxon": 0.01,
        "p_sign_flip": 0.01, "p_corrected": 0.01, "wins": 10, "losses": 0, "ties": 0, "outcome": outcome, "words": "",
    }  # fmt: skip
    arm = {
        "trial_id": "01890000-0000-7000-8000-000000000000", "trial": 1, "family": "relu", "activations": RELU,
        "parameters": {}, "completed": 10, "failed": 0, "costs": {},
    }  # fmt: skip
    spec = {"network": {"family": family, "parameters": {}}}
    finalist = arm | {"family": family, "activations": spec, "validation": None, "test": difference}
    return {
        "outcome": outcome, "words": "", "chosen": 1, "winner": 1, "metric": "accuracy", "level": 0.95, "alpha": 0.05,
        "seeds": [1], "ending": "planned", "baseline": arm, "finalists": [finalist],
    }  # fmt: skip


def test_the_leaderboard_is_made_of_the_completed_jobs_of_the_pair(engine: Engine) -> None:
    first = make_job(engine, [(RELU, 0.70), (ELU, 0.72)], verdict=_verdict("elu", 0.02, 0.01, "better"))
    other = make_job(engine, [(RELU, 0.70), (SELU, 0.99), (ELU, 0.71)])
    make_job(engine, [(RELU, 0.70), (ELU, 0.99)], task="mnist1d")
    make_job(engine, [(RELU, 0.70), (ELU, 0.99)], state="running")
    with engine.connect() as connection:
        found = jobs_of_pair(connection, "mlp", "digits", 10)
        nothing = jobs_of_pair(connection, "mlp", "wine", 10)
    assert found.count == 2
    assert [one.job_id for one in found.verdicts] == [first]
    gains = {(one.job_id, one.family, one.jobs): one.gain for one in found.searches}
    assert gains == pytest.approx({(first, "elu", 2): 0.015, (other, "selu", 1): 0.29})
    assert (nothing.count, nothing.verdicts, nothing.searches) == (0, [], [])


def test_the_leaderboard_is_read_again_when_a_job_has_ended(engine: Engine) -> None:
    make_job(engine, [(RELU, 0.70), (ELU, 0.72)])
    under_way = make_job(engine, [(RELU, 0.70), (SELU, 0.99)], state="running")
    asked: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda _c, _cur, query, *_: asked.append(query))

    def families() -> set[str]:
        with engine.connect() as connection:
            return {one.family for one in jobs_of_pair(connection, "mlp", "digits", 10).searches}

    assert [families(), families()] == [{"elu"}] * 2
    assert len(asked) == 3 + 1
    with engine.begin() as connection:
        done = "UPDATE jobs SET state = 'completed', finished_at = now() WHERE id = :id"
        connection.execute(text(done), {"id": under_way})
    assert families() == {"elu", "selu"}
    with engine.begin() as connection:
        connection.execute(text("UPDATE jobs SET state = 'running' WHERE id = :id"), {"id": under_way})
    assert families() == {"elu"}


def test_the_leaderboard_reads_by_index(engine: Engine) -> None:
    for _ in range(3):
        make_job(engine, [(RELU, 0.7), (ELU, 0.8)])
    with engine.begin() as connection:
        connection.execute(text("SET LOCAL enable_seqscan = off"))
        values: dict[str, Any] = {"architecture": "mlp", "task": "digits", "limit": 200}
        jobs = [row.id for row in connection.execute(text(JOBS), values)]
        plans = [
            "\n".join(connection.execute(text(f"EXPLAIN {query}"), bound).scalars())
            for query, bound in ((JOBS, values), (WHICH, values), (GAINS, {"jobs": jobs, "limit": 10}))
        ]
    assert all("ix_jobs_architecture_task" in plan for plan in plans[:2])
    assert "pk_family_tallies" in plans[2]
    assert all("Seq Scan" not in plan for plan in plans)
