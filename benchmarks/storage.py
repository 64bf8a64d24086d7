"""A trial's bookkeeping and a study's reading: our trial store beside Optuna's `RDBStorage`, on one PostgreSQL.

Bookkeeping is create, 3 parameters, 5 reports, prune check, finish. "One at a time" is the same Optuna program on both
storages; "in batches of 64" is what our runners do with a cohort beside 64 trials asked and told together. Reading is
10,000 finished trials through storage objects that have seen nothing before.

    python benchmarks/storage.py [--quick]
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import optuna
import psycopg
from optuna.distributions import FloatDistribution, distribution_to_json
from optuna.storages import BaseStorage, RDBStorage, get_storage
from optuna.storages._rdb import models as native
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial
from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine, func, insert, select, text
from sqlalchemy.engine import make_url

from actsearch.schemas import ActivationSpec, Direction, JobRequest, ObjectiveInfo
from actsearch.store import OptunaStorage, create_store_engine, jobs, libpq_url, runs, upgrade
from actsearch.store.embedded import normalise_url, start_embedded
from actsearch.store.runs import Holder
from actsearch.study.ledger import Finish, Proposal, Report

COHORT = 64
RANGES = {"slope": (0.0, 1.0), "alpha": (0.1, 2.0), "learning_rate": (1e-4, 1e-1)}
STEPS = range(1, 6)
SAMPLER, PRUNER = optuna.samplers.RandomSampler(seed=0), optuna.pruners.MedianPruner()
TARGETS = {"single_ratio": 5, "batch64_ratio": 30, "read_ratio": 20}

Pair = tuple[float, float]
"""Optuna's figure and ours."""
Row = Mapping[str, Any]


# --- one at a time: the same program on both ------------------------------------------------------


def one_at_a_time(study: optuna.Study, trials: int) -> None:
    """The whole life of trials, one after another."""
    for _ in range(trials):
        trial = study.ask()
        value = suggest(trial)
        for step in STEPS:
            trial.report(value / step, step)
        trial.should_prune()
        study.tell(trial, value)


def suggest(trial: Trial) -> float:
    """Three parameters."""
    return sum(trial.suggest_float(name, *limits) for name, limits in RANGES.items())


# --- in batches -----------------------------------------------------------------------------------


def told_together(study: optuna.Study) -> None:
    """A cohort's life through Optuna's own interface, which has no batches."""
    trials = [study.ask() for _ in range(COHORT)]
    values = [suggest(trial) for trial in trials]
    for step in STEPS:
        for trial, value in zip(trials, values, strict=True):
            trial.report(value / step, step)
    for trial in trials:
        trial.should_prune()
    for trial, value in zip(trials, values, strict=True):
        study.tell(trial, value)


def as_a_cohort(engine: Engine, storage: OptunaStorage, study: optuna.Study, holder: Holder) -> None:
    """A cohort's life as our runners write it: claims and learning curves beside what Optuna knows."""
    with engine.begin() as connection:
        claimed = runs.claim_trials(connection, holder, COHORT)
    with storage.batch(runs.attempts(claimed)):
        trials = [Trial(study, claim.id) for claim in claimed]
        values = [suggest(trial) for trial in trials]
    activation = {"network": ActivationSpec(family="leaky_relu", parameters={"slope": 0.1})}
    with engine.begin() as connection:
        runs.propose(connection, [Proposal(claim, "leaky_relu", activation) for claim in claimed])
    with engine.begin() as connection:
        runs.start(connection, claimed)
    for step in STEPS:
        metrics = [{"validation_accuracy": value / step} for value in values]
        with engine.begin() as connection:
            reports = [Report(c, step, m, m["validation_accuracy"]) for c, m in zip(claimed, metrics, strict=True)]
            runs.report(connection, reports)
            jobs.get_state(connection, holder.job_id)
        with storage.batch(runs.attempts(claimed)):
            for trial, value in zip(trials, values, strict=True):
                trial.report(value / step, step)
            if step == STEPS[-1]:
                for trial in trials:
                    trial.should_prune()
    with engine.begin() as connection:
        finishes = [Finish(c, "complete", [v], {"accuracy": v}) for c, v in zip(claimed, values, strict=True)]
        assert len(runs.finish(connection, finishes)) == COHORT


