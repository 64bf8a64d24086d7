"""Our storage beyond Optuna's conformance suite: batches, caches, what survives the round trip."""

from __future__ import annotations

import json
import math
import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import optuna
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import BaseStorage, InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Engine, event, text

from actsearch.store import OptunaStorage

DISTRIBUTIONS = {
    "z": FloatDistribution(1e-3, 1e300, log=True),
    "a": IntDistribution(-5, 5),
    "m": CategoricalDistribution(("relu", "NaN", None, True, 2, math.inf)),
}


@pytest.fixture
def study(engine: Engine) -> optuna.Study:
    """An empty study on a storage of ours."""
    return optuna.create_study(storage=OptunaStorage(engine), sampler=optuna.samplers.RandomSampler(0))


def _as_seen_by_others(study: optuna.Study, engine: Engine) -> list[FrozenTrial]:
    return optuna.load_study(study_name=study.study_name, storage=OptunaStorage(engine)).trials


# --- the same as Optuna's own in-memory storage ---------------------------------------------------

_values = st.floats().map(lambda value: value + 0.0)  # JSONB's zero has no sign
_text = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=9)
_marks = st.sampled_from(["NaN", "-Infinity", "\\NaN"])
_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | _values | _text | _marks,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=2),
    max_leaves=5,
)
_steps = st.one_of(
    st.tuples(st.just("param"), st.sampled_from(sorted(DISTRIBUTIONS)), st.randoms(use_true_random=False)),
    st.tuples(st.just("report"), st.integers(0, 9), _values),
    st.tuples(st.just("user"), st.sampled_from("ab"), _json),
    st.tuples(st.just("system"), st.sampled_from("ab"), _json),
)


def _internal(name: str, random: Any) -> float:
    distribution = DISTRIBUTIONS[name]
    if isinstance(distribution, CategoricalDistribution):
        return float(random.randrange(len(distribution.choices)))
    if isinstance(distribution, IntDistribution):
        return float(random.randint(distribution.low, distribution.high))
    return float(math.exp(random.uniform(math.log(distribution.low), math.log(distribution.high))))


def _apply(storage: BaseStorage, trial_id: int, kind: str, key: Any, value: Any) -> None:
    if kind == "param":
        storage.set_trial_param(trial_id, key, value, DISTRIBUTIONS[key])
    elif kind == "report":
        storage.set_trial_intermediate_value(trial_id, key, value)
    elif kind == "user":
        storage.set_trial_user_attr(trial_id, key, value)
    else:
        storage.set_trial_system_attr(trial_id, key, value)


def _seen(trial: FrozenTrial) -> str:
    """A trial, comparable although NaN differs from itself; the order of parameters counts."""
    parts = (trial.number, trial.state, trial.values, list(trial.params.items()), list(trial.distributions.items()))
    attributes = json.dumps([trial.user_attrs, trial.system_attrs], sort_keys=True)
    return repr((*parts, sorted(trial.intermediate_values.items()), attributes))


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    steps=st.lists(st.tuples(st.integers(0, 2), _steps), max_size=25),
    batched=st.booleans(),
    state=st.sampled_from([TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL]),
)
def test_whatever_is_written_is_read_back_as_from_memory(
    engine: Engine, steps: list[Any], batched: bool, state: TrialState
) -> None:
    ours, memory = OptunaStorage(engine), InMemoryStorage()
    studies = [storage.create_new_study([StudyDirection.MINIMIZE]) for storage in (ours, memory)]
    ids = [[s.create_new_trial(study) for _ in range(3)] for s, study in zip((ours, memory), studies, strict=True)]
    written = [(place, kind, key, _internal(key, v) if kind == "param" else v) for place, (kind, key, v) in steps]
    for place, kind, key, value in written:
        _apply(memory, ids[1][place], kind, key, value)
    if batched:
        with ours.batch(dict.fromkeys(ids[0][:2], 1)):
            for place, kind, key, value in written:
                _apply(ours, ids[0][place], kind, key, value)
            inside = [_seen(trial) for trial in ours.get_all_trials(studies[0])]
            assert inside == [_seen(trial) for trial in memory.get_all_trials(studies[1])]
    else:
        for place, kind, key, value in written:
            _apply(ours, ids[0][place], kind, key, value)
    for storage, own in zip((ours, memory), ids, strict=True):
        storage.set_trial_state_values(own[0], state, None if state == TrialState.FAIL else [math.inf])

    expected = [_seen(trial) for trial in memory.get_all_trials(studies[1])]
    assert [_seen(trial) for trial in ours.get_all_trials(studies[0])] == expected
    assert [_seen(trial) for trial in OptunaStorage(engine).get_all_trials(studies[0])] == expected
    assert [_seen(ours.get_trial(trial_id)) for trial_id in ids[0]] == expected


