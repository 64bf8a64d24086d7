"""What a job takes over from earlier ones: its first proposals, and hints for the shape-aware sampler."""

from __future__ import annotations

from uuid import UUID

from actsearch.store import claims
from actsearch.store.warm_start import remembered
from actsearch.study.proposing.shape import Observation, Source
from actsearch.study.proposing.warm_start import as_point
from actsearch_workers.cohorts import Context

_AGAIN, _SHARE = 4, 4  # first proposals: so many, or the budget's share if that is less


def sources_of(context: Context) -> list[Source]:
    """What the jobs that this one was created to learn from found, in this job's space; read once a slice."""
    if context.sources is None:
        study = context.storage.get_study_id_from_name(str(context.order.job_id))
        earlier = [UUID(job) for job in context.storage.get_study_user_attrs(study).get("warm_start", [])]
        with context.engine.connect() as connection:
            memories = remembered(connection, earlier)
        context.sources = []
        for memory in memories:
            points = [(as_point(context.prepared, parameters), score) for parameters, score in memory.trials]
            found = [Observation(point, score) for point, score in points if point is not None]
            if found:
                context.sources.append(Source(str(memory.job_id), found))
    return context.sources


def propose_remembered(context: Context, claim: claims.Claim) -> None:
    """Fix a job's first trials after the baseline to the best of the earlier jobs, in turn, and mark them as such."""
    if context.request.sampler.exhaustive:
        return
    again = _best_in_turn(sources_of(context))[: min(_AGAIN, context.request.budget.trials // _SHARE)]
    if not 0 < claim.number <= len(again):
        return
    job, observation = again[claim.number - 1]
    # As Optuna's own `enqueue_trial` does.
    context.storage.set_trial_system_attr(claim.trial_id, "fixed_params", dict(observation.parameters))
    context.storage.set_trial_user_attr(claim.trial_id, "warm_start", job)


def _best_in_turn(sources: list[Source]) -> list[tuple[str, Observation]]:
    """The best of each source, then the second best of each ...; each point once."""
    ranked = [sorted(source.observations, key=lambda o: -o.score) for source in sources]
    found: dict[str, tuple[str, Observation]] = {}
    for place in range(_AGAIN):
        for source, observations in zip(sources, ranked, strict=True):
            if place < len(observations):
                found.setdefault(
                    str(sorted(observations[place].parameters.items())), (source.name, observations[place])
                )
    return list(found.values())
