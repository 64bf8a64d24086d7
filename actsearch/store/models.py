"""The tables: SQLAlchemy models. Migrations in `migrations/` create them; `tests/store` checks that both agree."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from uuid_utils.compat import uuid7

Json = dict[str, Any]


class Base(DeclarativeBase):
    """Base of every table; names constraints so that migrations can refer to them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar = {
        datetime: DateTime(timezone=True),
        Json: JSONB,
        str: Text,
        float: Double,
        list[float]: ARRAY(Double),
        list[str]: ARRAY(Text),
    }


class StudyRow(Base):
    """An Optuna study. `next_number` hands out trial numbers under the row's lock."""

    __tablename__ = "studies"

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    directions: Mapped[list[str]]
    user_attrs: Mapped[Json] = mapped_column(server_default=text("'{}'"))
    system_attrs: Mapped[Json] = mapped_column(server_default=text("'{}'"))
    next_number: Mapped[int] = mapped_column(server_default=text("0"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class TrialRow(Base):
    """A trial: one row, whatever it has lived through.

    `state` is one of `waiting`, `running`, `complete`, `pruned`, `failed`; `value` is the first of `values`, indexed
    for ranking; `intermediate` maps step to value, where it is not in `points`. Floats inside JSON that JSON cannot say
    are the strings "NaN", "Infinity", "-Infinity". `runner` is the queue's id of the task that trains it, `cohort` the
    number of the first trial of those that were claimed together; `training` and `place`: see `PointRow`. `together`
    says how many train with it now, `most_together` how many may after a crash, `faults` how often a crash ended it
    while it trained alone, `released` how often its runner gave it back.
    """

    __tablename__ = "trials"
    __table_args__ = (
        Index("uq_trials_study_id_number", "study_id", "number", unique=True),
        Index("ix_trials_study_id_state", "study_id", "state", "number"),
        Index("ix_trials_study_id_family", "study_id", text("md5(family)"), "number"),
        Index(
            "ix_trials_study_id_family_value",
            "study_id",
            text("md5(family)"),
            "value",
            "number",
            postgresql_where=text("value IS NOT NULL"),
        ),
        Index(
            "ix_trials_study_id_state_value",
            "study_id",
            "state",
            "value",
            "number",
            postgresql_where=text("value IS NOT NULL"),
        ),
        Index("ix_trials_study_id_value", "study_id", "value", "number", postgresql_where=text("value IS NOT NULL")),
        Index("ix_trials_running_runner", "runner", postgresql_where=text("state = 'running'")),
        Index("ix_trials_waiting", "study_id", postgresql_where=text("state = 'waiting'")),
    )

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    uid: Mapped[UUID] = mapped_column(unique=True, default=uuid7)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id", ondelete="CASCADE"))
    number: Mapped[int]
    state: Mapped[str]
    values: Mapped[list[float] | None]
    value: Mapped[float | None]
    family: Mapped[str | None]
    activations: Mapped[Json] = mapped_column(server_default=text("'{}'"))
    params: Mapped[Json] = mapped_column(server_default=text("'{}'"))
    distributions: Mapped[Json] = mapped_column(server_default=text("'{}'"))
    intermediate: Mapped[Json] = mapped_column(server_default=text("'{}'"))
    user_attrs: Mapped[Json] = mapped_column(server_default=text("'{}'"))
    system_attrs: Mapped[Json] = mapped_column(server_default=text("'{}'"))
    metrics: Mapped[Json] = mapped_column(server_default=text("'{}'"))
    failure_reason: Mapped[str | None]
    failure_detail: Mapped[str | None]
    attempt: Mapped[int] = mapped_column(server_default=text("1"))
    is_baseline: Mapped[bool] = mapped_column(server_default=text("false"))
    cohort: Mapped[int | None]
    training: Mapped[int | None] = mapped_column(BigInteger)
    place: Mapped[int | None] = mapped_column(SmallInteger)
    together: Mapped[int | None]
    most_together: Mapped[int | None]
    faults: Mapped[int] = mapped_column(server_default=text("0"))
    released: Mapped[int] = mapped_column(server_default=text("0"))
    runner: Mapped[int | None] = mapped_column(BigInteger)
    worker: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class TallyRow(Base):
    """Counts of a study's finished trials. Triggers on `trials` keep it, in the transaction that finishes them.

    `bar` is the merit of the baseline's best trial; a *merit* is the first objective turned so that larger is better.
    """

    __tablename__ = "tallies"

    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id", ondelete="CASCADE"), primary_key=True)
    complete: Mapped[int] = mapped_column(server_default=text("0"))
    pruned: Mapped[int] = mapped_column(server_default=text("0"))
    failed: Mapped[int] = mapped_column(server_default=text("0"))
    device_seconds: Mapped[float] = mapped_column(server_default=text("0"))
    bar: Mapped[float | None]


class _Group:
    """Complete trials of a study with a finite value that have something in common; kept as `TallyRow` is.

    `merit`, `number` and `trial_id` are the best one's, `squares` is the sum of squared distances from the mean.
    """

    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[UUID] = mapped_column(primary_key=True)
    trials: Mapped[int]
    mean: Mapped[float]
    squares: Mapped[float]
    merit: Mapped[float]
    number: Mapped[int]
    trial_id: Mapped[int] = mapped_column(BigInteger)


class FamilyTallyRow(_Group, Base):
    """A family's trials: those that compute the baseline, or the others. `wins` of them are better than `bar`."""

    __tablename__ = "family_tallies"

    is_baseline: Mapped[bool] = mapped_column(primary_key=True)
    family: Mapped[str]
    wins: Mapped[int]


class ActivationTallyRow(_Group, Base):
    """An activation's trials, all that compute the baseline together."""

    __tablename__ = "activation_tallies"
    __table_args__ = (Index("ix_activation_tallies_study_id_merit", "study_id", "merit", "number"),)


class JobRow(Base):
    """A submitted request and its life. `request` never changes; the columns beside it are what lists filter on.

    `owner` is the name of the API key that it was submitted with, None where none was asked for.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        Index("ix_jobs_created_at", "created_at", "id"),
        Index("ix_jobs_owner_created_at", "owner", "created_at", "id"),
        Index(
            "ix_jobs_owner_open",
            "owner",
            postgresql_where=text("state IN ('queued', 'running', 'paused', 'confirming')"),
        ),
        Index("ix_jobs_active", "state", postgresql_where=text("state IN ('queued', 'running', 'confirming')")),
        Index("ix_jobs_architecture_task", "architecture", "task", "created_at", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), unique=True)
    name: Mapped[str | None]
    labels: Mapped[list[str]] = mapped_column(server_default=text("'{}'"))
    state: Mapped[str]
    reason: Mapped[str | None]
    stopped_by: Mapped[str | None]
    architecture: Mapped[str]
    task: Mapped[str]
    metric: Mapped[str]
    direction: Mapped[str]
    priority: Mapped[int] = mapped_column(server_default=text("0"))
    parallelism: Mapped[int]
    budget_trials: Mapped[int]
    owner: Mapped[str | None]
    request: Mapped[Json]
    verdict: Mapped[Json | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class EvaluationRow(Base):
    """A network that confirmation trains: arm 0 (the baseline) or a finalist, on one fresh seed.

    `state` is one of `waiting`, `running`, `complete`, `failed`; `trial_id` is the trial that is trained again, for a
    `twin` with the baseline's activation; the rest is as in `TrialRow`.
    """

    __tablename__ = "evaluations"
    __table_args__ = (
        Index("uq_evaluations_job_id_place", "job_id", "replicate", "arm", unique=True),
        Index("ix_evaluations_trial_id", "trial_id"),
        Index("ix_evaluations_running_runner", "runner", postgresql_where=text("state = 'running'")),
        Index("ix_evaluations_waiting", "study_id", postgresql_where=text("state = 'waiting'")),
    )

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    uid: Mapped[UUID] = mapped_column(unique=True, default=uuid7)
    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    study_id: Mapped[int]
    arm: Mapped[int]
    trial_id: Mapped[int] = mapped_column(ForeignKey("trials.id", ondelete="CASCADE"))
    twin: Mapped[bool]
    replicate: Mapped[int]
    seed: Mapped[int]
    state: Mapped[str]
    values: Mapped[list[float] | None]
    value: Mapped[float | None]
    metrics: Mapped[Json] = mapped_column(server_default=text("'{}'"))
    failure_reason: Mapped[str | None]
    failure_detail: Mapped[str | None]
    attempt: Mapped[int] = mapped_column(server_default=text("1"))
    training: Mapped[int | None] = mapped_column(BigInteger)
    place: Mapped[int | None] = mapped_column(SmallInteger)
    together: Mapped[int | None]
    most_together: Mapped[int | None]
    faults: Mapped[int] = mapped_column(server_default=text("0"))
    released: Mapped[int] = mapped_column(server_default=text("0"))
    runner: Mapped[int | None] = mapped_column(BigInteger)
    worker: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class TrainingRow(Base):
    """Runs that train together from one start on; `names` of their metrics, in the order in which points give them."""

    __tablename__ = "trainings"
    __table_args__ = (Index("ix_trainings_study_id", "study_id"),)

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id", ondelete="CASCADE"))
    names: Mapped[list[str]] = mapped_column(server_default=text("'{}'"))


class PointRow(Base):
    """What the runs of a training reported after `epoch` epochs; append-only. See `points`.

    `places` says which runs reported, `values` has a line for each and a column for each of the training's names,
    `told` what Optuna was told, where it was.
    """

    __tablename__ = "points"

    training: Mapped[int] = mapped_column(ForeignKey("trainings.id", ondelete="CASCADE"), primary_key=True)
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    epoch: Mapped[int]
    places: Mapped[list[int]] = mapped_column(ARRAY(SmallInteger))
    values: Mapped[list[list[float]]] = mapped_column(ARRAY(Double, dimensions=2))
    told: Mapped[list[float] | None]


class SubmissionRow(Base):
    """A key under which a client, the owner, submitted a job: see `submissions`."""

    __tablename__ = "submissions"
    __table_args__ = (
        Index("ix_submissions_created_at", "created_at"),
        Index("ix_submissions_job_id", "job_id"),
    )

    owner: Mapped[str] = mapped_column(primary_key=True, server_default=text("''"))
    key: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[str]
    job_id: Mapped[UUID] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class EventRow(Base):
    """What happened, in order; append-only. `job_id` is None for what happened to no job: see `audit`."""

    __tablename__ = "events"
    __table_args__ = (Index("ix_events_job_id_id", "job_id", "id"),)

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    job_id: Mapped[UUID | None] = mapped_column(ForeignKey("jobs.id", ondelete="CASCADE"))
    kind: Mapped[str]
    data: Mapped[Json] = mapped_column(server_default=text("'{}'"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class WorkerRow(Base):
    """A worker process and its devices. The queue knows whether it is alive (`queue_worker_id`).

    `problems` says why devices of it take no work at present, a line for each of them.
    """

    __tablename__ = "workers"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    name: Mapped[str]
    queue_worker_id: Mapped[int | None] = mapped_column(BigInteger)
    devices: Mapped[list[str]]
    problems: Mapped[list[str]] = mapped_column(server_default=text("'{}'"))
    versions: Mapped[Json] = mapped_column(server_default=text("'{}'"))
    started_at: Mapped[datetime] = mapped_column(server_default=func.now())
    stopped_at: Mapped[datetime | None]


class ApiKeyRow(Base):
    """An API key: see `keys`. `hint` is how it begins, `digest` its hash under the secret that `secret_id` names."""

    __tablename__ = "api_keys"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid7)
    name: Mapped[str]
    scope: Mapped[str]
    hint: Mapped[str]
    digest: Mapped[str] = mapped_column(unique=True)
    secret_id: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class SessionRow(Base):
    """A person in a browser who showed an API key: see `sessions`. `digest` is the hash of the session's id."""

    __tablename__ = "sessions"
    __table_args__ = (
        Index("ix_sessions_key_id", "key_id"),
        Index("ix_sessions_expires_at", "expires_at"),
    )

    digest: Mapped[str] = mapped_column(primary_key=True)
    key_id: Mapped[UUID] = mapped_column(ForeignKey("api_keys.id", ondelete="CASCADE"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime]
