"""The training loop: epochs, reports, and who stays."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial

import torch
from torch import Tensor, nn

from actsearch.architectures import get_architecture, resolve_parameters
from actsearch.errors import TrainingError
from actsearch.schemas import FailureReason, Training
from actsearch.tasks.declaration import Dataset, Part, Task
from actsearch.tasks.parts import moved, rows, sample_count
from actsearch.training.apart import TrialsApart
from actsearch.training.batches import batches, on_device, steps_per_epoch
from actsearch.training.build import GivenSite, site_activations
from actsearch.training.diagnostics import activation_sparsity, columns, dead_fraction, gradient_ratios
from actsearch.training.environment import device_name, forget_peak_memory, peak_memory, versions
from actsearch.training.failures import failure_reason, is_device_error
from actsearch.training.metrics import Metrics, PartName
from actsearch.training.noise import derived_seed, preserved_noise, seed_noise, seeded_everywhere
from actsearch.training.plain import PlainTrial
from actsearch.training.precision import full_float32, takes_tf32
from actsearch.training.preparation import prepared_modules
from actsearch.training.schedule import learning_rate_factor
from actsearch.training.stack import StackedTrials
from actsearch.training.trials import Trials
from actsearch.training.types import Candidate, Cohort, OnComplete, OnRung, OnStep, Plan, Rung, TrainingOutcome

# An evaluation keeps no signals for a backward pass, so it may take larger steps than training in the same memory.
_EVALUATION_BATCHES = 4


def train(
    cohort: Cohort,
    task: Task,
    dataset: Dataset,
    plan: Plan,
    on_rung: OnRung,
    *,
    on_complete: OnComplete = lambda place, module: {},
    on_step: OnStep = lambda another: None,
) -> list[TrainingOutcome]:
    """Train the candidates of a cohort together and say what became of each, in the order given.

    All see the same batches and the same noise, and none notices the others: a candidate takes the same way alone,
    with others, and in any order, up to floating-point noise. One whose loss or validation metric is no longer finite
    fails as `diverged`, one that cannot be built or run as `invalid`; they and those that `on_rung` gives up leave the
    cohort at the end of the epoch. `on_rung` is asked at the last epoch too, but its answer no longer matters: the
    trial is complete, and `on_complete` may look at its network. `on_step` hears of every training step. torch's
    global generators are left as they were. The number of threads is the caller's.

    Raises:
        TrainingError: when training more than one candidate raises: `out_of_memory` (a smaller cohort may fit), or
            `invalid`. A single candidate's outcome is `failed` instead.
        NotFound, InvalidRequest: for an unknown architecture or parameters that it does not take.
        Exception: whatever `on_rung` and `on_complete` raise, and what a failing device does: that is no trial's fault.
    """
    resolve_parameters(get_architecture(cohort.architecture), cohort.parameters)
    with preserved_noise(torch.device(plan.device)), full_float32():
        modules, outcomes = prepared_modules(cohort, task, dataset, plan.training.seed)
        if modules:
            run = partial(_Run, cohort, modules, task, dataset, plan, on_step=on_step)
            outcomes |= _trained(modules, on_rung, on_complete, run)
    return [outcomes[place] for place in range(len(cohort.candidates))]


def _trained(
    modules: Mapping[int, nn.Module], on_rung: OnRung, on_complete: OnComplete, start: Callable[[], _Run]
) -> dict[int, TrainingOutcome]:
    try:
        return start().outcomes(on_rung, on_complete)
    except _Stopped as stopped:
        if len(modules) > 1:
            raise TrainingError(stopped.reason, stopped.detail) from stopped
        return {
            place: TrainingOutcome("failed", reason=FailureReason(stopped.reason), detail=stopped.detail)
            for place in modules
        }


class _Stopped(TrainingError):
    """Training itself raised (not `on_rung`): the cohort cannot go on."""


@dataclass
class _Record:
    """What is known of a trial so far."""

    seconds: float = 0.0
    epochs: int = 0
    metrics: dict[str, object] = field(default_factory=dict)

    def final(self) -> dict[str, object]:
        return self.metrics | {"seconds": self.seconds, "epochs": self.epochs}


class _Run:
    """A cohort in training; `_places` says whose trial each row of the stack is."""

    def __init__(
        self,
        cohort: Cohort,
        modules: Mapping[int, nn.Module],
        task: Task,
        dataset: Dataset,
        plan: Plan,
        *,
        on_step: OnStep,
    ) -> None:
        self._plan, self._training, self._on_step = plan, plan.training, on_step
        self._places = sorted(modules, key=lambda place: (_family_order(cohort.candidates[place]), place))
        self._records = {place: _Record() for place in self._places}
        self._outcomes: dict[int, TrainingOutcome] = {}
        self._clock = time.perf_counter()
        device = torch.device(plan.device)
        self._environment = {
            "device": plan.device,
            "device_name": device_name(device),
            "cohort_size": len(modules),
            "precision": plan.training.precision,
            "tf32": takes_tf32(),
            "versions": versions(),
        }
        with self._guarded():
            forget_peak_memory(device)
            self._train, self._validation = on_device(dataset.train, device), on_device(dataset.validation, device)
            self._test = None if dataset.test is None else on_device(dataset.test, device)
            candidates = [cohort.candidates[place] for place in self._places]
            self._trials = new_trials([modules[p] for p in self._places], candidates, task, plan.training, device)
            self._metrics = Metrics(task, dataset, plan.judged_by)
        self._dataset, self._device = dataset, device
        self._batch_size = min(self._training.batch_size, sample_count(self._train))

    def outcomes(self, on_rung: OnRung, on_complete: OnComplete) -> dict[int, TrainingOutcome]:
        """Train to the end; outcomes by place in the cohort."""
        with self._guarded():
            self._note_start()
        for epoch in range(1, self._training.epochs + 1):
            reports = epoch % self._plan.report_every == 0 or epoch == self._training.epochs
            with self._guarded():
                self._advance(epoch, validate=reports)
            self._drop_diverged(epoch)
            if reports and self._places:
                self._drop(self._given_up(on_rung, epoch), lambda _: TrainingOutcome("pruned"))
            if not self._places:
                return self._outcomes
        with self._guarded():
            self._note_end()
        for row, place in enumerate(self._places):
            found = on_complete(place, self._trials.module(row))
            self._outcomes[place] = TrainingOutcome("complete", metrics={**self._final(place), **found})
        return self._outcomes

    def _advance(self, epoch: int, *, validate: bool) -> None:
        """Train an epoch; keep each trial's mean training loss and, if asked, its validation metrics."""
        total = torch.zeros((), device=self._device)
        steps = steps_per_epoch(sample_count(self._train), self._batch_size)
        for step, batch in enumerate(self._batches(epoch)):
            seed_noise(derived_seed(self._training.seed, "noise", epoch, step), self._device)
            done = (epoch - 1) * steps + step
            factor = learning_rate_factor(self._training.schedule, done, self._training.epochs * steps)
            total = total + self._trials.step(batch, factor)
            self._on_step(step + 1 < steps)
        metrics = {"train_loss": total / steps}
        if validate:
            metrics |= self._measured("validation", self._validation, self._metrics.judging)
        self._note(columns(metrics), epochs=1)

    def _measured(self, name: PartName, part: Part, further: Collection[str]) -> dict[str, Tensor]:
        """The metrics that mean something on a part, with its name in front."""
        return self._metrics.defined(name, self._trials.evaluate(part, further))

    def _batches(self, epoch: int) -> Iterator[Part]:
        """The batches of an epoch, the same whatever trials see them: drawn anew or augmented where the data are so."""
        seed, part = self._training.seed, self._train
        if self._dataset.fresh is not None:
            part = moved(self._dataset.fresh(derived_seed(seed, "data", epoch)), self._device)
        found = batches(part, self._batch_size, seed, epoch, in_order=self._dataset.in_order)
        augment = self._dataset.augment
        for step, batch in enumerate(found):
            if augment is None:
                yield batch
                continue
            with seeded_everywhere(derived_seed(seed, "augment", epoch, step)):
                inputs = augment(batch[0])
            yield inputs, *batch[1:]

    def _drop_diverged(self, epoch: int) -> None:
        lost: dict[int, str] = {}
        for place in self._places:
            found = self._records[place].metrics
            wrong = [f"{n} is {v}" for n, v in found.items() if not (_finite(v) or self._metrics.is_optional(n))]
            if wrong:
                lost[place] = f"{', '.join(wrong)} after epoch {epoch}"
        self._drop(lost, lambda place: TrainingOutcome("failed", reason=FailureReason.diverged, detail=lost[place]))

    def _given_up(self, on_rung: OnRung, epoch: int) -> list[int]:
        """The places that `on_rung` gives up; at the last epoch there is nothing left to save, and none is."""
        positions = sorted(self._places)
        metrics = [_curve_point(self._records[place].metrics) for place in positions]
        answers = on_rung(Rung(epoch=epoch, positions=positions, metrics=metrics))
        if epoch == self._training.epochs:
            return []
        return [place for place, goes_on in zip(positions, answers, strict=True) if not goes_on]

    def _drop(self, places: Collection[int], outcome: Callable[[int], TrainingOutcome]) -> None:
        """Let trials leave the stack."""
        if not places:
            return
        for place in places:
            self._outcomes[place] = replace(outcome(place), metrics=self._final(place))
        rows = [row for row, place in enumerate(self._places) if place not in places]
        self._places = [self._places[row] for row in rows]
        if rows:
            self._trials.keep(rows)

    def _note_start(self) -> None:
        ratios = gradient_ratios(self._trials, self._first_batch())
        counts = self._trials.parameter_counts()
        self._note(
            [{"parameters": n, "initial_gradient_ratio": r} for n, r in zip(counts, ratios, strict=True)], epochs=0
        )

    def _note_end(self) -> None:
        """Final metrics and diagnostics of the trials that reached the end."""
        metrics = self._measured("train", self._train, ())
        metrics |= self._measured("validation", self._validation, self._metrics.final)
        if self._test is not None:
            metrics |= self._measured("test", self._test, self._metrics.final)
        self._note(columns(metrics), epochs=0)
        ratios = gradient_ratios(self._trials, self._first_batch())
        dead = dead_fraction(self._trials, self._validation)
        sparse = activation_sparsity(self._trials, self._validation)
        self._note([d | s | {"gradient_ratio": r} for d, s, r in zip(dead, sparse, ratios, strict=True)], epochs=0)

    def _final(self, place: int) -> dict[str, object]:
        """All that is recorded of a trial that leaves."""
        peak = peak_memory(torch.device(self._plan.device))
        return self._metrics.explained(self._records[place].final()) | {
            "seed": self._training.seed,
            "environment": self._environment | {"peak_memory_bytes": peak},
        }

    def _first_batch(self) -> Part:
        return rows(self._train, slice(self._batch_size))

    def _note(self, rows: Sequence[Mapping[str, object]], *, epochs: int) -> None:
        """Add to the trials' records, and share the time since the last note among them."""
        now = time.perf_counter()
        share, self._clock = (now - self._clock) / len(rows), now
        for place, row in zip(self._places, rows, strict=True):
            record = self._records[place]
            record.metrics.update(row)
            record.seconds += share
            record.epochs += epochs

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            if is_device_error(error):
                raise
            raise _Stopped(failure_reason(error), f"{type(error).__name__}: {error}") from error


