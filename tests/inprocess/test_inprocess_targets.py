"""The user's targets are taken as they are meant, or the answer says how to say otherwise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from actsearch.errors import InvalidRequest
from actsearch.inprocess import SearchResult, search
from actsearch.inprocess.data import held_out
from actsearch.inprocess.task import fitted, taken

X = torch.randn(120, 4, generator=torch.Generator().manual_seed(0))
SUM = X.sum(1)
YES = (SUM > 0).long()
LABELS = (X[:, :3] > 0).long()
COUNTS = torch.poisson(torch.exp(X[:, 0]), generator=torch.Generator().manual_seed(1)).long()


def network(outputs: int, *, flat: bool = False) -> nn.Module:
    end = [nn.Flatten(0)] if flat else []
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, outputs), *end)


def searched(module: nn.Module, targets: Any, **keywords: Any) -> SearchResult:
    wanted = {"families": ["relu", "tanh"], "trials": 4, "epochs": 3, "learning_rate": 0.02, "seed": 0} | keywords
    return search(module, (X, targets), **wanted)


@pytest.mark.parametrize(
    ("outputs", "flat", "targets", "keywords", "kind", "metric"),
    [
        (2, False, YES, {}, "classification", "accuracy"),
        (2, False, YES.unsqueeze(1), {}, "classification", "accuracy"),
        (2, False, F.one_hot(YES).float(), {}, "classification", "accuracy"),
        (1, False, YES, {}, "binary", "accuracy"),
        (1, True, YES.float(), {}, "binary", "accuracy"),
        (1, True, YES.unsqueeze(1), {}, "binary", "accuracy"),
        (3, False, LABELS, {}, "multilabel", "loss"),
        (1, False, SUM, {}, "regression", "mse"),
        (1, True, SUM.unsqueeze(1), {}, "regression", "mse"),
        (1, True, COUNTS, {}, "regression", "mse"),
        (1, True, COUNTS, {"kind": "count"}, "count", "poisson_deviance"),
        (1, False, COUNTS, {"kind": "count"}, "count", "poisson_deviance"),
    ],
)
def test_each_kind_is_learned_and_told(
    outputs: int, flat: bool, targets: Tensor, keywords: dict[str, Any], kind: str, metric: str
) -> None:
    found = searched(network(outputs, flat=flat), targets, cohort_size=4, **keywords)
    assert {trial.state for trial in found.trials} == {"complete"}
    assert found.objective.metric == metric
    assert found.notes[0].startswith(f"targets: {kind} (")
    assert found.notes[0] in str(found)
    assert found.best.metrics["environment"]["cohort_size"] == 4


def test_a_cohort_trains_labels_as_one_network_alone_does() -> None:
    flat = network(1, flat=True)
    for targets, module, kind in (
        (YES, network(1), None),
        (YES, flat, None),
        (LABELS, network(3), None),
        (COUNTS, flat, "count"),
    ):
        together, alone = (searched(module, targets, cohort_size=n, kind=kind) for n in (4, 1))
        losses = [[trial.metrics["validation_loss"] for trial in found.trials[:2]] for found in (together, alone)]
        assert losses[0] == pytest.approx(losses[1], rel=1e-4)


@pytest.mark.parametrize(
    ("outputs", "targets", "keywords", "words"),
    [
        (3, SUM, {}, r"outputs have shape \(3,\), its targets \(\); regression, as which they are taken,"),
        (1, YES * 2 - 1, {"kind": "binary"}, "binary targets are 0 and 1; found -1, 1"),
        (2, SUM, {"kind": "classification"}, "a class is a whole number"),
        (1, -COUNTS, {"kind": "count"}, "a count is 0, 1, 2"),
        (2, YES + 1, {}, "classes go from 1 to 2, but the network has 2 outputs"),
    ],
)
def test_what_does_not_fit_is_refused(outputs: int, targets: Tensor, keywords: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        searched(network(outputs), targets, **keywords)


def _quiet_mse(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs - targets).square().mean()


def _mean_error(outputs: Tensor, targets: Tensor) -> Tensor:
    return torch.mean(torch.abs(torch.sub(targets, outputs)))


@pytest.mark.parametrize("loss", [_quiet_mse, _mean_error, F.mse_loss, nn.SmoothL1Loss(), nn.HuberLoss()])
@pytest.mark.filterwarnings("ignore:Using a target size")
def test_a_loss_of_the_user_that_broadcasts_is_refused(loss: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"pairs every output with the target of every sample.*squeeze"):
        searched(network(1), SUM, loss=loss)
    with pytest.raises(InvalidRequest, match=r"metric: .*pairs every output"):
        searched(network(1, flat=True), SUM, metric=lambda o, t: loss(o.unsqueeze(1), t))
    assert searched(network(1, flat=True), SUM, loss=loss).best.value is not None


def test_losses_that_mean_their_shapes_pass() -> None:
    def contrast(outputs: Tensor, targets: Tensor) -> Tensor:
        pairs = (outputs.unsqueeze(1) - outputs.unsqueeze(0)).square().sum(-1)
        return (pairs * (targets.unsqueeze(1) == targets.unsqueeze(0))).mean()

    def weighted(outputs: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(outputs, targets, weight=torch.tensor([1.0, 3.0]))

    for loss in (contrast, weighted):
        assert {t.state for t in searched(network(2), YES, loss=loss).trials} == {"complete"}


def test_class_counts_are_told() -> None:
    found = searched(network(2), YES, trials=1)
    assert found.notes[1].startswith("training samples by class: 0 ")


def test_the_part_that_is_held_out_is_stratified() -> None:
    rare = torch.zeros(100).long()
    rare[:10] = 1
    for seed in range(20):
        rest, out = held_out((torch.randn(100, 2), rare), seed, 100, "classification")
        assert (int(out[1].sum()), len(out[1]), int(rest[1].sum())) == (2, 20, 8)


def test_service_and_process_take_targets_alike() -> None:
    targets = torch.arange(5000) % 500
    assert taken(targets, torch.zeros(4, 500), None).kind == "classification"
    part = fitted((torch.zeros(5000, 1), targets), torch.zeros(4, 500), "classification", "train_data")
    assert np.array_equal(part[1], targets)


def ending(outputs: int, *end: nn.Module) -> nn.Module:
    return nn.Sequential(network(outputs), *end)


class Distance(nn.Module):
    """Of the halves of a sample, negative: nearer is larger."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 3))

    def forward(self, x: Tensor) -> Tensor:
        return -(self.embedding(x[:, :2]) - self.embedding(x[:, 2:])).square().sum(1)


