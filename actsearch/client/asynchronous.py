"""The asynchronous client. It is the source of both: `scripts/generate_blocking_client.py` derives the other."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, Unpack, overload
from uuid import UUID

import httpx
from httpx_sse import EventSource

from actsearch.client import calls
from actsearch.client.calls import Answer, Call
from actsearch.client.display import progress_display
from actsearch.client.errors import NoAnswer, ServerError, refusal
from actsearch.client.exchange import Flow, Pause, Reply, Result, Send, exchange
from actsearch.client.frames import trial_frame
from actsearch.client.job import SeenJob, best_of, verdict_of
from actsearch.client.service import http_options, service_at
from actsearch.client.shorthand import Changes, Shorthand, changes_document, to_document
from actsearch.client.streams import SILENCE, ask_for_stream, breath, told
from actsearch.client.waiting import follow
from actsearch.schemas import (
    ActivationInfo,
    ActivationRanking,
    ArchitectureInfo,
    Chart,
    Evaluation,
    Event,
    FamilyInfo,
    FamilyRanking,
    Importances,
    Job,
    JobField,
    JobRequest,
    JobSummary,
    Leaderboard,
    Page,
    ParetoFront,
    TaskInfo,
    TaskValue,
    Trial,
    TrialRanking,
    Verdict,
    WorkerInfo,
)

if TYPE_CHECKING:
    import pandas as pd

Item = TypeVar("Item")


class AsyncClient:
    """A connection to the service, for asyncio.

    Args:
        url: of the API; None for `ACTSEARCH_URL`, by default the service of `actsearch up` on this machine.
        api_key: of the service, where it asks for one; None for `ACTSEARCH_API_KEY`, empty for none.
        timeout: seconds to wait for an answer.
        retries: further attempts after one that failed for a passing reason (no connection, overload).
        transport: what carries requests, as httpx takes it; None for the network.

    Example:
        >>> async with AsyncClient() as client:  # doctest: +SKIP
        ...     job = await client.submit(task="digits", families=["relu", "gelu"], trials=20)
        ...     await job.watch()
        ...     print(await job.best())
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        api_key: str | None = None,
        timeout: float = 30.0,
        retries: int = 3,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.service = service_at(url, retries, api_key)
        self._http = httpx.AsyncClient(transport=transport, **http_options(self.service, timeout))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def submit(
        self, request: JobRequest | Mapping[str, Any] | None = None, **keywords: Unpack[Shorthand]
    ) -> AsyncJobHandle:
        """Submit a search.

        Args:
            request: the whole request, as `JobRequest` or as the document of `POST /v1/jobs`.
            keywords: instead of it or over it: `task="digits", families=["relu"], trials=50`; see `Shorthand`.

        Raises:
            InvalidRequestError: the request cannot be carried out; names every offending field.
        """
        return AsyncJobHandle(self, await self.ask(calls.submit_job(to_document(request, keywords))))

    async def job(self, job_id: UUID | str) -> AsyncJobHandle:
        """The job with this id.

        Raises:
            NotFoundError: there is none.
        """
        return AsyncJobHandle(self, await self.ask(calls.get_job(job_id)))

    def jobs(
        self,
        state: str | None = None,
        fields: Sequence[JobField] = (),
        *,
        mine: bool = False,
        filter: str | None = None,  # noqa: A002 - as the service calls it
        sort: str | None = None,
    ) -> AsyncIterator[JobSummary]:
        """Jobs in short, the newest first unless `sort` says otherwise; fetched page by page as they are consumed.

        Args:
            state: `queued`, `running`, ...; None for all.
            fields: what each is to have beside: `request`, `verdict`, `notes`. `job(id)` has all of it.
            mine: only jobs submitted with an API key of the same name; without a key, only jobs without an owner.
            filter: only jobs for which this holds: `task == "digits" and "ablation" in labels`; see docs/filters.md.
            sort: a field, `-` before it for descending: `-value`; then only jobs that have it.

        Raises:
            InvalidRequestError: the filter or what it sorts by cannot be used; raised when the first is asked for.
        """
        return self.items(calls.list_jobs(state, fields, mine=mine, filter=filter, sort=sort))

    def trials(self, filter: str | None = None, *, sort: str | None = None) -> AsyncIterator[Trial]:  # noqa: A002 - as the service calls it
        """Trials of all jobs, without their curves, the newest first; fetched page by page as they are consumed.

        Args:
            filter: only those for which this holds: `job.task == "digits" and value > 0.97`; see docs/filters.md.
            sort: a field, `-` before it for descending: `-metrics.validation_accuracy`.

        Raises:
            InvalidRequestError: as for `jobs`.
        """
        return self.items(calls.search_trials(filter, sort))

    async def leaderboard(self, architecture: str, task: str, limit: int = 100) -> Leaderboard:
        """Families by what they gained over the baseline in all jobs of an architecture and a task, verdicts first."""
        return await self.ask(calls.get_leaderboard(architecture, task, limit))

    async def trial(self, trial_id: UUID | str) -> Trial:
        """One trial, with its learning curve.

        Raises:
            NotFoundError: there is none.
        """
        return await self.ask(calls.get_trial(trial_id))

    async def activations(self) -> list[FamilyInfo]:
        """The families that can be searched."""
        return [item async for item in self.items(calls.list_activations())]

    async def activation(
        self,
        name: str,
        *,
        expression: str | None = None,
        learned: Literal["fixed", "scalar", "channel"] | None = None,
        low: float = -5.0,
        high: float = 5.0,
        points: int = 201,
        **parameters: float,
    ) -> ActivationInfo:
        """A family, and its activation with these parameters: gain, PyTorch code, curve of value and derivative.

        Args:
            name: of the family; `expression` for a function written out in `expression`.
            learned: which parameters the PyTorch code trains; None for the family's habit.
            low, high, points: where the curve is sampled.
            parameters: those that are not to have their default.

        Raises:
            NotFoundError: for an unknown family.
            InvalidRequestError: for an unknown parameter or a value out of range.
        """
        call = calls.get_activation(
            name, parameters, expression=expression, learned=learned, low=low, high=high, points=points
        )
        return await self.ask(call)

    async def architectures(self) -> list[ArchitectureInfo]:
        """The architectures that can be trained."""
        return [item async for item in self.items(calls.list_architectures())]

    async def tasks(self) -> list[TaskInfo]:
        """The tasks that can be trained on."""
        return [item async for item in self.items(calls.list_tasks())]

    async def task(self, name: str, parameters: Mapping[str, TaskValue] | None = None) -> TaskInfo:
        """A task: shapes, sizes and, for own data (`data:<path>`), what was guessed when they were read.

        Args:
            name: of the task.
            parameters: of the task; its defaults fill in the rest.
        """
        return await self.ask(calls.get_task(name, parameters or {}))

    async def workers(self) -> list[WorkerInfo]:
        """The workers the service knows."""
        return [item async for item in self.items(calls.list_workers())]

    async def ask(self, call: Call[Answer]) -> Answer:
        """Carry out one call of `actsearch.client.calls`."""
        return await self.run(exchange(self.service, call))

    async def items(self, call: Call[Page[Item]]) -> AsyncIterator[Item]:
        """The items of a list, page after page."""
        while True:
            page = await self.ask(call)
            for item in page.items:
                yield item
            if page.next_cursor is None:
                return
            call = calls.after(call, page.next_cursor)

    async def run(self, flow: Flow[Result]) -> Result:
        """Do what the flow needs done; returns its result."""
        reply: Reply = None
        while True:
            try:
                step = flow.send(reply)
            except StopIteration as end:
                result: Result = end.value
                return result
            reply = await self._perform(step)

    def streamed(self, request: httpx.Request) -> AbstractAsyncContextManager[httpx.Response]:
        """An answer that is read as it comes."""
        patience = httpx.Timeout(SILENCE, connect=5.0)
        return self._http.stream(request.method, request.url, headers=request.headers, timeout=patience)

    async def _perform(self, step: Send | Pause) -> Reply:
        if isinstance(step, Pause):
            await asyncio.sleep(step.seconds)
            return None
        try:
            return await self._http.send(step.request)
        except httpx.TransportError as error:
            return error