def new_trials(
    modules: Sequence[nn.Module],
    candidates: Sequence[Candidate],
    task: Task,
    training: Training,
    device: torch.device,
) -> Trials:
    """Trials ready for their first step: a stack, a plain module, or both side by side.

    Plain are those that are alone, and those whose sites hold what many at once cannot call (`GivenSite.stacks`).

    Args:
        modules: from `build_module`, on the CPU, one a candidate; those of one family should be neighbours.
    """
    piece = _EVALUATION_BATCHES * training.batch_size

    def made(rows: Sequence[int]) -> Trials:
        if len(rows) == 1:
            return PlainTrial(modules[rows[0]].to(device), candidates[rows[0]], task, training, piece=piece)
        chosen = [candidates[row] for row in rows]
        return StackedTrials([modules[row] for row in rows], chosen, task, training, device=device, piece=piece)

    alone = [row for row, module in enumerate(modules) if not _stacks(module)]
    together = [row for row in range(len(modules)) if row not in alone]
    parts = [*([together] if together else []), *([row] for row in alone)]
    return made(parts[0]) if len(parts) == 1 else TrialsApart([(made(rows), rows) for rows in parts], device)


def _stacks(module: nn.Module) -> bool:
    return all(site.stacks for site in site_activations(module).values() if isinstance(site, GivenSite))


def _family_order(candidate: Candidate) -> list[tuple[str, str]]:
    """Sorts candidates so that those of one family are neighbours in the stack."""
    return [(spec.label, spec.learned or "") for _, spec in sorted(candidate.activations.items())]


def _curve_point(metrics: Mapping[str, object]) -> dict[str, float]:
    """The metrics of a rung: those of the epoch, without what is known from the start."""
    return {n: v for n, v in metrics.items() if isinstance(v, float) and n.startswith(("train_", "validation_"))}


def _finite(value: object) -> bool:
    return not isinstance(value, float) or math.isfinite(value)