@pytest.mark.parametrize(
    ("module", "targets", "kind"),
    [
        (ending(1, nn.Sigmoid()), YES, None),
        (ending(1, nn.ReLU()), YES, None),
        (Distance(), YES, None),
        (ending(3, nn.Sigmoid()), LABELS, None),
        (ending(1, nn.Softplus()), COUNTS, "count"),
        (lambda act: nn.Sequential(nn.Linear(4, 8), act(), nn.Linear(8, 1), nn.Sigmoid()), YES, None),
    ],
)
def test_outputs_that_cannot_be_logits_are_refused(module: Any, targets: Tensor, kind: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"never (below|above) 0"):
        searched(module, targets, kind=kind)


def test_a_head_of_ones_own_goes_with_a_loss_of_ones_own() -> None:
    module = ending(1, nn.Sigmoid(), nn.Flatten(0))
    found = searched(module, YES.float(), loss=F.binary_cross_entropy)
    assert {trial.state for trial in found.trials} == {"complete"}


@pytest.mark.parametrize(
    ("end", "noted"), [(nn.Softmax(1), True), (nn.Sigmoid(), True), (nn.LogSoftmax(1), False), (nn.Identity(), False)]
)
def test_probabilities_under_cross_entropy_are_noted(end: nn.Module, noted: bool) -> None:
    found = searched(ending(2, end), YES)
    assert any("makes probabilities" in note for note in found.notes) is noted


def test_a_last_layer_of_zeros_is_no_squashed_output() -> None:
    module = network(1)
    nn.init.zeros_(module[2].weight)
    nn.init.zeros_(module[2].bias)
    assert {trial.state for trial in searched(module, YES, weights="given").trials} == {"complete"}


def test_what_made_trials_fail_is_told() -> None:
    found = searched(network(1), SUM * 1e25)  # whose squares are infinite
    assert found.trials[0].failure
    assert f"4 of 4 trials failed: {found.trials[0].failure}" in str(found)


def test_frames_whose_rows_are_named_in_another_order_are_refused() -> None:
    inputs, targets = pd.DataFrame(X.numpy()), pd.Series(YES.numpy())
    with pytest.raises(InvalidRequest, match="in another order"):
        search(network(2), (inputs, targets.sample(frac=1, random_state=0)), trials=1, epochs=1)
    other = targets.set_axis(range(1000, 1120))  # says nothing about the order
    assert search(network(2), (inputs, other), trials=1, epochs=1, confirmation="off").trials


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ((X, YES, torch.ones(120)), "is a tuple of 3"),
        (pd.DataFrame(X.numpy()).assign(y=YES.numpy()), "is a frame"),
        ((X.to(torch.complex64), YES), "complex"),
        ((X, X.to(torch.complex64)), "complex"),
    ],
    ids=["weights", "frame", "complex inputs", "complex targets"],
)
def test_what_are_no_inputs_and_targets_is_refused(data: Any, told: str) -> None:
    with pytest.raises(InvalidRequest, match=told):
        search(network(2), data, trials=1, epochs=1)


