"""Products of stacks of matrices by NumPy's library: against torch's, and where it is taken."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from actsearch.processor import blas_environment, is_amd_with_avx512
from actsearch.training.products import affine, affine_by_openblas

SIZES = st.integers(1, 9)


def numbers(seed: int, *shape: int) -> Tensor:
    """In float64, so that torch's products differ by their last places only."""
    drawn = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return drawn.requires_grad_()


def transposed(x: Tensor) -> Tensor:
    return x.mT.contiguous().mT


def every_second(x: Tensor) -> Tensor:
    """The same numbers, none beside another in memory."""
    return torch.stack([x, x], dim=-1).flatten(-2)[..., ::2]


@settings(deadline=None)
@given(trials=st.none() | SIZES, out=SIZES, inputs=SIZES, samples=SIZES, biased=st.booleans(), data=st.data())
def test_it_gives_torchs_values_and_gradients_however_its_operands_lie(
    trials: int | None, out: int, inputs: int, samples: int, *, biased: bool, data: st.DataObject
) -> None:
    lead = () if trials is None else (trials,)
    weight, x = numbers(0, *lead, out, inputs), numbers(1, *lead, inputs, samples)
    bias = numbers(2, *lead, out) if biased else None
    lie = st.sampled_from([lambda y: y, transposed, every_second])
    weight_lies, x_lies, gradient_lies = (data.draw(lie) for _ in range(3))
    gradient = gradient_lies(numbers(3, *lead, out, samples).detach())
    leaves = [weight, x] if bias is None else [weight, x, bias]

    ours = affine_by_openblas(weight_lies(weight), x_lies(x), bias)
    torchs = weight @ x if bias is None else weight @ x + bias.unsqueeze(-1)

    torch.testing.assert_close(ours, torchs)
    found = torch.autograd.grad(ours, leaves, gradient)
    torch.testing.assert_close(found, torch.autograd.grad(torchs, leaves, gradient))


def test_gradients_of_a_sum_and_of_gradients() -> None:
    """A sum's gradient is one number that all share; a task's loss may take derivatives itself."""
    operands = (numbers(0, 3, 2, 4), numbers(1, 3, 4, 5), numbers(2, 3, 2))
    torch.autograd.gradcheck(lambda *given: affine_by_openblas(*given).sum(), operands)
    torch.autograd.gradgradcheck(affine_by_openblas, operands)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("wrong", [torch.nan, torch.inf, torch.finfo().max])
def test_one_trial_that_diverges_does_not_touch_the_others(wrong: float) -> None:
    weight, x = torch.ones(3, 4, 4), torch.ones(3, 4, 4)
    weight[1] = wrong
    assert affine_by_openblas(weight, x, None).isfinite().all(dim=(1, 2)).tolist() == [True, False, True]


def test_elsewhere_torch_multiplies() -> None:
    """Here, for one: the tests' own process has not the environment of a device process."""
    weight, x, bias = torch.randn(3, 2, 4), torch.randn(3, 4, 5), torch.randn(3, 2)
    for one in (slice(None), 0):
        torch.testing.assert_close(affine(weight[one], x[one], bias[one]), weight[one] @ x[one] + bias[one][..., None])
        torch.testing.assert_close(affine(weight[one], x[one], None), weight[one] @ x[one])


TRAINED = """
import torch
from actsearch.schemas import ActivationSpec, Training
from actsearch.tasks import get_task, load
from actsearch.training import Candidate, Cohort, Plan, train
from actsearch.architectures import InputSpec
from actsearch.training import cohort_size
from actsearch.training.products import multiplies_by_openblas
torch.set_num_threads(1)
specs = [ActivationSpec(family=name) for name in ("relu", "gelu", "gelu", "tanh")]
cohort = Cohort("mlp", {"depth": 2, "width": 16}, [Candidate({"network": s}, 0.01, 0.0, 0.9) for s in specs])
plan = Plan(Training(epochs=3, optimizer="sgd"), device="cpu")
outcomes = train(cohort, get_task("digits"), load("digits"), plan, lambda rung: [True] * len(rung.positions))
sizes = [
    cohort_size("mlp", {"width": 256} | other, InputSpec("image", (1, 8, 8), 10), batch_size=b, device="cpu", limit=64)
    for b, other in ((64, {}), (64, {"norm": "batch"}), (64, {"norm": "layer"}), (16, {}))
]
print(multiplies_by_openblas(), *sizes, *(outcome.metrics["train_loss"] for outcome in outcomes))
"""


@pytest.fixture(scope="module")
def trained() -> dict[str, list[str]]:
    """What the script prints, by the processor that OpenBLAS is told of; on any but AMD's with AVX-512 all the same."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("OPENBLAS")}
    environments = {
        "device": plain | {"OPENBLAS_NUM_THREADS": "1"} | blas_environment(),
        "old": plain | {"OPENBLAS_NUM_THREADS": "1", "OPENBLAS_CORETYPE": "Haswell"},
    }
    return {
        name: subprocess.run([sys.executable, "-c", TRAINED], env=env, check=True, capture_output=True, text=True)
        .stdout.split()
        for name, env in environments.items()
    }  # fmt: skip


def test_it_is_taken_where_it_is_faster(trained: dict[str, list[str]]) -> None:
    taken = {name: printed[0] for name, printed in trained.items()}
    assert taken == {"device": str(is_amd_with_avx512()), "old": "False"}


def test_where_it_is_taken_wide_networks_are_stacked_too(trained: dict[str, list[str]]) -> None:
    sizes = {name: [int(size) for size in printed[1:5]] for name, printed in trained.items()}
    alone = [1] * 4
    together = [2**23 // 150_794, 2**23 // 152_330, 1, 1]  # without and with batch norm; layer norm, small batches
    assert sizes == {"device": together if is_amd_with_avx512() else alone, "old": alone}


def test_a_cohort_learns_the_same_with_either(trained: dict[str, list[str]]) -> None:
    losses = {name: [float(loss) for loss in printed[5:]] for name, printed in trained.items()}
    assert losses["device"] == pytest.approx(losses["old"], rel=1e-4)