class AsyncJobHandle(SeenJob):
    """A job on the service, for asyncio: follow it, cancel it, read its results."""

    def __init__(self, client: AsyncClient, snapshot: Job) -> None:
        super().__init__(snapshot)
        self._client = client

    async def refresh(self) -> Job:
        """The job as it is now."""
        self.snapshot = await self._client.ask(calls.get_job(self.id))
        return self.snapshot

    async def wait(self, timeout: float | None = None, poll: float = 0.5) -> Job:  # noqa: ASYNC109 - as the other client
        """Wait until the job has come to an end, whichever; returns it.

        Args:
            timeout: seconds; None for no limit.
            poll: seconds between two questions.

        Raises:
            WaitTimeout: the time is over; the job goes on.
        """
        [self.snapshot] = await self._client.run(follow(self._client.service, [self.id], poll, timeout))
        return self.snapshot

    async def watch(self, timeout: float | None = None, poll: float = 0.5) -> Job:  # noqa: ASYNC109 - as above
        """`wait` with a live display on standard output; takes and raises what `wait` does."""
        with progress_display() as display:
            [self.snapshot] = await self._client.run(follow(self._client.service, [self.id], poll, timeout, display))
        return self.snapshot

    async def follow(self) -> AsyncIterator[Event | JobSummary]:
        """The job as it changes, until it is over: what happened from its beginning on, and the job in short.

        The service tells it as it happens, each event once and in order; a connection that breaks is made anew.

        Raises:
            NoAnswer: the service has not said anything for a minute.
            ClientError: it refuses.
        """
        service, last, silent_since = self._client.service, None, time.monotonic()
        while True:
            request = ask_for_stream(service, self.snapshot, last)
            try:
                async with self._client.streamed(request) as answer:
                    if answer.status_code == 204:
                        return
                    if answer.is_error:
                        await answer.aread()
                        raise refusal(answer)
                    silent_since = float("inf")
                    async for message in EventSource(answer).aiter_sse():
                        if message.event == "end":
                            return
                        item = told(service, message)
                        last = item.id if isinstance(item, Event) else last
                        if item is not None:
                            yield item
            except (httpx.TransportError, ServerError) as error:
                silent_since = min(silent_since, time.monotonic())
                if time.monotonic() - silent_since > SILENCE:
                    raise NoAnswer(service.url, str(error)) from error
            await self._client.run(breath())

    async def cancel(self) -> Job:
        """Stop the job for good; running trials end at their next rung.

        Raises:
            ConflictError: it is over already.
        """
        self.snapshot = await self._client.ask(calls.cancel_job(self.id))
        return self.snapshot

    async def pause(self) -> Job:
        """Begin nothing more; what trains goes back to the budget at its next rung.

        Raises:
            ConflictError: it is over, or paused already.
        """
        self.snapshot = await self._client.ask(calls.pause_job(self.id))
        return self.snapshot

    async def resume(self) -> Job:
        """Go on where `pause` stopped the job.

        Raises:
            ConflictError: it is not paused.
        """
        self.snapshot = await self._client.ask(calls.resume_job(self.id))
        return self.snapshot

    async def change(self, **changes: Unpack[Changes]) -> Job:
        """Change name, priority, parallelism or the number of trials; what is not given stays as it is.

        Raises:
            ConflictError: its state does not allow it.
            InvalidRequestError: fewer trials than were begun, or a search that another limit has ended.
        """
        self.snapshot = await self._client.ask(calls.change_job(self.id, changes_document(changes)))
        return self.snapshot

    async def extend(self, trials: int) -> Job:
        """Let the search go on, from what it knows, for so many trials more; a verdict is then given anew.

        Raises:
            ConflictError, InvalidRequestError: see `change`.
        """
        job = await self.refresh()
        return await self.change(trials=job.progress.budget + trials)

    def trials(
        self,
        *,
        state: str | None = None,
        family: str | None = None,
        filter: str | None = None,  # noqa: A002 - as the service calls it
        sort: str = "number",
    ) -> AsyncIterator[Trial]:
        """The job's trials, without their curves; fetched page by page as they are consumed.

        Args:
            state: only those in this state (`complete`, `pruned`, `failed`, `running`, `waiting`).
            family: only those of this family.
            filter: only those for which this holds: `metrics.train_loss < 0.1 and params.slope > 0.2`; see
                docs/filters.md.
            sort: `number`, `value` or another field, `-` for descending; then only those that have it.
        """
        return self._client.items(calls.list_trials(self.id, state=state, family=family, filter=filter, sort=sort))

    async def verdict(self) -> Verdict:
        """What confirmation found, asked for anew: which activation to use, and how sure that is.

        Raises:
            NoResult: the job asks for no confirmation, or is not completed.
        """
        return verdict_of(await self.refresh())

    def evaluations(self) -> AsyncIterator[Evaluation]:
        """The networks of confirmation, by seed; fetched page by page as they are consumed."""
        return self._client.items(calls.list_evaluations(self.id))

    def events(self) -> AsyncIterator[Event]:
        """What happened to the job, in order: states, changes, and who asked for them."""
        return self._client.items(calls.list_events(self.id))

    @overload
    async def ranking(self, by: Literal["trial"] = "trial", limit: int = 100) -> TrialRanking: ...

    @overload
    async def ranking(self, by: Literal["activation"], limit: int = 100) -> ActivationRanking: ...

    @overload
    async def ranking(self, by: Literal["family"], limit: int = 100) -> FamilyRanking: ...

    async def ranking(
        self, by: Literal["trial", "activation", "family"] = "trial", limit: int = 100
    ) -> TrialRanking | ActivationRanking | FamilyRanking:
        """Complete trials, or families by their best one, in order; the baseline's place is always told.

        Args:
            by: `trial`, `activation` (whatever the learning rate) or `family`.
            limit: the most entries.
        """
        if by == "activation":
            return await self._client.ask(calls.rank_activations(self.id, limit))
        if by == "family":
            return await self._client.ask(calls.rank_families(self.id, limit))
        return await self._client.ask(calls.rank_trials(self.id, limit))

    async def pareto(self) -> ParetoFront:
        """The complete trials that no other one beats in every objective, and how the hypervolume grew."""
        return await self._client.ask(calls.pareto_front(self.id))

    async def report(self) -> str:
        """The job's report: one self-contained HTML page."""
        file = await self._client.ask(calls.report(self.id))
        return file.content.decode()

    async def chart(self, name: Chart, form: Literal["svg", "png"] = "svg") -> bytes:
        """A chart of the report as a picture.

        Raises:
            NotFoundError: the job has nothing to show in it.
        """
        file = await self._client.ask(calls.chart(self.id, name, form))
        return file.content

    async def importances(self, evaluator: Literal["ped_anova", "fanova"] = "ped_anova") -> Importances:
        """How much of the objective's variation each searched parameter explains, by Optuna's evaluators."""
        return await self._client.ask(calls.get_importances(self.id, evaluator))

    async def best(self) -> Trial:
        """The best complete trial so far, asked for anew.

        Raises:
            NoResult: there is none.
        """
        return best_of(await self.refresh())

    async def to_pandas(self) -> pd.DataFrame:
        """All trials as a table: one row a trial, nested values in dotted columns.

        Raises:
            ImportError: pandas is not installed.
        """
        return trial_frame([trial async for trial in self.trials()])