def test_samples_that_are_also_trained_on_are_told() -> None:
    once = {"families": ["relu"], "trials": 1, "epochs": 1, "confirmation": "off"}
    found = search(network(2), (X[:80], YES[:80]), (X[60:], YES[60:]), **once)
    assert any(note.startswith("valid_data: 20 of 60 samples are in train_data") for note in found.notes)
    apart = search(network(2), (X[:80], YES[:80]), (X[80:], YES[80:]), **once)
    assert not any("are in train_data" in note for note in apart.notes)


@pytest.mark.parametrize(
    ("metric", "told"), [(lambda o, t: float(o.mean()), "a float"), (lambda o, t: o[:, 0], "tensor of shape")]
)
def test_a_metric_that_gives_no_number_is_refused(metric: Any, told: str) -> None:
    with pytest.raises(InvalidRequest, match=told):
        searched(network(2), YES, metric=metric)


def test_the_direction_of_a_metric_is_told_where_it_is_guessed() -> None:
    def error(outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs - targets).abs().mean()

    once = {"trials": 1, "confirmation": "off"}
    guessed = searched(network(1, flat=True), SUM, metric=error, **once)
    assert 'metric: larger is taken to be better; `direction="minimize"` says otherwise' in guessed.notes
    said = searched(network(1, flat=True), SUM, metric=error, direction="minimize", **once)
    assert not any("larger is taken" in note for note in said.notes)
    for wrong in ({"direction": "maximize"}, {"metric": error, "direction": "smaller"}):
        with pytest.raises(InvalidRequest, match="direction"):
            searched(network(1, flat=True), SUM, **wrong, **once)


NAMES = np.array(["no", "yes"])[YES.numpy()]


@pytest.mark.parametrize(
    "names",
    [
        NAMES,
        NAMES.astype(object),
        NAMES.tolist(),
        pd.Series(NAMES),
        pd.Series(NAMES).astype("category"),
        NAMES[:, None],
    ],
    ids=["array", "objects", "list", "series", "categories", "column"],
)
@pytest.mark.parametrize("outputs", [1, 2])
def test_names_are_classes(names: Any, outputs: int) -> None:
    numbered, named = (searched(network(outputs), targets) for targets in (YES, names))
    assert [trial.value for trial in named.trials] == [trial.value for trial in numbered.trials]
    assert "classes: outputs 0 to 1 stand for 'no', 'yes'" in named.notes


def test_names_of_several_parts_are_numbered_alike_and_unknown_ones_named() -> None:
    backwards = (X[::2].flip(0), NAMES[::2][::-1])
    found = searched(network(2), NAMES, valid_data=backwards)
    expected = searched(network(2), YES, valid_data=(backwards[0], YES[::2].flip(0)))
    assert [trial.value for trial in found.trials] == [trial.value for trial in expected.trials]
    with pytest.raises(InvalidRequest, match=r"valid_data\[1\].*sample 1 .*'maybe'.*'no', 'yes'"):
        searched(network(2), NAMES, valid_data=(X[:2], ["no", "maybe"]))
    with pytest.raises(InvalidRequest, match=r"valid_data\[1\].*'no'; those of train_data are numbers"):
        searched(network(2), YES, valid_data=(X[:2], ["no", "yes"]))


def test_what_targets_are_taken_as_is_told_with_a_loss_of_ones_own_too() -> None:
    found = searched(network(2), YES, loss=F.cross_entropy)
    assert "trained by your own loss" in next(
        note for note in found.notes if note.startswith("targets: classification")
    )


@pytest.mark.parametrize(
    ("module", "x", "targets"),
    [
        (network(3), X, COUNTS.clamp(max=2).float()),
        (
            nn.Sequential(nn.Conv2d(1, 4, 1), nn.ReLU(), nn.Conv2d(4, 3, 1)),
            torch.randn(120, 1, 4, 4),
            torch.randint(0, 3, (120, 4, 4)),
        ),
    ],
    ids=["whole decimals", "a class a pixel"],
)
def test_a_guess_that_does_not_fit_says_how_to_say_otherwise(module: nn.Module, x: Tensor, targets: Tensor) -> None:
    with pytest.raises(InvalidRequest, match=r"regression, as which they are taken, .*`kind`; or give a `loss`"):
        search(module, (x, targets), trials=2, epochs=1)