def create_job(engine: Engine, trials: int) -> jobs.UUID:
    """A running job whose budget is `trials`."""
    request = JobRequest.model_validate({"task": "digits", "budget": {"trials": trials}})
    objective = ObjectiveInfo(metric="accuracy", direction=Direction.maximize)
    with engine.begin() as connection:
        job = jobs.create_job(connection, request, objective, {"network": ActivationSpec(family="relu")}, {})
        jobs.transition(connection, job, jobs.JobState.running)
    return job


def hand_out(engine: Engine, job: jobs.UUID) -> Holder:
    """A runner of the job, as a worker that has fetched its task."""
    query = text(
        "UPDATE procrastinate_jobs SET status = 'doing'"
        " WHERE id = (SELECT min(id) FROM procrastinate_jobs WHERE args ->> 'job_id' = :job) RETURNING id, attempts"
    )
    with engine.begin() as connection:
        return Holder(job, *connection.execute(query, {"job": str(job)}).one(), worker="benchmark")


# --- reading --------------------------------------------------------------------------------------


def finished_trials(count: int) -> list[FrozenTrial]:
    """Finished trials as a search leaves them."""
    begin = datetime(2025, 1, 1)  # noqa: DTZ001 - Optuna's times say no zone
    distributions = {name: FloatDistribution(*limits) for name, limits in RANGES.items()}
    trials = []
    for number in range(count):
        value = (number * 7919 % count) / count
        trial = create_trial(
            value=value,
            params={name: low + value * (high - low) for name, (low, high) in RANGES.items()},
            distributions=distributions,
            intermediate_values={step: value / step for step in STEPS},
        )
        trial.number = number
        trial.datetime_start, trial.datetime_complete = begin, begin + timedelta(seconds=number)
        trials.append(trial)
    return trials


def fill_native(storage: RDBStorage, name: str, trials: Sequence[FrozenTrial]) -> None:
    """Write finished trials into Optuna's tables in bulk: its own way would take minutes."""
    study = storage.create_new_study([StudyDirection.MAXIMIZE], name)
    with storage.engine.begin() as connection:
        first = 1 + (connection.execute(select(func.max(native.TrialModel.trial_id))).scalar() or 0)
        for table, rows in (
            (native.TrialModel.__table__, (_native_trial(t, first, study) for t in trials)),
            (native.TrialValueModel.__table__, (_native_value(t, first) for t in trials)),
            (native.TrialParamModel.__table__, (row for t in trials for row in _native_parameters(t, first))),
            (native.TrialIntermediateValueModel.__table__, (row for t in trials for row in _native_reports(t, first))),
        ):
            connection.execute(insert(table), list(rows))


def _native_trial(trial: FrozenTrial, first: int, study: int) -> Row:
    times = {"datetime_start": trial.datetime_start, "datetime_complete": trial.datetime_complete}
    key = {"trial_id": first + trial.number, "number": trial.number, "study_id": study}
    return key | times | {"state": TrialState.COMPLETE}


def _native_value(trial: FrozenTrial, first: int) -> Row:
    kind = native.TrialValueModel.TrialValueType.FINITE
    return {"trial_id": first + trial.number, "objective": 0, "value": trial.value, "value_type": kind}


def _native_parameters(trial: FrozenTrial, first: int) -> Iterator[Row]:
    for name, distribution in trial.distributions.items():
        value = {"param_value": trial.params[name], "distribution_json": distribution_to_json(distribution)}
        yield {"trial_id": first + trial.number, "param_name": name} | value


def _native_reports(trial: FrozenTrial, first: int) -> Iterator[Row]:
    kind = native.TrialIntermediateValueModel.TrialIntermediateValueType.FINITE
    for step, value in trial.intermediate_values.items():
        key = {"trial_id": first + trial.number, "step": step}
        yield key | {"intermediate_value": value, "intermediate_value_type": kind}


def read(make: Callable[[], BaseStorage], name: str) -> list[FrozenTrial]:
    """All trials of a study through a storage that knows nothing yet."""
    storage = make()
    return storage.get_all_trials(storage.get_study_id_from_name(name), deepcopy=False)


def seconds_to_read(make: Callable[[], BaseStorage], name: str, expected: Sequence[FrozenTrial]) -> float:
    """Time of one cold read, checked to have read what was written."""
    gc.collect()
    begin = time.perf_counter()
    trials = read(make, name)
    seconds = time.perf_counter() - begin
    assert [(t.number, t.value, t.params, t.intermediate_values) for t in trials] == [
        (t.number, t.value, t.params, t.intermediate_values) for t in expected
    ]
    return seconds


# --- the comparison -------------------------------------------------------------------------------


