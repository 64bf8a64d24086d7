"""The ledger of a search on PostgreSQL: see `actsearch.study.ledger`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy import Connection, Engine, text

from actsearch.schemas import ACTIVE_STATES, Direction, FailureReason, JobRequest, JobState, StopRule, Trial, Verdict
from actsearch.store import jobs, proposal_lock, queue, ranking, runs, trials
from actsearch.store.optuna_storage import OptunaStorage
from actsearch.store.runs import Holder
from actsearch.store.statements import statement
from actsearch.store.warm_start import remembered
from actsearch.study.ledger import Claim, Finish, Memory, PlannedArm, Proposal, Remaining, Report, Result, Standing


@dataclass
class StoreLedger:
    """A job as one runner of it sees it."""

    engine: Engine
    holder: Holder
    storage: OptunaStorage = field(init=False)

    def __post_init__(self) -> None:
        self.storage = OptunaStorage(self.engine)

    @property
    def study_name(self) -> str:
        """See `Ledger`."""
        return str(self._job)

    @property
    def _job(self) -> UUID:
        return self.holder.job_id

    def begin(self, tries: int) -> JobRequest | None:
        """Take back what an earlier life of this runner held, and start the job; its request, if the job may run.

        Args:
            tries: see `runs.give_back`.

        Raises:
            Superseded: the task is not this runner's any more.
        """
        with self.engine.begin() as connection:
            jobs.lock(connection, self._job)  # another runner of the job may begin at this very moment
            runs.fence(connection, self.holder)
            runs.give_back(connection, self.holder.runner, tries)
            state, request = jobs.get_request(connection, self._job)
            if state == JobState.queued:
                jobs.transition(connection, self._job, JobState.running)
            elif state not in ACTIVE_STATES:
                runs.fail_cancelled(connection)
                return None
        return request

    # --- the search -------------------------------------------------------------------------------

    def proposing(self) -> AbstractContextManager[None]:
        """See `Ledger`."""
        return proposal_lock.proposing(self.engine, self._job)

    def claim(self, most: int) -> Sequence[Claim]:
        """See `Ledger`."""
        with self.engine.begin() as connection:
            return runs.claim_trials(connection, self.holder, most)

    def writing(self, claims: Sequence[Claim]) -> AbstractContextManager[set[int]]:
        """See `Ledger`."""
        return self.storage.batch(runs.attempts(claims))

    def propose(self, proposals: Sequence[Proposal]) -> None:
        """See `Ledger`."""
        with self.engine.begin() as connection:
            runs.propose(connection, proposals)

    def stop(self, rule: StopRule) -> None:
        """See `Ledger`."""
        with self.engine.begin() as connection:
            jobs.lock(connection, self._job)
            runs.stop(connection, self._job, rule)

    def memories(self) -> Sequence[Memory]:
        """See `Ledger`."""
        study = self.storage.get_study_id_from_name(self.study_name)
        earlier = [UUID(job) for job in self.storage.get_study_user_attrs(study).get("warm_start", [])]
        with self.engine.connect() as connection:
            return remembered(connection, earlier)

    def remaining(self) -> Remaining:
        """See `Ledger`."""
        with self.engine.connect() as connection:
            return runs.remaining(connection, self._job)

    # --- runs -------------------------------------------------------------------------------------

    def start(self, claims: Sequence[Claim]) -> None:
        """See `Ledger`."""
        with self.engine.begin() as connection:
            runs.start(connection, claims)

    def report(self, reports: Sequence[Report]) -> Standing:
        """See `Ledger`."""
        wanted = JobState.running if reports[0].claim.is_trial else JobState.confirming
        with self.engine.begin() as connection:
            return Standing(runs.report(connection, reports), jobs.get_state(connection, self._job) == wanted)

    def others_wait(self) -> bool:
        """See `Ledger`."""
        with self.engine.connect() as connection:
            return queue.others_wait(connection, self._job)

    def finish(self, finishes: Sequence[Finish]) -> None:
        """See `Ledger`."""
        with self.engine.begin() as connection:
            runs.finish(connection, finishes)

    def release(self, claims: Sequence[Claim]) -> None:
        """See `Ledger`."""
        with self.engine.begin() as connection:
            runs.release(connection, claims)
            runs.fail_cancelled(connection)

    # --- the end ----------------------------------------------------------------------------------

    def close(self, state: JobState, reason: str | None = None) -> None:
        """See `Ledger`."""
        with self.engine.begin() as connection:
            if self._search_is_over(connection):
                jobs.transition(connection, self._job, state, reason)

    def candidates(self) -> Sequence[Trial]:
        """See `Ledger`."""
        with self.engine.connect() as connection:
            return ranking.candidates(connection, self._job, self._direction(connection))

    def baseline(self) -> Trial:
        """See `Ledger`."""
        with self.engine.connect() as connection:
            return ranking.baseline_trial(connection, self._job, self._direction(connection))

    def confirm(self, arms: Sequence[PlannedArm], seeds: Mapping[int, int]) -> None:
        """See `Ledger`."""
        with self.engine.begin() as connection:
            if self._search_is_over(connection):
                jobs.transition(connection, self._job, JobState.confirming)
                if not self._arms(connection):  # a paused job has them already
                    runs.plan(connection, self._job, arms, seeds)

    def claim_seed(self) -> Sequence[Claim]:
        """See `Ledger`."""
        with self.engine.begin() as connection:
            return runs.claim_seed(connection, self.holder)

    def arms(self) -> Sequence[PlannedArm]:
        """See `Ledger`."""
        with self.engine.connect() as connection:
            return self._arms(connection)

    def trial(self, trial_id: UUID) -> Trial:
        """See `Ledger`."""
        with self.engine.connect() as connection:
            return trials.get_trial(connection, trial_id)

    def results(self) -> Sequence[Result] | None:
        """See `Ledger`."""
        with self.engine.connect() as connection:
            rows = connection.execute(statement("results"), {"job": self._job}).all()
        if not rows or any(row.state in ("waiting", "running") for row in rows):
            return None
        return [
            Result(r.arm, r.replicate, r.seed, r.state, r.failure_reason and FailureReason(r.failure_reason), r.metrics)
            for r in rows
        ]

    def add_seeds(self, seeds: Mapping[int, int]) -> None:
        """See `Ledger`."""
        with self.engine.begin() as connection:
            if jobs.lock(connection, self._job) == JobState.confirming:
                runs.plan(connection, self._job, self._arms(connection), seeds)

    def conclude(self, verdict: Verdict) -> None:
        """See `Ledger`."""
        with self.engine.begin() as connection:
            if jobs.lock(connection, self._job) == JobState.confirming or self._search_is_over(connection):
                jobs.set_verdict(connection, self._job, verdict.model_dump(mode="json"))
                jobs.transition(connection, self._job, JobState.completed)

    def _search_is_over(self, connection: Connection) -> bool:
        """Whether the search runs and has nothing left to train; it is noted why."""
        jobs.lock(connection, self._job)
        left = runs.remaining(connection, self._job)
        over = left.state == JobState.running and not left.open and left.unclaimed <= 0
        if over:
            query = "UPDATE jobs SET stopped_by = coalesce(stopped_by, 'trials') WHERE id = :job"
            connection.execute(text(query), {"job": self._job})
        return over

    def _arms(self, connection: Connection) -> list[PlannedArm]:
        return [PlannedArm(*row) for row in connection.execute(statement("arms"), {"job": self._job})]

    def _direction(self, connection: Connection) -> Direction:
        query = text("SELECT direction FROM jobs WHERE id = :job")
        return Direction(connection.execute(query, {"job": self._job}).scalar_one())
