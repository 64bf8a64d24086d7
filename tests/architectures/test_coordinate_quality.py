"""`coordinate` does what it is there for: it solves an equation, and represents a photo as well as SIREN itself."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn

from actsearch.schemas import ActivationSpec, Training
from actsearch.tasks import Dataset, get_task, load
from actsearch.training import Candidate, Cohort, Plan, train

torch.set_num_threads(1)

STEPS = 600
WIDTH, LAYERS, OMEGA, LEARNING_RATE = 64, 3, 30.0, 1e-4


def trained(
    task: str, data: Dataset, activation: ActivationSpec, training: Training, **architecture: float
) -> Mapping[str, float]:
    """The final metrics of one network."""
    candidate = Candidate({"network": activation}, training.learning_rate, 0.0, 0.0)
    plan = Plan(training, report_every=training.epochs)
    cohort = Cohort("coordinate", architecture, [candidate])
    (outcome,) = train(cohort, get_task(task), data, plan, lambda rung: [True] * len(rung.positions))
    assert outcome.state == "complete"
    return outcome.metrics  # type: ignore[return-value]


@pytest.mark.parametrize("family", ["tanh", "gelu"])
def test_smooth_activations_solve_the_poisson_equation(family: str) -> None:
    training = Training(epochs=60, learning_rate=3e-3, schedule="cosine")
    data = load("pinn_poisson", {"samples": 512})
    assert trained("pinn_poisson", data, ActivationSpec(family=family), training)["test_relative_l2"] < 0.1


def test_relu_cannot_solve_it_since_its_second_derivative_is_zero() -> None:
    training = Training(epochs=20, learning_rate=3e-3, schedule="cosine")
    data = load("pinn_poisson", {"samples": 512})
    assert trained("pinn_poisson", data, ActivationSpec(family="relu"), training)["test_relative_l2"] > 0.5


@pytest.fixture(scope="module")
def photo() -> Dataset:
    return load("image_fit", {"size": 16})


def on_photo(photo: Dataset, activation: ActivationSpec, learning_rate: float, input_scale: float) -> float:
    """PSNR in dB on held-out places, after `STEPS` steps of Adam on all others."""
    training = Training(epochs=STEPS, batch_size=len(photo.train[0]), optimizer="adam", learning_rate=learning_rate)
    return trained("image_fit", photo, activation, training, input_scale=input_scale)["test_psnr"]


SINE = ActivationSpec(family="sine", parameters={"omega": OMEGA})


class Sine(nn.Module):
    """A layer of SIREN, as its authors' code has it."""

    def __init__(self, inputs: int, outputs: int, *, first: bool) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)
        bound = 1 / inputs if first else math.sqrt(6 / inputs) / OMEGA
        nn.init.uniform_(self.linear.weight, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(OMEGA * self.linear(x))


def siren(photo: Dataset) -> float:
    """PSNR in dB of the authors' network on held-out places: omega_0 = 30, Adam at 1e-4."""
    torch.manual_seed(0)
    output = nn.Linear(WIDTH, 3)
    bound = math.sqrt(6 / WIDTH) / OMEGA
    nn.init.uniform_(output.weight, -bound, bound)
    hidden = [Sine(WIDTH, WIDTH, first=False) for _ in range(LAYERS - 1)]
    network = nn.Sequential(Sine(2, WIDTH, first=True), *hidden, output)
    optimiser = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
    x, y = photo.train
    for _ in range(STEPS):
        optimiser.zero_grad()
        (network(x) - y).square().mean().backward()
        optimiser.step()
    with torch.no_grad():
        return -10 * math.log10(float((network(photo.test[0]) - photo.test[1]).square().mean()))


@pytest.fixture(scope="module")
def ours(photo: Dataset) -> float:
    """With frequencies as omega_0 = 30 gives them: uniform on ±1/2, so of deviation 30 / sqrt(12) = 8.7."""
    return on_photo(photo, SINE, LEARNING_RATE, input_scale=OMEGA / math.sqrt(12))


def test_with_its_settings_it_is_as_good_as_siren(photo: Dataset, ours: float) -> None:
    reference = siren(photo)
    assert reference > 25
    assert ours > reference - 1.0


def test_sines_represent_a_photo_far_better_than_relu(photo: Dataset, ours: float) -> None:
    relu = max(on_photo(photo, ActivationSpec(family="relu"), 3e-3, scale) for scale in (1.0, 3.0))
    assert ours > relu + 3.0
