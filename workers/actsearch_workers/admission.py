"""Which claimed trials may be trained: those that keep to the request's constraints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from actsearch.schemas import FailureReason
from actsearch.store import claims
from actsearch.study import violations
from actsearch_workers.cohorts import Context, Member


def admitted(context: Context, members: Sequence[Member]) -> list[Member]:
    """The members that keep to the constraints; the others are pruned now, and samplers learn by how much.

    Those that went to another runner are left out.
    """
    excesses = [violations(context.request, context.prepared.input_spec, member.suggestion) for member in members]
    with context.storage.batch(claims.attempts(member.claim for member in members)) as ours:
        checked = [(m, excess) for m, excess in zip(members, excesses, strict=True) if m.claim.trial_id in ours]
        for member, excess in checked:
            for name in excess.keys() - member.trial.constraints.keys():  # a trial given back has them already
                member.trial.set_constraint(name, excess[name])
    refused = [_refusal(member, excess) for member, excess in checked if _exceeds(excess)]
    if refused:
        with context.engine.begin() as connection:
            claims.finish(connection, refused)
    return [member for member, excess in checked if not _exceeds(excess)]


def _exceeds(excess: Mapping[str, float]) -> bool:
    return any(value > 0 for value in excess.values())


def _refusal(member: Member, excess: Mapping[str, float]) -> claims.Finish:
    detail = "; ".join(f"{value:g} more than {name} allows" for name, value in excess.items() if value > 0)
    return claims.Finish(member.claim, "pruned", reason=FailureReason.constraint, detail=detail)
