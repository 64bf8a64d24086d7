"""`search`: from what the caller gives to what a search needs, and back to a result."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Unpack

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from actsearch.activations import AS_GIVEN
from actsearch.client.shorthand import Shorthand, to_document
from actsearch.errors import FieldProblem, InvalidRequest
from actsearch.inprocess.augmenting import Augment, check_augment
from actsearch.inprocess.calling import Forward, Output
from actsearch.inprocess.data import Classes, Data, held_out, read, shared_samples
from actsearch.inprocess.groups import Groups, held_out_groups, read_groups
from actsearch.inprocess.heads import check_head
from actsearch.inprocess.ledger import MemoryLedger, Run
from actsearch.inprocess.loaders import Read
from actsearch.inprocess.module import Weights, from_module
from actsearch.inprocess.network import MODEL, Build, Network, from_build
from actsearch.inprocess.networks import Networks
from actsearch.inprocess.rehearsal import rehearse
from actsearch.inprocess.result import LocalTrial, SearchResult, local_trial
from actsearch.inprocess.task import (
    NAME,
    check_measures,
    fitted,
    input_kind,
    own_task,
    taken,
    with_class_counts,
)
from actsearch.inprocess.task import (
    Measure as Judge,
)
from actsearch.schemas import Direction, JobRequest, Measure, StopRule, Training
from actsearch.study import prepare_on
from actsearch.study.running.rounds import work
from actsearch.study.running.search import NoControl, Search, compared_by
from actsearch.study.running.trainer import Trainer
from actsearch.tasks import Dataset, Task
from actsearch.tasks.declaration import Part
from actsearch.tasks.kinds import Kind
from actsearch.tasks.parts import rows, sample_count
from actsearch.training.build import build_module

_TRIED = 4


def search(
    model: Build | nn.Module,
    train_data: Data,
    valid_data: Data | None = None,
    test_data: Data | None = None,
    *,
    kind: Kind | None = None,
    loss: Judge | None = None,
    metric: Judge | Mapping[str, Judge] | None = None,
    direction: Direction | str | None = None,
    sites: Collection[str] | None = None,
    weights: Weights = "fresh",
    forward: Forward | None = None,
    outputs: Output | None = None,
    augment: Augment | None = None,
    groups: Groups | None = None,
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
        direction: of your own metrics, `maximize` or `minimize`; None takes them to be maximized and says so.
        sites: of a module, the paths of the activations to search, with `*` and `?`; None for all but gates.
        weights: what those of a module begin with: `fresh` (drawn anew by each part's `reset_parameters`, from the
            trial's seed), `given` (a copy of yours), or a function that draws the weights of the module it is given.
        forward: `forward(model, inputs) -> outputs`, how the network is called with the inputs of a batch; None: a
            dictionary gives keyword arguments, a tuple arguments, a tensor one.
        outputs: which of several outputs is learned, by key or place; None for `logits`, the only one, or the first.
        augment: `augment(inputs) -> inputs`, of each training batch, with the same draws for all trials; None for none.
        groups: the group of each sample of `train_data` (patient, scene, speaker), names or numbers: no group is in two
            of the parts that are held out of it; None for samples that have nothing to do with each other.
        device: `cpu`, `cuda:0` ...; None for the GPU if there is one.
        on_trial: called with each trial as it ends.
        request: `families`, `trials`, `epochs`, `learning_rate` ...: see `Shorthand`. `task` and `architecture` are
            what you give here; `parallelism`, `priority`, `name` and `warm_start` mean nothing. With `confirmation`, as
            in the service, the best are trained again on fresh seeds beside the baseline, for a verdict.

    Raises:
        InvalidRequest: naming what is wrong with data, network or request (see its `problems`).

    Example:
        >>> found = actsearch.search(model, (x, y), trials=60, epochs=20)  # doctest: +SKIP
        >>> print(found, found.snippet())  # doctest: +SKIP
    """
    wanted = _request(request, of_module=isinstance(model, nn.Module))
    classes = Classes()
    data = {"train_data": read(train_data, "train_data", training=True, classes=classes)}
    given = (("valid_data", valid_data), ("test_data", test_data))
    data |= {n: read(part, n, training=False, classes=classes) for n, part in given if part is not None}
    parts, notes = {name: one.part for name, one in data.items()}, [note for one in data.values() for note in one.notes]
    notes += classes.notes
    training = data["train_data"]
    if training.batch_size is not None and not _says_batch_size(request):
        wanted = _with_batch_size(wanted, training.batch_size)
        notes.append(f"batch size: {training.batch_size}, the loader's; `batch_size=` says otherwise")
    network = _network(model, rows(parts["train_data"], slice(_TRIED))[0], sites, weights, (forward, outputs))
    targets = taken(parts["train_data"][1], network.outputs, kind, named=bool(classes.names))
    samples = sample_count(parts["train_data"])
    if loss is None:
        notes += check_head(network.tried, rows(parts["train_data"], slice(_TRIED))[0], targets.kind)
    fit = _fitter(network.outputs, targets.kind if loss is None else None)
    parts = {name: fit(part, name) for name, part in parts.items()}
    notes += shared_samples(parts["train_data"], {name: part for name, part in parts.items() if name != "train_data"})
    metrics = metric if isinstance(metric, Mapping) else {} if metric is None else {"metric": metric}
    own = ({} if loss is None else {"loss": loss}) | dict(metrics)
    towards, said = _direction(direction, metrics)
    notes += said
    check_measures(network.outputs, rows(parts["train_data"], slice(_TRIED))[1], own)
    judged = ["valid_data"] if wanted.confirmation_wanted is None else ["test_data", "valid_data"]
    missing = [name for name in judged if name not in parts]
    for name in missing:
        _check_can_be_split(training, name)
    if groups is None:
        for name in missing:
            parts["train_data"], parts[name] = held_out(parts["train_data"], wanted.sampler_seed, samples, targets.kind)
            notes.append(f"{name}: {sample_count(parts[name])} samples of train_data, drawn at random")
    elif missing:
        numbers = read_groups(groups, train_data, samples)
        held, said = held_out_groups(parts["train_data"], numbers, missing, wanted.sampler_seed, targets.kind)
        parts |= held
        notes += said
    else:
        message = "nothing is held out of `train_data`; leave it out, or one of: " + ", ".join(judged)
        raise InvalidRequest(FieldProblem("groups", message))
    inputs = parts["train_data"][0]
    if augment is not None:
        check_augment(augment, rows(inputs, slice(_TRIED)))
    fresh = training.fresh
    dataset = Dataset(
        parts["train_data"],
        parts["valid_data"],
        parts.get("test_data"),
        input_kind(inputs) if isinstance(inputs, Tensor) else "several",
        tuple(inputs.shape[1:]) if isinstance(inputs, Tensor) else (),
        network.outputs.shape[-1] if network.outputs.dim() > 1 else 1,
        fresh=None if fresh is None else lambda seed: fit(fresh(seed), "train_data"),
        in_order=training.in_order,
        augment=augment,
    )
    return _searched(
        wanted,
        network,
        with_class_counts(own_task(targets, loss, metrics, dict.fromkeys(metrics, towards)), dataset),
        dataset,
        device=device or ("cuda:0" if torch.cuda.is_available() else "cpu"),
        tested="test_data" in parts,
        on_trial=on_trial,
        notes=[*notes, *network.notes],
    )