# --- batches --------------------------------------------------------------------------------------


def test_a_batch_is_seen_by_others_when_it_ends_and_costs_one_write(study: optuna.Study, engine: Engine) -> None:
    trials = [study.ask() for _ in range(8)]
    statements: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda _c, _cur, statement, *_: statements.append(statement))
    storage = study._storage
    assert isinstance(storage, OptunaStorage)
    with storage.batch({trial._trial_id: 1 for trial in trials}):
        for trial in trials:
            trial.suggest_float("x", 0, 1)
            trial.report(0.5, 1)
        assert all(trial.params for trial in study.trials)
        inside = len(statements)
        assert not any(trial.params for trial in _as_seen_by_others(study, engine))
    assert sum(s.split()[0] == "UPDATE" for s in statements) == 1
    assert inside <= 3  # the batch's own trials, and once everything else of the study
    assert [t.params for t in _as_seen_by_others(study, engine)] == [t.params for t in trials]


def test_a_batch_that_raises_writes_nothing(study: optuna.Study, engine: Engine) -> None:
    trial = study.ask()
    storage = study._storage
    assert isinstance(storage, OptunaStorage)
    with pytest.raises(TypeError, match="int"), storage.batch():
        trial.suggest_categorical("x", ["fine"]) and trial.report(0.5, step="wrong")  # type: ignore[arg-type]
    assert _as_seen_by_others(study, engine)[0].params == {}
    assert storage.get_trial(trial._trial_id).params == {}
    with storage.batch(), pytest.raises(RuntimeError, match="already open"), storage.batch():
        pass


def test_what_was_read_in_a_batch_stays_as_it_was(study: optuna.Study) -> None:
    """Successive halving reads the study, notes the trial's own value, and then counts that beside the others."""
    trial, storage = study.ask(), study._storage
    with storage.batch():  # type: ignore[attr-defined]
        before = storage.get_all_trials(study._study_id, deepcopy=False)
        storage.set_trial_system_attr(trial._trial_id, "completed_rung_0", 0.5)
        storage.set_trial_intermediate_value(trial._trial_id, 1, 0.5)
        storage.set_trial_user_attr(trial._trial_id, "a", 1)
        trial.suggest_float("x", 0, 1)
        after = storage.get_all_trials(study._study_id, deepcopy=False)
    seen = [(t.system_attrs, t.intermediate_values, t.user_attrs, list(t.params)) for t in (before[-1], after[-1])]
    assert seen[0] == ({}, {}, {}, [])
    assert seen[1] == ({"completed_rung_0": 0.5}, {1: 0.5}, {"a": 1}, ["x"])


def test_a_batch_cannot_change_a_finished_trial(study: optuna.Study, engine: Engine) -> None:
    trial = study.ask()
    storage = study._storage
    assert isinstance(storage, OptunaStorage)
    with storage.batch({trial._trial_id: 1}):
        trial.report(0.5, 1)
        OptunaStorage(engine).set_trial_state_values(trial._trial_id, TrialState.COMPLETE, [1.0])
    assert storage.get_trial(trial._trial_id).intermediate_values == {}
    with pytest.raises(optuna.exceptions.UpdateFinishedTrialError), storage.batch():
        storage.set_trial_intermediate_value(trial._trial_id, 2, 0.5)


def test_a_batch_leaves_a_claim_alone_that_has_gone_to_another_runner(study: optuna.Study, engine: Engine) -> None:
    gone, leaves, stays = [study.ask() for _ in range(3)]
    taken = text("UPDATE trials SET attempt = 2 WHERE id = :id")
    storage = study._storage
    assert isinstance(storage, OptunaStorage)
    with engine.begin() as connection:
        connection.execute(taken, {"id": gone._trial_id})
    with storage.batch({trial._trial_id: 1 for trial in (gone, leaves, stays)}) as ours:
        assert ours == {leaves._trial_id, stays._trial_id}
        with engine.begin() as connection:
            connection.execute(taken, {"id": leaves._trial_id})
        for trial in (leaves, stays):
            trial.report(0.5, 1)
    assert [trial.intermediate_values for trial in _as_seen_by_others(study, engine)] == [{}, {}, {1: 0.5}]


