"""The sampler: trials in, a cohort of proposals out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from optuna import Study
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.search_space import IntersectionSearchSpace
from optuna.trial import FrozenTrial, TrialState

from actsearch.space import Space
from actsearch.study.proposing.shape.candidates import key, pool, well_known
from actsearch.study.proposing.shape.features import Array
from actsearch.study.proposing.shape.layout import Layout, Parameters, flattened, layout_of
from actsearch.study.proposing.shape.model import Inputs, Surrogate
from actsearch.study.proposing.shape.observations import Source, normal_scores, scored

_REMEMBERED = 256  # trials the model is fitted to: the best half, and the rest at even intervals
_BEST = 8
_FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
_MOST_AT_ONCE = 256
_FEWER = 8  # the baseline's turns, one in eight trials, are not to cost as much as all others


@dataclass
class _Plan:
    """Proposals for a cohort; good as long as no trial ends and the same is asked for."""

    asked: object = None
    proposals: list[Parameters] = field(default_factory=list)


class ShapeSampler(BaseSampler):
    """Proposes activations by the function they compute; a whole cohort at once.

    The first trials are well-known activations. Then a Gaussian process over shapes, signals at initialisation and the
    plain parameters beside them predicts what a pool of candidates would give, and those of the largest upper
    confidence bound are proposed, each as if those before it were known. A search without activations works too, its
    parameters being plain numbers; several objectives count as one of random weights; the unknown is drawn at random.

    Args:
        seed: of the proposals.
        space: the search space; None for one that is only known from its trials.
        n_startup_trials: well-known activations (spread-out ones after these) before the model is used.
        n_candidates: size of the pool.
        sources: what earlier jobs found: what they say of a candidate is a hint that counts as far as this job's own
            trials confirm it.
        pool_of: gives the candidates instead (for benchmarks on a table); takes layout, best points, count, generator.
    """

    def __init__(
        self,
        seed: int | None = None,
        space: Space | None = None,
        *,
        n_startup_trials: int = 3,
        n_candidates: int = 512,
        sources: Sequence[Source] = (),
        pool_of: Any = pool,
    ) -> None:
        self._rng = np.random.RandomState(seed)
        self._independent = RandomSampler(seed=seed)
        self._space, self._flattened = space, {} if space is None else flattened(space)
        self._startup, self._candidates = n_startup_trials, n_candidates
        self._sources = [source for source in sources if source.observations]
        self._pool_of = pool_of
        self._intersection = IntersectionSearchSpace()
        self._plan = _Plan()
        self._models: list[Surrogate] = []
        self._fitted: tuple[object, Surrogate] | None = None  # what it has seen, and the latest model

    def reseed_rng(self) -> None:
        """See Optuna."""
        self._rng = np.random.RandomState()
        self._independent.reseed_rng()

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """See Optuna."""
        if self._space is not None:
            return dict(self._flattened)
        return {n: d for n, d in self._intersection.calculate(study).items() if not d.single()}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """See Optuna."""
        return self._independent.sample_independent(study, trial, param_name, param_distribution)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """See Optuna; the first trial of a cohort plans for all of it but those of which something is fixed already."""
        if not search_space:
            return {}
        # From the storage: some pruners show the sampler only a part of the study.
        trials = study._storage.get_all_trials(study._study_id, deepcopy=False)
        given = trial.system_attrs.get("fixed_params", {})
        if given := {name: value for name, value in given.items() if name in search_space}:
            layout = layout_of(self._space, search_space)
            if all(name in given for name in (*layout.plain, *(f"{prefix}family" for prefix in layout.groups))):
                return {}
            return self._proposals(study, layout, trials, trial.number, 1, given=given)[0]
        asked = (sum(1 for t in trials if t.state in _FINISHED and t.params), tuple(search_space.items()))
        if not self._plan.proposals or self._plan.asked != asked:
            waiting = sum(1 for t in trials if t.state == TrialState.RUNNING and not t.params)
            cohort = min(max(1, waiting), _MOST_AT_ONCE)
            layout = layout_of(self._space, search_space)
            self._plan = _Plan(asked, self._proposals(study, layout, trials, trial.number, cohort)[::-1])
        proposal = self._plan.proposals.pop()
        return {name: value for name, value in proposal.items() if name in search_space}

    def _proposals(
        self,
        study: Study,
        layout: Layout,
        trials: Sequence[FrozenTrial],
        asking: int,
        count: int,
        *,
        given: Mapping[str, Any] | None = None,
    ) -> list[Parameters]:
        """`count` points that no trial has tried, if there are such; with the parameters that are `given`, if any.

        Args:
            asking: number of the trial that a proposal is for.
        """
        finished = [t for t in trials if t.state in _FINISHED and t.params]
        under_way = [t for t in trials if t.state not in _FINISHED and t.params and t.number != asking]
        sampled = self._flattened or layout.plain  # trials also have parameters of one value, points do not
        begun_or_done = [{n: v for n, v in t.params.items() if n in sampled} for t in [*finished, *under_way]]
        done = {key(point) for point in begun_or_done}
        tried = {key(layout.activations(point)) for point in begun_or_done}
        known = [] if given else map(layout.used, well_known(layout))
        first = [p for p in known if key(layout.activations(p)) not in tried]
        room = max(0, self._startup - len(begun_or_done))
        proposals = first[: min(count, room)]
        if len(proposals) == count:
            return proposals
        usable = _fitting(layout, finished)
        scores = scored(usable, study.directions, self._rng.dirichlet(np.ones(len(study.directions))))
        best = [usable[i].params for i in np.argsort(-scores)[:_BEST]]
        # Where activations are given, points differ in the few other parameters only.
        size = max(1, self._candidates // _FEWER) if given else self._candidates
        drawn = self._pool_of(layout, best, size, self._rng)
        points = _different(layout.fixed(p, given or {}) for p in drawn)
        points = [p for p in points if key(p) not in done] or points
        rows = _remembered(scores)
        seen = (len(finished), tuple(layout.plain), tuple(layout.groups))
        if not given or self._fitted is None or self._fitted[0] != seen:
            self._fitted = (seen, Surrogate(self._inputs(layout, [usable[i].params for i in rows]), scores[rows]))
        model = self._fitted[1]
        candidates = self._inputs(layout, points)
        # Of what is under way, that of the same activations says where they need not be tried again.
        near = [t for t in under_way if (given or {}).items() <= t.params.items()]
        begun = self._inputs(layout, [t.params for t in _fitting(layout, near)] + proposals)
        while len(proposals) < count:  # more than there are candidates: the space is small, some come again
            proposals += [points[i] for i in model.choose(candidates, count - len(proposals), begun)]
        return proposals

    def _inputs(self, layout: Layout, points: Sequence[Mapping[str, Any]]) -> Inputs:
        """Points as the model sees them, with what each earlier job's model predicts for them."""
        plain = Inputs(*layout.encode(points), np.zeros((len(points), 0)))
        if not self._sources:
            return plain
        if not self._models:
            self._models = [_model_of(layout, source) for source in self._sources]
        return Inputs(plain.shapes, plain.plain, np.stack([model.predict(plain) for model in self._models], 1))


def _different(points: Iterable[Parameters]) -> list[Parameters]:
    """Each point once."""
    return list({key(point): point for point in points}.values())


def _model_of(layout: Layout, source: Source) -> Surrogate:
    """A model of what an earlier job found."""
    values = normal_scores(np.array([o.score for o in source.observations]))
    rows = _remembered(values)
    encoded = layout.encode([source.observations[i].parameters for i in rows])
    return Surrogate(Inputs(*encoded, np.zeros((len(rows), 0))), values[rows])


def _fitting(layout: Layout, trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Trials that have the layout's parameters: those of groups may lack (a shallow network), plain ones may not."""
    return [t for t in trials if all(n in t.params for n in layout.plain)]


def _remembered(scores: Array) -> Array:
    """Rows of the trials to fit to: all, or the best and an even choice of the others, best first."""
    order = np.argsort(-scores, kind="stable")
    if len(order) <= _REMEMBERED:
        return np.asarray(order)
    half = _REMEMBERED // 2
    return np.asarray(np.concatenate([order[:half], order[half:][:: max(1, -(-(len(order) - half) // half))]]))
