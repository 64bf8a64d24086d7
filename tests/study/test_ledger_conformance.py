"""What every ledger promises, on each of them: the one in memory and the one on PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState
from sqlalchemy import text

from actsearch.inprocess.ledger import MemoryLedger
from actsearch.schemas import ActivationSpec, FailureReason, JobRequest, JobState, Outcome, StopRule
from actsearch.store import jobs
from actsearch.store.ledger import StoreLedger
from actsearch.store.runs import Holder
from actsearch.study import prepare
from actsearch.study.checking.prepare import PreparedJob
from actsearch.study.judging.verdict import nothing_to_compare
from actsearch.study.ledger import Claim, Finish, Ledger, PlannedArm, Proposal, Report

Books = Callable[..., Ledger]
TANH = {"network": ActivationSpec(family="tanh")}
RATES = FloatDistribution(0.0, 1.0)


def _prepared(**changes: Any) -> PreparedJob:
    request = {"task": "digits", "space": {"families": ["relu", "tanh"]}, "budget": {"trials": 6}}
    return prepare(JobRequest.model_validate(request | {"confirmation": {"seeds": 2}} | changes))


@pytest.fixture(params=["memory", "store"])
def books(request: pytest.FixtureRequest) -> Iterator[Books]:
    """Open a ledger for a request; what is given replaces parts of that."""
    if request.param == "memory":
        yield lambda **changes: MemoryLedger(_prepared(**changes))
        return
    engine = request.getfixturevalue("engine")

    def open_store(**changes: Any) -> Ledger:
        prepared = _prepared(**changes)
        with engine.begin() as connection:
            job = jobs.create_job(
                connection,
                prepared.request,
                prepared.objective,
                prepared.baseline_activations,
                prepared.baseline_parameters,
                further_objectives=prepared.objectives[1:],
            )
            insert = (
                "INSERT INTO procrastinate_jobs (queue_name, task_name, status, args)"
                " VALUES ('runners', 'run_job', 'doing', CAST(:args AS jsonb)) RETURNING id"
            )
            runner = connection.execute(text(insert), {"args": json.dumps({"job_id": str(job)})}).scalar_one()
        ledger = StoreLedger(engine, Holder(job, runner, 0, "here"))
        assert ledger.begin(tries=3) == prepared.request
        return ledger

    yield open_store


def _propose(ledger: Ledger, claims: Sequence[Claim], *, is_baseline: bool = False) -> None:
    with ledger.writing(claims) as ours:
        assert ours == {claim.id for claim in claims}
        for place, claim in enumerate(claims):
            ledger.storage.set_trial_param(claim.id, "training.rate", place / 10, RATES)
    ledger.propose([Proposal(claim, "tanh", TANH, is_baseline) for claim in claims])


def _complete(ledger: Ledger, claims: Sequence[Claim], values: Sequence[float], **metrics: Any) -> None:
    for claim, value in zip(claims, values, strict=True):
        ledger.finish([Finish(claim, "complete", [value], {"validation_accuracy": value, **metrics})])


def test_the_baseline_comes_first_and_the_budget_is_exact(books: Books) -> None:
    ledger = books()
    first, second, third = (ledger.claim(4) for _ in range(3))
    assert [claim.number for claim in first] == [0, 1, 2, 3]
    assert [claim.number for claim in second] == [4, 5]
    assert list(third) == []
    assert {claim.cohort for claim in first} == {0}
    assert {claim.cohort for claim in second} == {4}
    assert {group: spec.family for group, spec in first[0].activations.items()} == {"network": "relu"}
    assert not any(claim.activations or claim.parameters for claim in (*first[1:], *second))
    assert all(claim.is_trial and claim.attempt == 1 for claim in first)
    left = ledger.remaining()
    assert (left.open, left.complete, left.unclaimed, left.state) == (6, 0, 0, JobState.running)


def test_optuna_sees_the_baseline_fixed_and_claimed_trials_running(books: Books) -> None:
    ledger = books()
    claims = ledger.claim(3)
    assert ledger.storage.get_trial(claims[0].id).system_attrs["fixed_params"]["family"] == "relu"
    study = ledger.storage.get_study_id_from_name(ledger.study_name)
    seen = ledger.storage.get_all_trials(study)
    assert [(trial.number, trial.state) for trial in seen] == [(n, TrialState.RUNNING) for n in range(3)]


def test_a_released_cohort_is_claimed_again_as_it_was_and_nothing_with_it(books: Books) -> None:
    ledger = books()
    claims = ledger.claim(3)
    _propose(ledger, claims)
    ledger.release(claims)
    again = ledger.claim(1)
    assert [(claim.id, claim.number, claim.cohort) for claim in again] == [(c.id, c.number, 0) for c in claims]
    assert [claim.activations for claim in again] == [TANH] * 3
    assert [claim.parameters for claim in again] == [{"training.rate": place / 10} for place in range(3)]
    assert [claim.number for claim in ledger.claim(9)] == [3, 4, 5]


def test_what_has_ended_of_a_released_cohort_is_not_claimed_again(books: Books) -> None:
    ledger = books()
    claims = ledger.claim(4)
    _complete(ledger, claims[:1], [0.5])
    ledger.finish([Finish(claims[1], "pruned"), Finish(claims[2], "failed", reason=FailureReason.diverged)])
    ledger.release(claims)
    assert [claim.number for claim in ledger.claim(9)] == [3]
    assert ledger.remaining().complete == 1


def test_the_cohort_of_the_lowest_number_comes_first(books: Books) -> None:
    ledger = books()
    first, second = ledger.claim(2), ledger.claim(3)
    ledger.release(second)
    ledger.release(first)
    assert [[claim.number for claim in ledger.claim(9)] for _ in range(3)] == [[0, 1], [2, 3, 4], [5]]


def test_a_run_ends_once_and_is_nobodys_afterwards(books: Books) -> None:
    ledger = books()
    (claim,) = ledger.claim(1)
    assert ledger.report([Report(claim, 1, {"validation_accuracy": 0.1})]).ours == {claim.id}
    _complete(ledger, [claim], [0.4])
    _complete(ledger, [claim], [0.9])
    ledger.release([claim])
    assert ledger.report([Report(claim, 2, {"validation_accuracy": 0.2})]).ours == frozenset()
    with ledger.writing([claim]) as ours:
        assert ours == set()
    seen = ledger.storage.get_trial(claim.id)
    assert (seen.state, seen.value) == (TrialState.COMPLETE, 0.4)


def test_a_claim_of_another_attempt_writes_nothing(books: Books) -> None:
    ledger = books()
    (claim,) = ledger.claim(1)
    stale = Claim(claim.id, claim.attempt + 1, claim.number, claim.cohort)
    assert ledger.report([Report(stale, 1, {"train_loss": 0.0})]).ours == frozenset()
    _complete(ledger, [stale], [0.9])
    ledger.release([stale])
    ledger.propose([Proposal(stale, "elu", {"network": ActivationSpec(family="elu")})])
    with ledger.writing([stale]) as ours:
        assert ours == set()
    assert list(ledger.claim(0)) == []
    assert ledger.storage.get_trial(claim.id).state == TrialState.RUNNING


def test_a_start_forgets_what_was_reported_but_not_what_was_proposed(books: Books) -> None:
    ledger = books()
    claims = ledger.claim(2)
    _propose(ledger, claims)
    ledger.start(claims)
    ledger.report([Report(claim, 1, {"train_loss": 1.0}) for claim in claims])
    for claim in claims:
        ledger.storage.set_trial_intermediate_value(claim.id, 1, 0.5)
        ledger.storage.set_trial_system_attr(claim.id, "completed_rung_0", 0.5)
        ledger.storage.set_trial_system_attr(claim.id, "other", 1)
    ledger.start(claims[:1])
    cleared, kept = (ledger.storage.get_trial(claim.id) for claim in claims)
    assert (cleared.intermediate_values, kept.intermediate_values) == ({}, {1: 0.5})
    assert "completed_rung_0" not in cleared.system_attrs
    assert "completed_rung_0" in kept.system_attrs
    assert cleared.system_attrs["other"] == 1
    assert cleared.params == {"training.rate": 0.0}


def test_several_values_are_kept_in_order(books: Books) -> None:
    ledger = books(objectives=[{"metric": "accuracy"}, {"metric": "activation_cost"}])
    (claim,) = ledger.claim(1)
    ledger.finish([Finish(claim, "complete", [0.5, 12.0])])
    assert ledger.storage.get_trial(claim.id).values == [0.5, 12.0]


def test_a_stopped_search_begins_nothing_more_but_trains_what_it_has(books: Books) -> None:
    ledger = books()
    claims = ledger.claim(2)
    ledger.stop(StopRule.regret_bound)
    ledger.release(claims)
    assert [claim.number for claim in ledger.claim(9)] == [0, 1]
    assert list(ledger.claim(9)) == []
    assert ledger.remaining().unclaimed == 0


@pytest.mark.parametrize(
    ("limit", "values", "begun"),
    [
        ({"target": 0.45}, [0.1, 0.5, 0.1, 0.1, 0.1, 0.1], 2),
        ({"patience": 2}, [0.5, 0.1, 0.5, 0.1, 0.1, 0.1], 3),  # the same again is no improvement
        ({"patience": 3}, [0.1, 0.2, 0.1, 0.1, 0.1, 0.1], 5),
        ({"device_seconds": 7.5}, [0.5] * 6, 4),
        ({"seconds": 1e-9}, [0.5] * 6, 1),  # but the baseline
        ({"seconds": 1e9, "device_seconds": 1e9, "target": 2.0, "patience": 99}, [0.5] * 6, 6),
    ],
)
def test_a_limit_of_the_budget_ends_the_search(
    books: Books, limit: dict[str, float], values: list[float], begun: int
) -> None:
    ledger = books(budget={"trials": 6, **limit})
    while claims := ledger.claim(1):
        _complete(ledger, claims, [values[claims[0].number]], seconds=2.0)
    left = ledger.remaining()
    assert (left.complete, left.open, left.unclaimed) == (begun, 0, 0)


def test_trials_are_ranked_by_value_and_the_baseline_apart(books: Books) -> None:
    ledger = books()
    claims = ledger.claim(6)
    _propose(ledger, claims[:2], is_baseline=True)
    _propose(ledger, claims[2:])
    _complete(ledger, claims[:4], [0.1, 0.2, 0.3, 0.4])
    ledger.finish([Finish(claims[4], "pruned", [0.9]), Finish(claims[5], "failed", reason=FailureReason.diverged)])
    assert [trial.number for trial in ledger.candidates()] == [3, 2]
    baseline = ledger.baseline()
    assert (baseline.number, baseline.value, baseline.is_baseline) == (1, 0.2, True)
    found = ledger.trial(ledger.candidates()[0].id)
    assert (found.family, found.activations, found.parameters) == ("tanh", TANH, {"training.rate": 0.1})
    assert found.metrics["validation_accuracy"] == 0.4


def test_without_a_complete_baseline_trial_0_stands_for_it(books: Books) -> None:
    ledger = books()
    claims = ledger.claim(2)
    ledger.finish([Finish(claims[0], "failed", reason=FailureReason.diverged)])
    assert ledger.baseline().number == 0


def test_a_search_is_closed_only_when_it_is_over(books: Books) -> None:
    ledger = books()
    claims = ledger.claim(6)
    _complete(ledger, claims[:5], [0.5] * 5)
    ledger.close(JobState.completed)
    ledger.confirm([], {})
    assert ledger.remaining().state == JobState.running
    _complete(ledger, claims[5:], [0.5])
    ledger.close(JobState.failed, "why")
    ledger.close(JobState.completed)
    assert ledger.remaining().state == JobState.failed
    assert list(ledger.claim(9)) == []


def _stopped_by(ledger: Ledger) -> str | None:
    if isinstance(ledger, MemoryLedger):
        return ledger.stopped_by
    assert isinstance(ledger, StoreLedger)
    with ledger.engine.connect() as connection:
        query = text("SELECT stopped_by FROM jobs WHERE id = :job")
        found: str | None = connection.execute(query, {"job": ledger.holder.job_id}).scalar_one()
    return found


@pytest.mark.parametrize("begun", [1, 5])
def test_a_search_with_trials_to_begin_is_not_over(books: Books, begun: int) -> None:
    ledger = books()
    _complete(ledger, ledger.claim(begun), [0.5] * begun)
    ledger.close(JobState.completed)
    ledger.confirm([], {})
    assert ledger.remaining().state == JobState.running
    assert _stopped_by(ledger) is None
    assert len(ledger.claim(9)) == 6 - begun


def test_what_ended_a_search_is_noted_once(books: Books) -> None:
    whole, short = books(), books(budget={"trials": 6, "target": 0.4})
    while claims := whole.claim(3):
        _complete(whole, claims, [0.5] * 3)
    assert _stopped_by(whole) is None
    whole.close(JobState.completed)
    assert _stopped_by(whole) == StopRule.trials
    _complete(short, short.claim(3), [0.5] * 3)
    assert list(short.claim(3)) == []
    short.close(JobState.completed)
    assert _stopped_by(short) == StopRule.target


@pytest.fixture
def confirming(books: Books) -> tuple[Ledger, Sequence[PlannedArm]]:
    """A ledger whose search is over, with a baseline, a finalist and its twin on two seeds."""
    ledger = books()
    claims = ledger.claim(6)
    _propose(ledger, claims[:1], is_baseline=True)
    _propose(ledger, claims[1:])
    _complete(ledger, claims, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    ids = [ledger.baseline().id, ledger.candidates()[0].id]
    arms = [PlannedArm(ids[0]), PlannedArm(ids[1]), PlannedArm(ids[1], twin=True)]
    ledger.confirm(arms, {0: 17, 1: 18})
    return ledger, arms


Confirming = tuple[Ledger, Sequence[PlannedArm]]


def test_a_seed_is_claimed_with_all_its_arms(confirming: Confirming) -> None:
    ledger, arms = confirming
    assert list(ledger.arms()) == list(arms)
    first, second, third = (ledger.claim_seed() for _ in range(3))
    assert [(claim.number, claim.cohort, claim.seed, claim.twin) for claim in first] == [
        (0, 0, 17, False),
        (1, 0, 17, False),
        (2, 0, 17, True),
    ]
    assert {claim.seed for claim in second} == {18}
    assert list(third) == []
    assert [claim.parameters for claim in first] == [{"training.rate": rate} for rate in (0.0, 0.4, 0.4)]
    assert [claim.activations for claim in first] == [TANH] * 3
    assert not any(claim.is_trial for claim in first)
    assert list(ledger.claim(9)) == []


def test_what_has_ended_of_a_released_seed_is_not_claimed_again(confirming: Confirming) -> None:
    ledger, _ = confirming
    first = ledger.claim_seed()
    ledger.start(first)
    assert ledger.report([Report(claim, 1, {"train_loss": 0.5}) for claim in first]).goes_on
    _complete(ledger, first[:1], [0.5])
    ledger.release(first)
    assert [(claim.number, claim.seed) for claim in ledger.claim_seed()] == [(1, 17), (2, 17)]


def test_results_come_when_all_have_ended_once(confirming: Confirming) -> None:
    ledger, _ = confirming
    claims = [*ledger.claim_seed(), *ledger.claim_seed()]
    _complete(ledger, claims[:5], [0.1, 0.2, 0.3, 0.4, 0.5])
    _complete(ledger, claims[:1], [0.9])  # it has ended
    assert ledger.results() is None
    ledger.finish([Finish(claims[5], "failed", reason=FailureReason.diverged, detail="at once")])
    found = ledger.results()
    assert found is not None
    assert [(one.arm, one.replicate, one.seed) for one in found] == [(a, r, 17 + r) for r in (0, 1) for a in (0, 1, 2)]
    assert [one.metrics.get("validation_accuracy") for one in found] == [0.1, 0.2, 0.3, 0.4, 0.5, None]
    assert (found[5].state, found[5].reason) == ("failed", FailureReason.diverged)


def test_further_seeds_are_planned_once(confirming: Confirming) -> None:
    ledger, _ = confirming
    for _ in range(2):  # two runners may come to the same judgement
        ledger.add_seeds({1: 18, 2: 19})
    seeds = []
    while claims := ledger.claim_seed():
        seeds.append([claim.seed for claim in claims])
    assert seeds == [[17] * 3, [18] * 3, [19] * 3]


def test_the_first_verdict_stands(confirming: Confirming) -> None:
    ledger, _ = confirming
    verdict = nothing_to_compare(ledger.baseline(), _prepared().objective, _prepared().request.confirmation_wanted)
    assert verdict.outcome is Outcome.no_difference
    ledger.conclude(verdict)
    ledger.conclude(verdict.model_copy(update={"winner": 5}))
    ledger.add_seeds({7: 7})
    assert ledger.remaining().state == JobState.completed
    assert ledger.results() is None
    assert list(ledger.claim_seed()) == []


def test_a_search_that_is_over_may_end_in_a_verdict_at_once_but_none_that_is_not(books: Books) -> None:
    ledger = books(budget={"trials": 1})
    verdict = nothing_to_compare(ledger.baseline(), _prepared().objective, _prepared().request.confirmation_wanted)
    ledger.conclude(verdict)
    assert ledger.remaining().state == JobState.running
    _complete(ledger, ledger.claim(1), [0.5])
    ledger.conclude(verdict)
    assert ledger.remaining().state == JobState.completed
