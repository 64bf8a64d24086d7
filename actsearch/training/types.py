"""What goes into training and what comes out: plain data, no database, no Optuna."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from torch import nn

from actsearch.architectures import Architecture
from actsearch.schemas import ActivationSpec, FailureReason, Training


@dataclass(frozen=True)
class Candidate:
    """One trial as the engine sees it: what differs inside a cohort.

    Args:
        activations: what each site group computes. Keys: `network` (all sites), or stage names, or site names.
        learning_rate: step size of the optimiser, > 0.
        weight_decay: decoupled for AdamW, L2 for Adam and SGD, >= 0.
        momentum: SGD only, in [0, 1).
        initial_scale: what the initial weights (parameters of two axes and more) are multiplied with, > 0.
    """

    activations: Mapping[str, ActivationSpec]
    learning_rate: float
    weight_decay: float
    momentum: float
    initial_scale: float = 1.0


@dataclass(frozen=True)
class Cohort:
    """Candidates of one architecture (same shapes), trained together.

    Args:
        architecture: name in the catalogue, or an architecture that is not in it.
        parameters: the architecture's parameters; its defaults fill in the rest.
        candidates: K of them, K >= 1, any families.
    """

    architecture: str | Architecture
    parameters: Mapping[str, bool | int | float | str]
    candidates: Sequence[Candidate]


@dataclass(frozen=True)
class Plan:
    """How the cohort is trained: what is the same for all of it.

    Args:
        training: epochs, batch size, optimiser, schedule, seed.
        device: `cpu`, `cuda:0` ...
        report_every: epochs between two calls of `on_rung`; the last epoch always reports.
        judged_by: names of the metrics that trials are judged by, None for the task's own; each report has them.
    """

    training: Training
    device: str = "cpu"
    report_every: int = 1
    judged_by: Collection[str | None] = ()


@dataclass(frozen=True)
class Rung:
    """What `on_rung` is told.

    Args:
        epoch: epochs done, from 1.
        positions: places in the cohort of the trials still training (diverged and pruned ones have left).
        metrics: for each of `positions`, metrics by name (`train_loss`, `validation_loss`, `validation_accuracy` ...).
    """

    epoch: int
    positions: Sequence[int]
    metrics: Sequence[Mapping[str, float]]


OnRung = Callable[[Rung], Sequence[bool]]
"""Called at each report; answers, for each of `positions`, whether the trial goes on. May raise to stop them all."""


OnStep = Callable[[bool], None]
"""Called after each training step of the cohort; its argument says whether another one of the epoch follows at once."""


OnComplete = Callable[[int, nn.Module], Mapping[str, object]]
"""Called with the place and the trained network of each trial that completes; what it answers joins its metrics.

The network is in evaluation mode, on the device, and the callee's to look at during the call, not to keep or change.
"""


@dataclass(frozen=True)
class TrainingOutcome:
    """What became of one candidate.

    Args:
        state: `complete`, `pruned` or `failed`.
        metrics: final metrics and diagnostics by name: `train_*`, `validation_*`, `test_*` (test only for complete
            trials), `dead_fraction`, `activation_sparsity` (both also `_by_site`), `gradient_ratio`, `parameters`,
            `seconds`, `seed`, `environment` (device, precision, versions, peak memory of the cohort) ...
        reason, detail: for `failed`.
    """

    state: str
    metrics: Mapping[str, object] = field(default_factory=dict)
    reason: FailureReason | None = None
    detail: str = ""
