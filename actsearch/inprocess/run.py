"""`search`: from what the caller gives to what a search needs, and back to a result."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Unpack

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from actsearch.client.shorthand import Shorthand, to_document
from actsearch.errors import FieldProblem, InvalidRequest
from actsearch.inprocess.confirmation import confirm
from actsearch.inprocess.data import Data, held_out, to_part
from actsearch.inprocess.module import Weights, from_module
from actsearch.inprocess.network import MODEL, Build, Network, from_build
from actsearch.inprocess.result import LocalTrial, SearchResult
from actsearch.inprocess.searching import run_search
from actsearch.inprocess.task import (
    NAME,
    Measure,
    check_measures,
    first_samples,
    fitted,
    input_kind,
    own_task,
    taken,
    with_class_counts,
)
from actsearch.inprocess.trainer import Trainer, most_together
from actsearch.schemas import Direction, JobRequest
from actsearch.study import most_at_once, prepare_on
from actsearch.tasks import Dataset, Task
from actsearch.tasks.kinds import Kind

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
        test_data: what the verdict is given on, never seen by the search; None for a fifth of `train_data` where the
            search is confirmed, else for none.
        kind: what is learned; None to infer it from targets and outputs, which `found.notes` tells: `classification`,
            `binary` (one logit), `multilabel` (a logit per label), `regression` or `count` (logarithms of rates).
        loss: of your own; None for the kind's: cross entropy, binary cross entropy, MSE or Poisson likelihood.
        metric: of your own, or several by name, of which the first judges; None for the kind's (with a loss of
            your own: that). A built-in one is chosen with `objective={"metric": "f1_macro"}`.
        direction: of your own metrics, `maximize` or `minimize`.
        sites: of a module, the paths of the activations to search, with `*` and `?`; None for all but gates.
        weights: what those of a module begin with: `fresh` (drawn anew by each part's `reset_parameters`, from the
            trial's seed), `given` (a copy of yours), or a function that draws the weights of the module it is given.
        device: `cpu`, `cuda:0` ...; None for the GPU if there is one.
        on_trial: called with each trial as it ends.
        request: `families`, `trials`, `epochs`, `learning_rate` ...: see `Shorthand`. `task` and `architecture` are
            what you give here; `parallelism`, `priority`, `name` and `warm_start` mean nothing. With `confirmation`, as
            in the service, the best are trained again on fresh seeds beside the baseline, for a verdict.

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
    targets = taken(parts["train_data"][1], outputs, kind)
    samples = len(parts["train_data"][0])
    if loss is None:
        parts = {name: fitted(part, outputs, targets.kind, name) for name, part in parts.items()}
    metrics = metric if isinstance(metric, Mapping) else {} if metric is None else {"metric": metric}
    own = ({} if loss is None else {"loss": loss}) | dict(metrics)
    check_measures(outputs, first_samples(parts["train_data"], _TRIED)[1], own)
    judged = ["valid_data"] if wanted.confirmation_wanted is None else ["test_data", "valid_data"]
    for name in judged:
        if name not in parts:
            parts["train_data"], parts[name] = held_out(parts["train_data"], wanted.sampler_seed, samples, targets.kind)
    dataset = Dataset(
        parts["train_data"],
        parts["valid_data"],
        parts.get("test_data"),
        input_kind(parts["train_data"][0]),
        tuple(parts["train_data"][0].shape[1:]),
        outputs.shape[-1] if outputs.dim() > 1 else 1,
    )
    return _searched(
        wanted,
        network,
        with_class_counts(own_task(targets, loss, metrics, dict.fromkeys(metrics, Direction(direction))), dataset),
        dataset,
        device=device or ("cuda:0" if torch.cuda.is_available() else "cpu"),
        tested="test_data" in parts,
        on_trial=on_trial,
    )


def _searched(
    request: JobRequest,
    network: Network,
    task: Task,
    dataset: Dataset,
    *,
    device: str,
    tested: bool,
    on_trial: Callable[[LocalTrial], None] | None,
) -> SearchResult:
    if request.space.constraints.max_parameters is not None:
        message = "not supported: your network's size is fixed; leave it out"
        raise InvalidRequest(FieldProblem("space.constraints.max_parameters", message))
    architecture = network.architecture(dataset.input_kind)
    prepared = prepare_on(request, task, architecture, dataset)
    limit = most_at_once(request.sampler, request.budget.trials)
    at_once = most_together(request, architecture, dataset, device, limit)
    trainer = Trainer(request, architecture, task, dataset, device, at_once)
    found = run_search(prepared, trainer, tested=tested, on_trial=on_trial)
    wanted = request.confirmation_wanted
    is_any = any(trial.state == "complete" for trial in found.trials)
    confirmed = confirm(prepared, trainer, found, wanted) if wanted is not None and is_any else None
    return SearchResult(
        objectives=prepared.objectives,
        trials=found.trials,
        best_module=found.best_module,
        stopped_by=found.stopped_by,
        verdict=None if confirmed is None else confirmed.verdict,
        confirmed_module=None if confirmed is None else confirmed.module,
        replaced=network.replaced,
        left=network.left,
        kept_weights=network.kept,
        notes=task.notes,
    )


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