def _direction(asked: Direction | str | None, metrics: Mapping[str, Judge]) -> tuple[Direction, list[str]]:
    """Which values of the caller's metrics are better, and a note where that is guessed."""
    if asked is None:
        guess = f'{", ".join(metrics)}: larger is taken to be better; `direction="minimize"` says otherwise'
        return Direction.maximize, [guess] if metrics else []
    if not metrics:
        message = "is of a `metric` of your own; the directions of others are known: leave it out"
        raise InvalidRequest(FieldProblem("direction", message))
    if asked not in [*Direction]:
        raise InvalidRequest(FieldProblem("direction", f"is {asked!r}; choose one of: maximize, minimize"))
    return Direction(asked), []


def _fitter(outputs: Tensor, kind: Kind | None) -> Callable[[Part, str], Part]:
    """Makes targets suit the network's outputs; with a loss of the caller's own they stay as they are."""
    return lambda part, name: part if kind is None else fitted(part, outputs, kind, name)


def _says_batch_size(request: Mapping[str, Any]) -> bool:
    training = request.get("training")
    fields = training.model_fields_set if isinstance(training, Training) else training or ()
    return "batch_size" in request or "batch_size" in fields


def _with_batch_size(request: JobRequest, size: int) -> JobRequest:
    return request.model_copy(update={"training": request.training.model_copy(update={"batch_size": size})})


