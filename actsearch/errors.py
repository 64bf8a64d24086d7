"""The error tree of actsearch: every error raised on purpose derives from `ActsearchError`.

ActsearchError
├── InvalidRequest        a request names or values something that cannot be used
├── NotFound              no such job, trial, family, architecture, task ...
├── IllegalTransition     the job's state does not allow what was asked
├── TrainingError         a trial could not be trained (carries a failure reason)
├── StoreError            the database is missing, unreachable or not migrated
└── ClientError           the SDK could not get an answer (see `actsearch.client`)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

_LISTED = 12


def unknown(kind: str, name: str, allowed: Sequence[str] = ()) -> str:
    """What to say of a name that is not among those allowed: `there is no family 'gelo'; did you mean gelu?`

    Args:
        kind: what the name is of: `family`, `task` ...
        name: what was given.
        allowed: the names that exist; up to 12 of them are listed, the first ones where there are more.
    """
    near = get_close_matches(name, allowed, n=3, cutoff=0.7)
    meant = f"; did you mean {' or '.join(near)}?" if near else ""
    listed = ", ".join(allowed[:_LISTED]) + (f", ... ({len(allowed)} in all)" if len(allowed) > _LISTED else "")
    return f"there is no {kind} {name!r}{meant}" + (
        f"{'' if meant else ';'} choose one of: {listed}" if allowed else ""
    )


class ActsearchError(Exception):
    """Root of every error that actsearch raises on purpose."""


@dataclass(frozen=True)
class FieldProblem:
    """What is wrong with one field of a request.

    Args:
        field: path of the field, dotted (`space.families.0.family`).
        message: what is wrong and how to fix it.
        allowed: the values that would be accepted, where they can be listed.
    """

    field: str
    message: str
    allowed: Sequence[str] = dataclasses.field(default_factory=tuple)


class InvalidRequest(ActsearchError):
    """A request that cannot be carried out; names every offending field."""

    def __init__(self, *problems: FieldProblem) -> None:
        self.problems = problems
        super().__init__("; ".join(f"{p.field}: {p.message}" for p in problems))


class NotFound(ActsearchError):
    """Something was asked for by a name or an id that does not exist."""

    def __init__(self, kind: str, name: str, allowed: Sequence[str] = ()) -> None:
        self.kind, self.name, self.allowed = kind, name, tuple(allowed)
        super().__init__(unknown(kind, name, self.allowed))


class IllegalTransition(ActsearchError):
    """A job's present state does not allow what was asked.

    Args:
        current: its state.
        wanted: what it was to be (`paused`, `resumed`, `given another number of trials` ...).
        possible: what it can be instead, in the same words.
    """

    def __init__(self, current: str, wanted: str, possible: Sequence[str] = ()) -> None:
        self.current, self.wanted = current, wanted
        instead = f"; it can be {' or '.join(possible)}" if possible else ""
        super().__init__(f"a job that is {current} cannot be {wanted}{instead}")


class TrainingError(ActsearchError):
    """A trial could not be trained; `reason` is one of `schemas.FailureReason`."""

    def __init__(self, reason: str, detail: str) -> None:
        self.reason, self.detail = reason, detail
        super().__init__(f"{reason}: {detail}")


class StoreError(ActsearchError):
    """The trial store cannot be used; the message says what to do."""


class ClientError(ActsearchError):
    """The SDK could not complete a call."""
