"""bfloat16: what is computed in it, what is not, and that a trial learns the same alone and in a cohort."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state

from actsearch.architectures import InputSpec
from actsearch.schemas import ActivationSpec, Training
from actsearch.tasks import get_task
from actsearch.training import Candidate, build_module
from actsearch.training.loop import new_trials
from actsearch.training.precision import full_float32, in_precision, takes_tf32

torch.set_num_threads(1)

CPU = torch.device("cpu")
# Relative: bfloat16 has 8 bits, 0.4 % an operation, and training magnifies it.
TOLERANCE = 0.03


@pytest.mark.parametrize(
    ("architecture", "parameters"),
    [
        ("mlp", {"depth": 2, "width": 8}),
        ("mlp", {"depth": 2, "width": 8, "norm": "batch", "dropout": 0.3}),
        ("mlp", {"depth": 2, "width": 8, "norm": "layer"}),
        ("mlp", {"depth": 2, "width": 8, "unit": "glu"}),
        ("mlp", {"depth": 2, "width": 8, "unit": "meta_acon"}),
        ("convnet", {"channels": 3, "stages": 2, "layers": 1, "unit": "frelu"}),
        ("convnet", {"channels": 3, "stages": 2, "layers": 1, "norm": "batch"}),
        ("convnet", {"channels": 4, "stages": 2, "layers": 1, "norm": "layer"}),
        ("resnet", {"channels": 2}),
        ("vit", {"width": 6, "heads": 2, "depth": 1, "dropout": 0.2}),
        ("mlp_mixer", {"width": 5, "depth": 1}),
    ],
)
def test_alone_and_in_a_cohort_a_trial_learns_the_same(
    train_toy: Any, candidate: Any, architecture: str, parameters: dict[str, Any]
) -> None:
    candidates = [
        candidate("gelu"),
        candidate("prelu", rate=0.005),
        candidate("leaky_relu", slope=0.1),
        candidate("leaky_relu", slope=0.3, rate=0.003),
    ]
    settings = {"epochs": 2, "precision": "bfloat16"}

    together = train_toy(candidates, architecture, parameters, **settings)
    exact = train_toy(candidates, architecture, parameters, epochs=2)

    for place, one in enumerate(candidates):
        alone = train_toy([one], architecture, parameters, **settings).outcomes[0]
        found = together.outcomes[place]
        for name in ("train_loss", "validation_loss", "test_loss"):
            assert found.metrics[name] == pytest.approx(alone.metrics[name], rel=TOLERANCE), name
        for name in ("dead_fraction", "activation_sparsity"):
            assert found.metrics[name] == pytest.approx(alone.metrics[name], abs=0.01), name
        expected = exact.outcomes[place].metrics
        assert found.metrics["train_loss"] != expected["train_loss"]
        assert found.metrics["train_loss"] == pytest.approx(expected["train_loss"], rel=3 * TOLERANCE)
        assert found.metrics["environment"]["precision"] == "bfloat16"


def trials_of(families: list[str], width: int = 4) -> Any:
    spec = InputSpec("image", (1, 6, 6), 10)
    candidates = [Candidate({"network": ActivationSpec(family=f)}, 0.01, 0.0, 0.9) for f in families]
    parameters = {"depth": 1, "width": width}
    modules = [build_module("mlp", parameters, spec, c.activations, 0) for c in candidates]
    return new_trials(modules, candidates, get_task("digits"), Training(optimizer="sgd", precision="bfloat16"), CPU)


@pytest.mark.parametrize("families", [["relu"], ["relu", "leaky_relu"]], ids=["alone", "cohort"])
def test_diagnostics_count_exactly(families: list[str]) -> None:
    trials = trials_of(families, width=7)
    part = (torch.zeros(143, 1, 6, 6), torch.zeros(143, dtype=torch.int64))  # 1001 zeros, which bfloat16 cannot say

    (share,) = trials.near_zero(part, 1e-3).values()

    torch.testing.assert_close(share, torch.ones(len(families)))


@pytest.mark.parametrize("families", [["gelu"], ["gelu", "prelu"]], ids=["alone", "cohort"])
def test_trained_numbers_and_losses_are_float32_and_signals_bfloat16(families: list[str]) -> None:
    trials = trials_of(families)
    batch = (torch.randn(8, 1, 6, 6), torch.randint(0, 10, (8,)))

    losses = trials.step(batch, 1.0)

    assert {losses.dtype, *(value.dtype for value in trials.evaluate(batch).values())} == {torch.float32}
    assert {value.dtype for value in trials.largest_slopes(batch).values()} == {torch.bfloat16}
    assert {value.dtype for value in trials.module(0).parameters()} == {torch.float32}


class Products(nn.Module):
    """A network of every kind of product, noting the types of what comes out of each."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.Sequential(
            nn.Conv1d(3, 4, 3, padding=1), nn.BatchNorm1d(4), nn.GELU(), nn.GroupNorm(2, 4), nn.Conv1d(4, 4, 1)
        )
        self.linear, self.norm = nn.Linear(8, 8), nn.LayerNorm(8)
        self.types: list[torch.dtype] = []

    def forward(self, x: Tensor) -> Tensor:
        for part in (*self.parts, self.linear, self.norm):
            x = self._noted(part(x))
        scores = self._noted(x @ x.mT).softmax(-1)
        return self._noted(torch.einsum("bij,bjk->bik", scores, x))

    def _noted(self, x: Tensor) -> Tensor:
        self.types.append(x.dtype)
        return x


