"""Both clients against the real API on a real database; no worker runs."""

from __future__ import annotations

import asyncio
import io
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import uuid4

import pandas as pd
import pytest
from rich.console import Console
from sqlalchemy import Engine, insert, select
from uuid_utils.compat import uuid7

import actsearch
from actsearch import (
    AsyncClient,
    Client,
    ConflictError,
    InvalidRequestError,
    JobRequest,
    NoResult,
    NotFoundError,
    Range,
    ServerUnreachable,
    WaitTimeout,
)
from actsearch.client.display import progress_display
from actsearch.schemas import Event, JobSummary
from actsearch.store.models import JobRow, TrialRow

SMALL = {"task": "digits", "families": ["relu", "gelu"], "trials": 3}


class Awaited:
    """An asynchronous object used as if it were blocking: the same tests drive both clients."""

    def __init__(self, target: Any, runner: asyncio.Runner) -> None:
        self._target, self._runner = target, runner

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._target, name)
        return self._call(member) if callable(member) else member

    def _call(self, member: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            result = member(*args, **kwargs)
            if isinstance(result, AsyncIterator):
                return self._items(result)
            return self._wrap(self._runner.run(result) if asyncio.iscoroutine(result) else result)

        return call

    def _items(self, source: Any) -> Iterator[Any]:
        while True:
            try:
                yield self._wrap(self._runner.run(anext(source)))
            except StopAsyncIteration:
                return

    def _wrap(self, result: Any) -> Any:
        return Awaited(result, self._runner) if isinstance(result, actsearch.AsyncJobHandle) else result


@pytest.fixture(params=["blocking", "asynchronous"])
def client(request: pytest.FixtureRequest, api_url: str) -> Iterator[Any]:
    """Either client."""
    if request.param == "blocking":
        with Client(api_url) as blocking:
            yield blocking
        return
    with asyncio.Runner() as runner:
        connected = AsyncClient(api_url)
        yield Awaited(connected, runner)
        runner.run(connected.close())


@pytest.mark.parametrize(
    "given",
    [
        {"request": JobRequest(task="digits", space={"families": ["relu"]})},
        {"request": {"task": "digits", "space": {"families": ["relu"]}}},
        {"task": "digits", "families": ["relu"]},
    ],
    ids=["JobRequest", "document", "keywords"],
)
def test_a_search_is_submitted_and_found_again(client: Any, given: dict[str, Any]) -> None:
    job = client.submit(**given)

    assert (job.state, job.snapshot.workers_online) == ("queued", 0)
    assert job.snapshot.request == JobRequest(task="digits", space={"families": ["relu"]})
    assert client.job(job.id).id == client.job(str(job.id)).id == job.id
    assert [found.id for found in client.jobs()] == [job.id]
    assert job.refresh() == job.snapshot


def test_a_searched_learning_rate_in_keywords(client: Any) -> None:
    job = client.submit(**SMALL, learning_rate=(1e-4, 1e-1), epochs=2)
    assert job.snapshot.request.space.training == {"learning_rate": Range(low=1e-4, high=1e-1, log=True)}
    assert job.snapshot.request.training.epochs == 2


@pytest.mark.parametrize(
    ("wrong", "field", "hint"),
    [
        ({"families": ["relu", "relo"]}, "space.families.1", "relu"),
        ({"task": "digit"}, "task", "digits"),
        ({"trials": -1}, "budget.trials", "greater"),
        ({"sampler": "gird"}, "sampler", "tpe"),
        ({"learning_rate": float("nan")}, "training.learning_rate", "finite"),
        ({"colour": "red"}, "colour", ""),
    ],
)
def test_a_wrong_request_names_the_field_and_creates_nothing(
    client: Any, wrong: dict[str, Any], field: str, hint: str
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        client.submit(**(SMALL | wrong))

    assert any(error.field.startswith(field) for error in caught.value.errors), caught.value
    assert hint in str(caught.value)
    assert list(client.jobs()) == []


def test_what_is_not_there(client: Any) -> None:
    with pytest.raises(NotFoundError):
        client.job(uuid4())
    with pytest.raises(NotFoundError):
        client.trial(uuid4())


def test_jobs_are_steered(client: Any) -> None:
    job = client.submit(task="digits", trials=4)
    assert job.pause().state == job.state == "paused"
    with pytest.raises(ConflictError, match="it can be cancelled or resumed"):
        job.pause()
    assert job.resume().state == "queued"
    assert job.extend(3).progress.budget == 7
    changed = job.change(name="mine", priority=2, trials=5)
    assert (changed.name, changed.request.priority, changed.progress.budget) == ("mine", 2, 5)
    assert job.change(name=None).name is None
    told = list(job.events())
    assert [event.id for event in told] == sorted(event.id for event in told)
    assert [event.data.get("state") for event in told][:3] == ["queued", "paused", "queued"]
    assert [event.data for event in told][3:] == [
        {"trials": 7}, {"name": "mine", "priority": 2, "trials": 5}, {"name": None}
    ]  # fmt: skip
    with pytest.raises(InvalidRequestError, match="at least one of name, labels, priority"):
        job.change()
    with pytest.raises(InvalidRequestError, match=r"budget\.trials"):
        job.change(trials=0)


def test_a_job_is_followed_to_its_end(client: Any) -> None:
    job = client.submit(**SMALL)
    told = job.follow()
    first = next(told)
    assert first.data == {"state": "queued"}
    assert next(told).progress.finished == 0
    job.pause()
    job.resume()
    job.cancel()
    rest = list(told)
    assert [item.data["state"] for item in rest if isinstance(item, Event)] == ["paused", "queued", "cancelled"]
    assert [item.state for item in rest if isinstance(item, JobSummary)][-1] == "cancelled"
    assert [item.data["state"] for item in job.follow() if isinstance(item, Event)][-1] == "cancelled"


def test_a_stream_that_breaks_off_is_gone_on_with(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actsearch_api.live.LONGEST", 0.2)
    job = client.submit(**SMALL)
    told = job.follow()
    heard = [next(told)]
    for how in (job.pause, job.resume, job.cancel):
        time.sleep(1)
        how()
    heard += list(told)
    states = [item.data["state"] for item in heard if isinstance(item, Event)]
    assert states == ["queued", "paused", "queued", "cancelled"]


def test_a_quiet_job_is_followed_for_longer_than_silence(
    client: Any, api_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("asynchronous", "blocking"):
        monkeypatch.setattr(f"actsearch.client.{module}.SILENCE", 0.5)  # shorter than the service's heart beats
    job = client.submit(**SMALL)
    told = job.follow()
    heard = [next(told), next(told)]
    with Client(api_url) as other:
        canceller = threading.Timer(4, other.job(job.id).cancel)
        canceller.start()
        heard += list(told)
        canceller.join()
    assert [item.data["state"] for item in heard if isinstance(item, Event)] == ["queued", "cancelled"]


def test_jobs_and_trials_are_found_by_what_they_are(client: Any) -> None:
    first = client.submit(**SMALL, labels=["ablation"], name="One of two")
    second = client.submit(task="wine", trials=5)
    assert [job.id for job in client.jobs(filter='"ablation" in labels and "of two" in name')] == [first.id]
    assert [job.id for job in client.jobs(filter="trials > 1", sort="-trials")] == [second.id, first.id]
    assert [trial.job_id for trial in client.trials()] == [second.id, first.id]
    assert [trial.job_id for trial in client.trials('job.task == "wine"', sort="number")] == [second.id]
    assert [trial.number for trial in first.trials(filter='is_baseline and state == "waiting"')] == [0]
    assert first.change(labels=["kept", "found"]).labels == ["kept", "found"]
    with pytest.raises(InvalidRequestError, match="did you mean state"):
        list(client.trials("stat == 'failed'"))


def test_cancelling_twice_is_a_conflict(client: Any) -> None:
    job = client.submit(**SMALL)
    assert job.cancel().state == job.state == "cancelled"
    with pytest.raises(ConflictError, match="cancelled"):
        job.cancel()


def test_waiting_ends_with_the_job_or_with_the_time(client: Any) -> None:
    job = client.submit(**SMALL)
    begin = time.monotonic()
    with pytest.raises(WaitTimeout, match="still queued, with 0 of 3"):
        job.wait(timeout=0.2, poll=0.05)
    assert time.monotonic() - begin >= 0.2
    with pytest.raises(TimeoutError):
        job.wait(timeout=0.0)

    job.cancel()

    assert job.wait(timeout=10).state == "cancelled"
    assert job.wait().state == "cancelled"


def test_watching_says_that_nobody_works_on_it(client: Any, capsys: pytest.CaptureFixture[str]) -> None:
    job = client.submit(**SMALL, name="mine")
    with pytest.raises(WaitTimeout):
        job.watch(timeout=0.1, poll=0.05)
    assert "mine: queued, 0/3 trials" in (out := capsys.readouterr().out)
    assert "no worker online" in out
    job.cancel()
    assert job.watch().state == "cancelled"
    assert "cancelled" in capsys.readouterr().out


def test_there_is_no_best_before_there_is_a_result(client: Any) -> None:
    job = client.submit(**SMALL)
    with pytest.raises(NoResult, match="0 of 3"):
        job.best()
    assert job.ranking().entries == job.ranking("family").entries == []


def test_lists_are_read_page_after_page(client: Any, engine: Engine) -> None:
    jobs = [client.submit(task="digits", families=["relu"], name=str(number)) for number in range(105)]
    jobs[3].cancel()

    assert [job.id for job in client.jobs()] == [job.id for job in reversed(jobs)]
    assert [job.id for job in client.jobs("cancelled")] == [jobs[3].id]
    [found] = client.jobs("cancelled", fields=["request"])
    assert (found.request, found.verdict, found.task) == (jobs[3].snapshot.request, None, "digits")

    _finish_trials(engine, jobs[0].id, 250)
    trials = list(jobs[0].trials())
    assert [trial.number for trial in trials] == list(range(251))
    assert [trial.number for trial in jobs[0].trials(sort="-value")] == list(range(250, 0, -1))
    assert {trial.number for trial in jobs[0].trials(family="gelu")} == set(range(2, 251, 2))
    assert [trial.number for trial in jobs[0].trials(state="waiting")] == [0]


def test_results_are_ranked_and_tabulated(client: Any, engine: Engine) -> None:
    job = client.submit(**SMALL)
    _finish_trials(engine, job.id, 4)

    assert [entry.trial.number for entry in job.ranking(limit=3).entries] == [4, 3, 2]
    assert [entry.family for entry in job.ranking("family").entries] == ["gelu", "relu"]
    assert job.best().number == 4
    assert client.trial(job.best().id) == job.best()
    frame = job.to_pandas()
    assert list(frame.index) == [0, 1, 2, 3, 4]
    assert frame.loc[4, "value"] == 0.4
    assert frame.loc[4, "metrics.train_loss"] == 1.5
    assert frame.loc[4, "activations.network.family"] == "gelu"
    assert pd.isna(frame.loc[0, "value"])


def test_the_catalogue_can_be_read(client: Any) -> None:
    assert {"relu", "gelu"} <= {family.name for family in client.activations()}
    leaky = client.activation("leaky_relu", slope=0.25, low=-1, high=1, points=3)
    assert (leaky.curve.value, leaky.activation.parameters) == ([-0.25, 0, 1], {"slope": 0.25})
    assert client.activation("expression", expression="x + a", a=-2, points=3).curve.value == [-7, -2, 3]
    with pytest.raises(NotFoundError, match="reluu"):
        client.activation("reluu")
    with pytest.raises(InvalidRequestError, match="slope"):
        client.activation("leaky_relu", slope=7)
    assert "mlp" in {architecture.name for architecture in client.architectures()}
    assert "digits" in {task.name for task in client.tasks()}
    assert client.task("wine", {"split_seed": 3}).input_shape == [13]
    assert client.workers() == []


def test_a_terminal_gets_bars(api_url: str) -> None:
    with Client(api_url) as client:
        job = client.submit(**SMALL, name="mine").refresh()
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=True, width=200)
    with progress_display(console) as display:
        display.update([job])
        display.update([job])
    assert "mine" in shown.getvalue()
    assert "0/3" in shown.getvalue()


def test_nobody_at_the_address() -> None:
    with Client("http://127.0.0.1:9", retries=0) as client, pytest.raises(ServerUnreachable, match="actsearch up"):
        client.workers()


@pytest.mark.parametrize("url", ["127.0.0.1:8800", "ftp://x", "http://", "localhost"])
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(actsearch.ClientError, match="http://host:port"):
        Client(url)


def _finish_trials(engine: Engine, job_id: Any, count: int) -> None:
    """Give the job `count` complete trials, of relu and gelu in turn, each better than the one before."""
    with engine.begin() as connection:
        study = connection.execute(select(JobRow.study_id).where(JobRow.id == job_id)).scalar_one()
        rows = [
            {
                "uid": uuid7(),
                "study_id": study,
                "number": number,
                "state": "complete",
                "values": [number / 10],
                "value": number / 10,
                "family": (family := ["gelu", "relu"][number % 2]),
                "activations": {"network": {"family": family, "parameters": {}, "learned": None}},
                "metrics": {"train_loss": 1.5},
            }
            for number in range(1, count + 1)
        ]
        connection.execute(insert(TrialRow), rows)