# --- what a process knows -------------------------------------------------------------------------


def test_finished_trials_are_read_once(study: optuna.Study, engine: Engine) -> None:
    for _ in range(5):
        study.tell(study.ask(), 1.0)
    open_trial = study.ask()
    storage = OptunaStorage(engine)
    study_id = storage.get_study_id_from_name(study.study_name)
    assert len(storage.get_all_trials(study_id)) == 6
    rows: list[int] = []
    event.listen(engine, "after_cursor_execute", lambda _c, cursor, *_: rows.append(cursor.rowcount))

    assert len(storage.get_all_trials(study_id)) == 6
    study.tell(open_trial, 2.0)
    assert storage.get_all_trials(study_id)[5].value == 2.0
    rows.clear()
    assert len(storage.get_all_trials(study_id)) == 6
    assert rows == [0]


def test_what_is_returned_may_be_changed_without_harm(study: optuna.Study) -> None:
    trial = study.ask()
    trial.suggest_float("x", 0, 1)
    trial.set_user_attr("a", {"nested": [1]})
    study.tell(trial, 1.0)
    for read in (lambda: study.trials[0], lambda: study._storage.get_trial(trial._trial_id)):
        taken = read()
        taken.params.clear()
        taken.distributions.clear()
        taken.user_attrs["a"]["nested"].append(2)
        taken.intermediate_values[7] = 7.0
        assert read().params == trial.params
        assert read().user_attrs == {"a": {"nested": [1]}}
        assert read().intermediate_values == {}


def test_threads_may_share_a_storage(study: optuna.Study, engine: Engine) -> None:
    def work(_: int) -> list[int]:
        for _ in range(5):
            trial = study.ask()
            trial.suggest_float("x", 0, 1)
            study.tell(trial, 1.0)
        return [trial.number for trial in study.get_trials(deepcopy=False)]

    with ThreadPoolExecutor(6) as pool:
        for seen in pool.map(work, range(6)):
            assert seen == list(range(len(seen)))
    assert [trial.number for trial in study.trials] == list(range(30))


def test_trials_are_added_in_bulk_as_they_are(study: optuna.Study, engine: Engine) -> None:
    for _ in range(3):
        trial = study.ask()
        trial.suggest_categorical("m", ["a", "b"])
        trial.report(0.5, 3)
        study.tell(trial, 1.0)
    storage = OptunaStorage(engine)
    copy = storage.create_new_study([StudyDirection.MINIMIZE])

    ids = storage.add_trials(copy, study.trials)

    for given_trial, trial_id, number in zip(study.trials, ids, range(3), strict=True):
        added = storage.get_trial(trial_id)
        given_trial._trial_id = trial_id
        assert added == given_trial
        assert added.number == number
    with pytest.raises(KeyError):
        storage.add_trials(copy + 1, study.trials)


def test_a_storage_can_be_sent_to_another_process(study: optuna.Study) -> None:
    study.tell(study.ask(), 1.0)
    twin = pickle.loads(pickle.dumps(study._storage))
    assert twin.get_all_trials(study._study_id) == study.trials


def test_a_finished_trial_is_flushed_and_a_report_is_not(study: optuna.Study, engine: Engine) -> None:
    """Durability: only what a running trial reports may wait for the disk."""
    settings_at_commit: list[tuple[str, str]] = []

    @event.listens_for(engine, "after_cursor_execute")
    def _look(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if statement.lstrip().startswith(("UPDATE", "WITH", "INSERT")):
            relaxed = "set_config('synchronous_commit', 'off', true)" in statement
            settings_at_commit.append((statement.split()[1], "off" if relaxed else "on"))

    trial = study.ask()
    trial.report(0.5, 1)
    study.tell(trial, 1.0)
    assert [flushed for _, flushed in settings_at_commit] == ["on", "off", "on"]
    with engine.connect() as connection:  # and the setting does not outlive its statement
        assert connection.execute(text("SHOW synchronous_commit")).scalar() == "on"