def test_under_vmap_everything_has_the_type_that_autocast_gives_it() -> None:
    torch.manual_seed(0)
    network, x = Products(), torch.randn(5, 3, 8)
    alone = in_precision("bfloat16", CPU, network)(x)
    types, network.types = network.types, []
    parameters, buffers = stack_module_state([network, network])  # type: ignore[list-item]
    network.train()

    def run(*state: Any) -> Tensor:
        return functional_call(network, state, (x,))

    together = torch.vmap(in_precision("bfloat16", CPU, run, vmapped=True), randomness="same")(parameters, buffers)

    assert types == network.types
    assert together.dtype == alone.dtype == torch.float32
    torch.testing.assert_close(together, alone.expand(2, -1, -1, -1), rtol=0.02, atol=0.02)


def test_float32_changes_nothing() -> None:
    network = nn.Linear(2, 2)
    assert in_precision("float32", CPU, network) is network


def _old_names() -> list[Any]:
    return [
        torch.backends.cudnn.allow_tf32,
        torch.backends.cuda.matmul.allow_tf32,
        torch.get_float32_matmul_precision(),
    ]


def _new_names() -> list[str]:
    backends = torch.backends
    return [place.fp32_precision for place in (backends.cudnn.conv, backends.cudnn.rnn, backends.cuda.matmul)]


def _choose(given: str) -> None:
    if given == "allow_tf32":
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True
    elif given == "none allowed":
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    elif given == "fp32_precision":
        torch.backends.cudnn.conv.fp32_precision = torch.backends.cuda.matmul.fp32_precision = "tf32"
    elif given in ("high", "medium"):
        torch.set_float32_matmul_precision(given)


CHOICES = ["as torch has it", "allow_tf32", "none allowed", "high", "medium", "fp32_precision"]


@pytest.fixture(params=CHOICES)
def chosen(request: pytest.FixtureRequest) -> Iterator[str]:
    """Torch's own defaults, or what a user has set; afterwards the defaults again."""
    names = _new_names()
    _choose(request.param)
    yield request.param
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = True
    backends = torch.backends
    for place, value in zip((backends.cudnn.conv, backends.cudnn.rnn, backends.cuda.matmul), names, strict=True):
        place.fp32_precision = value


def test_training_is_never_in_tf32(train_toy: Any, candidate: Any, chosen: str) -> None:
    seen: list[bool] = []
    assert takes_tf32() == (chosen != "none allowed")

    def keep(epoch: int, place: int) -> bool:
        seen.append(takes_tf32())
        return True

    train_toy([candidate("relu")], epochs=1, keep=keep)

    assert seen == [False]


def test_the_choice_of_tf32_is_left_as_it_was(chosen: str) -> None:
    mixed = chosen == "fp32_precision"  # torch itself then refuses to answer to the old names
    before = _new_names(), None if mixed else _old_names()

    with full_float32():
        assert _old_names() == [False, False, "highest"]  # which torch's compiler asks for
        assert torch.compile(nn.Linear(2, 2), backend="eager")(torch.zeros(1, 2)).shape == (1, 2)

    assert (_new_names(), None if mixed else _old_names()) == before