def _check_can_be_split(training: Read, name: str) -> None:
    if training.fresh is not None:
        message = "is not given, and cannot be held out of train_data, which are other samples in each epoch; give it"
        raise InvalidRequest(FieldProblem(name, message))


def _searched(
    request: JobRequest,
    network: Network,
    task: Task,
    dataset: Dataset,
    *,
    device: str,
    tested: bool,
    on_trial: Callable[[LocalTrial], None] | None,
    notes: Sequence[str],
) -> SearchResult:
    if Measure.int8_drop in request.measured and dataset.input_kind == "several":
        message = "int8_drop is measured of networks with one tensor as input; leave it out"
        raise InvalidRequest(FieldProblem("measures", message))
    if request.space.constraints.max_parameters is not None:
        message = "not supported: your network's size is fixed; leave it out"
        raise InvalidRequest(FieldProblem("space.constraints.max_parameters", message))
    architecture = network.architecture(dataset.input_kind)
    prepared = prepare_on(request, task, architecture, dataset)
    rehearse(
        lambda: build_module(
            architecture, prepared.baseline_architecture, prepared.input_spec, prepared.baseline_activations, seed=0
        ),
        task,
        dataset,
    )
    networks = Networks(prepared.objective.direction, compared_by(prepared, task).direction)

    def finished(run: Run) -> None:
        networks.finished(run)
        if on_trial is not None and run.claim.is_trial:
            on_trial(local_trial(run, prepared.objectives, tested=tested))

    ledger = MemoryLedger(prepared, finished)
    trainer = Trainer(request, architecture, task, dataset, device, networks.keep)
    work(Search(ledger, prepared, trainer, NoControl()))
    arm = None if ledger.verdict is None else ledger.arm_of(ledger.verdict.winner)
    return SearchResult(
        objectives=prepared.objectives,
        trials=[local_trial(run, prepared.objectives, tested=tested) for run in ledger.trials],
        best_module=_restored(network, networks.best()),
        stopped_by=ledger.stopped_by or StopRule.trials,
        verdict=ledger.verdict,
        confirmed_module=None if arm is None else _restored(network, networks.best(arm)),
        replaced=network.replaced,
        left=network.left,
        kept_weights=network.kept,
        nearest=network.nearest,
        notes=[*task.notes, *notes],
    )


def _restored(network: Network, trained: nn.Module | None) -> nn.Module | None:
    return None if trained is None else network.restored(trained)


def _network(
    model: Build | nn.Module,
    batch: Any,
    sites: Collection[str] | None,
    weights: Weights,
    called: tuple[Forward | None, Output | None],
) -> Network:
    forward, output = called
    if isinstance(model, nn.Module):
        return from_module(model, batch, sites=sites, weights=weights, forward=forward, output=output)
    if not callable(model):
        message = f"is a {type(model).__name__}; give a module, or a function `build(act)` that returns one"
        raise InvalidRequest(FieldProblem(MODEL, message))
    if sites is not None or weights != "fresh":
        message = "is for a ready-made module; `build(act)` says itself where activations stand and how weights begin"
        raise InvalidRequest(FieldProblem("weights" if sites is None else "sites", message))
    return from_build(model, batch, forward=forward, output=output)


def _request(keywords: Mapping[str, Any], *, of_module: bool) -> JobRequest:
    for name in ("task", "architecture"):
        if name in keywords:
            raise InvalidRequest(FieldProblem(name, "is what you pass as model and data; leave it out"))
    if keywords.get("baseline") == AS_GIVEN:
        if not of_module:
            raise InvalidRequest(FieldProblem("baseline", "only a ready-made module is `as given`; name a family"))
        keywords = {name: value for name, value in keywords.items() if name != "baseline"}  # it is the default
    try:
        return JobRequest.model_validate({**to_document(None, keywords), "task": NAME, "architecture": NAME})
    except ValidationError as error:
        problems = [FieldProblem(".".join(map(str, p["loc"])), p["msg"]) for p in error.errors(include_url=False)]
        raise InvalidRequest(*problems) from error
