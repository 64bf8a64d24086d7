"""The search itself: propose, train as cohorts, tell; all in this process."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from copy import deepcopy
from typing import Any, Unpack

import optuna
import torch
from optuna.trial import TrialState
from pydantic import ValidationError
from torch import Tensor, nn

from actsearch.client.shorthand import Shorthand, to_document
from actsearch.errors import FieldProblem, InvalidRequest, TrainingError
from actsearch.inprocess.data import Data, held_out, to_part
from actsearch.inprocess.module import Weights, from_module
from actsearch.inprocess.network import MODEL, Build, Network, from_build
from actsearch.inprocess.result import LocalTrial, SearchResult
from actsearch.inprocess.task import (
    NAME,
    Kind,
    Measure,
    check_measures,
    first_samples,
    fitted,
    input_kind,
    own_task,
    task_kind,
)
from actsearch.schemas import Direction, JobRequest
from actsearch.search import PreparedJob, input_spec, make_pruner, make_sampler, most_at_once, prepare_on
from actsearch.space import Suggestion, suggest
from actsearch.tasks import Dataset, Task
from actsearch.training import Candidate, Cohort, Outcome, Plan, Rung, cohort_size, train

_TRIED = 4


def search(
    model: Build | nn.Module,
    train_data: Data,
    valid_data: Data | None = None,
    test_data: Data | None = None,
    *,
    kind: Kind | None = None,
    loss: Measure | None = None,
    metric: Measure | Mapping[str, Measure] | None = None,
    direction: Direction | str = Direction.maximize,
    sites: Collection[str] | None = None,
    weights: Weights = "fresh",
    device: str | None = None,
    on_trial: Callable[[LocalTrial], None] | None = None,
    **request: Unpack[Shorthand],
) -> SearchResult:
    """Search the activation for a network and data of your own, in this process.

    Args:
        model: a module, whose activations are found and replaced; or `build(act) -> nn.Module`, which calls `act()` for
            each place where an activation stands.
        train_data: see `Data`; taken as they are, so scale them before.
        valid_data: what trials are judged on; None for a fifth of `train_data`.
        test_data: only measured at the end of each trial, never decided on; None for none.
        kind: what is learned; None: classification where targets are whole numbers, else regression.
        loss: of your own; None for cross entropy or mean squared error.
        metric: of your own, or several by name, of which the first judges; None for accuracy or MSE (with a loss of
            your own: that). A built-in one is chosen with `objective={"metric": "r2"}`.
        direction: of your own metrics, `maximize` or `minimize`.
        sites: of a module, the paths of the activations to search, with `*` and `?`; None for all but gates.
        weights: what those of a module begin with: `fresh` (drawn anew by each part's `reset_parameters`, from the
            trial's seed), `given` (a copy of yours), or a function that draws the weights of the module it is given.
        device: `cpu`, `cuda:0` ...; None for the GPU if there is one.
        on_trial: called with each trial as it ends.
        request: `families`, `trials`, `epochs`, `learning_rate` ...: see `Shorthand`. `task` and `architecture` are
            what you give here; `parallelism`, `priority` and `name` mean nothing.

    Raises:
        InvalidRequest: naming what is wrong with data, network or request.

    Example:
        >>> found = actsearch.search(model, (x, y), trials=60, epochs=20)  # doctest: +SKIP
        >>> print(found, found.snippet())  # doctest: +SKIP
    """
    wanted = _request(request)
    parts = {"train_data": to_part(train_data, "train_data")}
    parts |= {n: to_part(d, n) for n, d in (("valid_data", valid_data), ("test_data", test_data)) if d is not None}
    network = _network(model, first_samples(parts["train_data"], _TRIED)[0], sites, weights)
    outputs = network.outputs
    if network.own is not None and "baseline" not in request:
        wanted = wanted.model_copy(update={"baseline": network.own})
    kind = kind or task_kind(parts["train_data"][1])
    if loss is None:
        parts = {name: fitted(part, outputs, kind, name) for name, part in parts.items()}
    metrics = metric if isinstance(metric, Mapping) else {} if metric is None else {"metric": metric}
    own = ({} if loss is None else {"loss": loss}) | dict(metrics)
    check_measures(outputs, first_samples(parts["train_data"], _TRIED)[1], own)
    if "valid_data" not in parts:
        parts["train_data"], parts["valid_data"] = held_out(parts["train_data"], wanted.seed)
    dataset = Dataset(
        parts["train_data"],
        parts["valid_data"],
        parts.get("test_data", first_samples(parts["valid_data"], _TRIED)),  # the engine wants one; never shown
        input_kind(parts["train_data"][0]),
        tuple(parts["train_data"][0].shape[1:]),
        outputs.shape[-1] if outputs.dim() > 1 else 1,
    )
    search_ = _Search(
        request=wanted,
        network=network,
        task=own_task(kind, loss, metrics, dict.fromkeys(metrics, Direction(direction))),
        dataset=dataset,
        tested="test_data" in parts,
        device=device or ("cuda:0" if torch.cuda.is_available() else "cpu"),
        on_trial=on_trial,
    )
    return search_.run()


def _network(model: Build | nn.Module, batch: Tensor, sites: Collection[str] | None, weights: Weights) -> Network:
    if isinstance(model, nn.Module):
        return from_module(model, batch, sites=sites, weights=weights)
    if not callable(model):
        message = f"is a {type(model).__name__}; give a module, or a function `build(act)` that returns one"
        raise InvalidRequest(FieldProblem(MODEL, message))
    if sites is not None or weights != "fresh":
        message = "is for a ready-made module; `build(act)` says itself where activations stand and how weights begin"
        raise InvalidRequest(FieldProblem("weights" if sites is None else "sites", message))
    return from_build(model, batch)


def _request(keywords: Mapping[str, Any]) -> JobRequest:
    for name in ("task", "architecture"):
        if name in keywords:
            raise InvalidRequest(FieldProblem(name, "is what you pass as model and data; leave it out"))
    try:
        return JobRequest.model_validate({**to_document(None, keywords), "task": NAME, "architecture": NAME})
    except ValidationError as error:
        problems = [FieldProblem(".".join(map(str, p["loc"])), p["msg"]) for p in error.errors(include_url=False)]
        raise InvalidRequest(*problems) from error


class _Search:
    """A search under way."""

    def __init__(
        self,
        *,
        request: JobRequest,
        network: Network,
        task: Task,
        dataset: Dataset,
        tested: bool,
        device: str,
        on_trial: Callable[[LocalTrial], None] | None,
    ) -> None:
        if request.space.constraints.max_parameters is not None:
            message = "your own network has no searched size; leave it out"
            raise InvalidRequest(FieldProblem("space.constraints.max_parameters", message))
        architecture = network.architecture(dataset.input_kind)
        self._request, self._architecture, self._task, self._dataset = request, architecture, task, dataset
        self._network = network
        self._tested, self._device, self._on_trial = tested, device, on_trial
        self._prepared: PreparedJob = prepare_on(request, task, architecture, dataset)
        self._study = optuna.create_study(direction=self._prepared.objective.direction.value)
        self._study.enqueue_trial(dict(self._prepared.baseline_parameters))
        self._trials: list[LocalTrial] = []
        self._best: tuple[float, nn.Module | None] = (math.inf, None)
        self._at_once = self._cohort_size()

    def _cohort_size(self) -> int:
        limit = most_at_once(self._request.sampler, self._request.budget.trials)
        if self._request.cohort_size is not None:
            return self._request.cohort_size
        spec = input_spec(self._dataset)
        try:
            return cohort_size(self._architecture, {}, spec, device=self._device, limit=limit)
        except Exception:  # a network that cannot be built without memory: train it plainly
            return 1

    def run(self) -> SearchResult:
        """Spend the budget."""
        verbosity = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        try:
            while (left := self._request.budget.trials - len(self._trials)) > 0:
                self._round(min(left, self._at_once))
        finally:
            optuna.logging.set_verbosity(verbosity)
        return SearchResult(
            objective=self._prepared.objective,
            trials=sorted(self._trials, key=lambda t: t.number),
            best_module=self._best[1],
            replaced=self._network.replaced,
            left=self._network.left,
            kept_weights=self._network.kept,
        )

    def _round(self, size: int) -> None:
        request, first = self._request, len(self._trials)
        self._study.sampler = make_sampler(request.sampler, request.seed, first)
        self._study.pruner = make_pruner(request.pruner, request.training.epochs, request.seed)
        asked = [self._study.ask() for _ in range(size)]
        self._train([(trial, suggest(trial, self._prepared.space)) for trial in asked])

    def _train(self, members: Sequence[tuple[optuna.Trial, Suggestion]]) -> None:
        """Train members together; what fails together is tried in halves, or alone where stacking is at fault."""
        curves: dict[int, dict[int, Mapping[str, float]]] = {}
        try:
            outcomes = self._outcomes(members, curves)
        except TrainingError as error:
            self._at_once = len(members) // 2 if error.reason == "out_of_memory" else 1
            for start in range(0, len(members), self._at_once):
                self._train(members[start : start + self._at_once])
            return
        for place, ((trial, suggestion), outcome) in enumerate(zip(members, outcomes, strict=True)):
            self._end(trial, suggestion, outcome, curves.get(place, {}))

    def _outcomes(
        self,
        members: Sequence[tuple[optuna.Trial, Suggestion]],
        curves: dict[int, dict[int, Mapping[str, float]]],
    ) -> list[Outcome]:
        def on_rung(rung: Rung) -> list[bool]:
            goes_on = []
            for place, metrics in zip(rung.positions, rung.metrics, strict=True):
                curves.setdefault(place, {})[rung.epoch] = metrics
                members[place][0].report(self._value(metrics), rung.epoch)
                goes_on.append(not members[place][0].should_prune())
            return goes_on

        candidates = [_candidate(self._request, suggestion) for _, suggestion in members]
        cohort = Cohort(self._architecture, {}, candidates)
        plan = Plan(self._request.training, device=self._device)
        return train(cohort, self._task, self._dataset, plan, on_rung, on_complete=self._keep_best(curves))

    def _keep_best(
        self, curves: Mapping[int, Mapping[int, Mapping[str, float]]]
    ) -> Callable[[int, nn.Module], Mapping[str, object]]:
        def look(place: int, module: nn.Module) -> Mapping[str, object]:
            sign = -1 if self._prepared.objective.direction == Direction.maximize else 1
            loss = sign * self._value(curves[place][self._request.training.epochs])
            if loss < self._best[0]:
                self._best = (loss, deepcopy(module).cpu())
            return {}

        return look

    def _value(self, metrics: Mapping[str, Any]) -> float:
        return float(metrics[f"validation_{self._prepared.objective.metric}"])

    def _end(
        self,
        trial: optuna.Trial,
        suggestion: Suggestion,
        outcome: Outcome,
        curve: Mapping[int, Mapping[str, float]],
    ) -> None:
        value = None if outcome.state == "failed" else self._value(outcome.metrics)
        metrics = {n: v for n, v in outcome.metrics.items() if self._tested or not n.startswith("test_")}
        states = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
        self._study.tell(trial, value if outcome.state == "complete" else None, states[outcome.state])
        ended = LocalTrial(
            number=trial.number,
            state=outcome.state,  # type: ignore[arg-type]
            value=value,
            is_baseline=trial.number == 0,
            family=suggestion.family,
            activations=suggestion.activations,
            parameters=trial.params,
            metrics=metrics,
            curve=curve,
            failure=None if outcome.reason is None else f"{outcome.reason}: {outcome.detail}",
        )
        self._trials.append(ended)
        if self._on_trial is not None:
            self._on_trial(ended)


def _candidate(request: JobRequest, suggestion: Suggestion) -> Candidate:
    def chosen(name: str) -> float:
        return float(suggestion.training.get(name, getattr(request.training, name)))

    names = ("learning_rate", "weight_decay", "momentum", "initial_scale")
    return Candidate(suggestion.activations, *map(chosen, names))