def new_study(storage: BaseStorage) -> optuna.Study:
    """An empty study."""
    return optuna.create_study(storage=storage, sampler=SAMPLER, pruner=PRUNER, direction="maximize")


def timed(call: Callable[[], object], trials: int) -> float:
    """Milliseconds a trial."""
    begin = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - begin) / trials


def compare_single(engine: Engine, native_url: str, rounds: int, trials: int) -> Pair:
    """Milliseconds a trial one at a time, in turns so that both meet the same machine."""
    theirs, ours = new_study(get_storage(native_url)), new_study(OptunaStorage(engine))
    for study in (theirs, ours):
        one_at_a_time(study, 10)  # enough finished trials for the pruner to look at them
    return medians(
        [
            (timed(lambda: one_at_a_time(theirs, trials), trials), timed(lambda: one_at_a_time(ours, trials), trials))
            for _ in range(rounds)
        ]
    )


def compare_batches(engine: Engine, native_url: str, rounds: int) -> Pair:
    """Milliseconds a trial in batches of 64."""
    holder = hand_out(engine, create_job(engine, (rounds + 1) * COHORT))
    storage = OptunaStorage(engine)
    ours = optuna.load_study(study_name=str(holder.job_id), storage=storage, sampler=SAMPLER, pruner=PRUNER)
    theirs = new_study(get_storage(native_url))
    samples = [
        (
            timed(lambda: told_together(theirs), COHORT),
            timed(lambda: as_a_cohort(engine, storage, ours, holder), COHORT),
        )
        for _ in range(rounds + 1)
    ]
    return medians(samples[1:])


def compare_reading(engine: Engine, native_url: str, count: int, rounds: int) -> Pair:
    """Milliseconds a trial of reading `count` finished ones."""
    trials = finished_trials(count)
    fill_native(RDBStorage(native_url), "reading", trials)
    filled = OptunaStorage(engine)
    filled.add_trials(filled.create_new_study([StudyDirection.MAXIMIZE], "reading"), trials)
    samples: list[Pair] = []
    for _ in range(rounds):
        theirs = seconds_to_read(lambda: get_storage(native_url), "reading", trials)
        samples.append((theirs, seconds_to_read(lambda: OptunaStorage(engine), "reading", trials)))
    theirs, ours = medians(samples)
    return 1000 * theirs / count, 1000 * ours / count


def medians(samples: Sequence[Pair]) -> Pair:
    """The median of each side."""
    return statistics.median(s[0] for s in samples), statistics.median(s[1] for s in samples)


def databases(directory: Path) -> tuple[Engine, str]:
    """Our migrated database and an empty one for Optuna's tables, on one embedded PostgreSQL."""
    url = normalise_url(start_embedded(directory / "postgres", cleanup_mode="delete").get_uri())
    with psycopg.connect(libpq_url(url), autocommit=True) as connection:
        connection.execute("CREATE DATABASE native")
        connection.execute("CREATE DATABASE ours")
    ours = make_url(url).set(database="ours").render_as_string(hide_password=False)
    upgrade(ours)
    return create_store_engine(ours), make_url(url).set(database="native").render_as_string(hide_password=False)


def main() -> None:
    """Compare and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer trials: a look, not a measurement")
    quick = parser.parse_args().quick
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with tempfile.TemporaryDirectory() as directory:
        engine, native_url = databases(Path(directory))
        count = 1_000 if quick else 10_000
        pairs = {
            "single_ratio": compare_single(engine, native_url, *((2, 10) if quick else (5, 40))),
            "batch64_ratio": compare_batches(engine, native_url, 1 if quick else 5),
            "read_ratio": compare_reading(engine, native_url, count, 1 if quick else 3),
        }
        engine.dispose()
    show(pairs, count)


def show(pairs: dict[str, Pair], count: int) -> None:
    """A table for people and a line for programs."""
    labels = ("bookkeeping, one at a time", f"bookkeeping, batches of {COHORT}", f"reading {count:,} finished trials")
    table = Table(title="milliseconds a trial (medians)")
    for column in ("", "optuna RDBStorage", "actsearch", "ratio", "wanted"):
        table.add_column(column, justify="left" if not column else "right")
    for label, (name, (theirs, ours)) in zip(labels, pairs.items(), strict=True):
        table.add_row(label, f"{theirs:.2f}", f"{ours:.3f}", f"{theirs / ours:.1f}", f">= {TARGETS[name]}")
    Console().print(table)
    print(json.dumps({name: round(theirs / ours, 1) for name, (theirs, ours) in pairs.items()}))


if __name__ == "__main__":
    main()
