"""The built-in tasks against published facts, closed forms and scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, log_loss, r2_score
from torch import Tensor
from torch.func import grad, vmap

from actsearch.tasks import get_task, load
from actsearch.tasks.classification import classification_metrics
from actsearch.tasks.gan_ring import DEVIATION, NOISE, RADIUS, gan_loss, gan_metrics
from actsearch.tasks.image_fit import image_metrics, photo_samples
from actsearch.tasks.multi_sine import multi_sine
from actsearch.tasks.pinn_poisson import bounded, laplacian, poisson_loss, poisson_metrics, solution
from actsearch.tasks.regression import regression_metrics
from actsearch.tasks.sunspots import windows
from actsearch.tasks.text import ALPHABET, encode, language_metrics, next_characters, without_repeats


def test_classification_metrics_are_scikit_learns() -> None:
    logits, y = torch.randn(50, 4, dtype=torch.float64), torch.randint(4, (50,))
    found = classification_metrics(logits, (logits, y))
    assert found["accuracy"].item() == pytest.approx(accuracy_score(y, logits.argmax(-1)))
    assert found["loss"].item() == pytest.approx(log_loss(y, logits.softmax(-1), labels=range(4)))


def test_regression_metrics_are_scikit_learns() -> None:
    outputs, y = torch.randn(50, 3, dtype=torch.float64), torch.randn(50, 3, dtype=torch.float64)
    found = regression_metrics(outputs, (y, y))
    assert found["r2"].item() == pytest.approx(r2_score(y, outputs))
    assert found["mse"].item() == pytest.approx(float(((outputs - y) ** 2).mean()))


def test_forecasts_are_of_what_follows_the_window() -> None:
    x, y = windows(np.arange(20), 5, 2)
    assert x.shape == (14, 1, 5)
    assert (x[3, 0] == [3, 4, 5, 6, 7]).all()
    assert (y[3] == [8, 9]).all()


def test_no_year_is_a_target_of_two_parts() -> None:
    data = load("sunspots", {"window": 10, "horizon": 3})
    targets = sum(len(part[1]) + 2 for part in (data.train, data.validation, data.test))
    assert targets == 309 - 10


def test_the_alphabet_codes_every_character_once() -> None:
    assert len(ALPHABET) == 96
    assert (encode(ALPHABET) == torch.arange(96)).all()
    assert encode("é").item() == ALPHABET.index("?")


def test_targets_are_the_next_characters() -> None:
    x, y = next_characters(torch.arange(50), 8)
    assert x.shape == y.shape == (6, 8)
    assert torch.equal(x.flatten(), torch.arange(48))
    assert torch.equal(y, x + 1)


def test_repeated_paragraphs_are_kept_once_where_they_came_first() -> None:
    assert without_repeats(["a\n\nb  c", "b c\n\nd", "\n\na"]) == "a\n\nb  c\n\nd"


def test_text_predicted_at_random_costs_the_logarithm_of_the_alphabet() -> None:
    data = load("text")
    found = language_metrics(torch.zeros(*data.test[1].shape, 96), data.test)
    assert found["bits_per_character"].item() == pytest.approx(math.log2(96), rel=1e-4)
    assert found["loss"].item() == pytest.approx(math.log(96), rel=1e-4)


def test_photo_lies_on_the_square_and_keeps_its_mean_colour() -> None:
    x, colours = photo_samples("china", 16)
    fine = photo_samples("china", 64)[1]
    assert (x.min().item(), x.max().item()) == (-1 + 1 / 32, 1 - 1 / 32)
    torch.testing.assert_close(colours.mean(0), fine.mean(0), atol=0.01, rtol=0)


def test_psnr_of_a_known_error() -> None:
    target = torch.zeros(10, 3)
    assert image_metrics(target + 0.1, (target, target))["psnr"].item() == pytest.approx(20, abs=1e-4)


def test_multi_sine_has_mean_zero_and_variance_one() -> None:
    y = multi_sine(np.linspace(-1, 1, 10_000, endpoint=False), 5)
    assert y.mean() == pytest.approx(0, abs=1e-9)
    assert y.var() == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_the_known_solution_has_no_residual(dimensions: int) -> None:
    """The network that equals u / Π (1 - x²) solves the equation, so loss and error vanish (float64)."""
    data = load("pinn_poisson", {"dimensions": dimensions, "samples": 128})
    inside = data.train[0].double() * 0.9
    peak = dimensions * (2 * math.pi) ** 2
    u = solution(inside, 2)
    part = (inside, peak * u, torch.full_like(u, peak), u)

    def exact(x: Tensor) -> Tensor:
        return solution(x, 2) / bounded(x, torch.ones_like(x[:, :1]))

    assert poisson_loss(exact, part).item() < 1e-18
    assert poisson_metrics(exact(inside), part)["relative_l2"].item() < 1e-12
    assert poisson_metrics(torch.zeros_like(u), part)["relative_l2"].item() == pytest.approx(1)


def test_laplacian_of_a_polynomial() -> None:
    """u = (1 - x²)(1 - y²) has Δu = 2 (x² + y²) - 4."""
    x = torch.rand(20, 2, dtype=torch.float64)
    found = laplacian(lambda at: torch.ones_like(at[:, :1]), x)
    torch.testing.assert_close(found[:, 0], 2 * x.square().sum(-1) - 4)


def test_the_equations_loss_never_looks_at_the_solution() -> None:
    x, f, peak, u = load("pinn_poisson").train
    blind = (x, f, peak, torch.full_like(u, math.nan))
    assert torch.isfinite(poisson_loss(lambda at: torch.tanh(3 * at), blind))


def test_a_piecewise_linear_network_has_no_curvature_of_its_own() -> None:
    """With u = (1 - x²) n(x) and n'' = 0, all the loss sees of a ReLU network is Δu = -2 n - 4 x n'."""
    x = torch.linspace(-0.9, 0.9, 37, dtype=torch.float64)[:, None]
    weight, bias = torch.randn(1, 16, dtype=torch.float64), torch.randn(16, dtype=torch.float64)
    n = torch.relu(x @ weight + bias).sum(-1, keepdim=True)
    slope = ((x @ weight + bias > 0) * weight).sum(-1, keepdim=True)
    found = laplacian(lambda at: torch.relu(at @ weight + bias).sum(-1, keepdim=True), x)
    torch.testing.assert_close(found, -2 * n - 4 * x * slope)


def ring_part(samples: int = 800, modes: int = 8) -> tuple[Tensor, Tensor]:
    return load("gan_ring", {"samples": samples, "modes": modes}).train


def outputs_with(points: Tensor) -> Tensor:
    return torch.cat([torch.zeros(len(points), 3), points], -1)


def test_real_points_score_as_a_perfect_generator() -> None:
    part = ring_part()
    found = gan_metrics(outputs_with(part[0][:, NOISE:].flip(0)), part)
    assert found["sliced_wasserstein"].item() == pytest.approx(0, abs=1e-6)
    assert found["modes_covered"].item() == 1
    assert found["quality"].item() > 0.99


def test_mode_collapse_shows() -> None:
    part = ring_part()
    one = torch.tensor([[RADIUS, 0.0]]) + DEVIATION * torch.randn(len(part[0]), 2)
    found = gan_metrics(outputs_with(one), part)
    assert found["modes_covered"].item() == pytest.approx(1 / 8)
    assert found["sliced_wasserstein"].item() > 0.5


def test_an_undecided_discriminator_costs_three_bits() -> None:
    part = ring_part()
    assert gan_loss(lambda x: torch.zeros(len(x), 5), part).item() == pytest.approx(3 * math.log(2), rel=1e-5)


def pair(weights: dict[str, Tensor], x: Tensor) -> Tensor:
    """The smallest network that keeps the ring's contract: a linear generator and a tanh discriminator."""

    def judge(points: Tensor, w: Tensor) -> Tensor:
        return torch.tanh(points @ w).sum(-1, keepdim=True)

    fake, d = x[:, :NOISE] @ weights["generator"], weights["discriminator"]
    return torch.cat([judge(x[:, NOISE:], d), judge(fake.detach(), d), judge(fake, d.detach()), fake], -1)


def test_each_half_of_the_pair_learns_from_its_own_loss() -> None:
    """Under vmap and grad the one loss gives both halves the gradients of the usual two-step scheme."""
    x = ring_part()[0][:64]
    stacked = {"generator": torch.randn(3, 2, 2), "discriminator": torch.randn(3, 2, 8)}
    found = vmap(grad(lambda w: gan_loss(lambda at: pair(w, at), (x,))))(stacked)
    for k in range(3):
        g, d = (stacked[name][k].clone().requires_grad_() for name in ("generator", "discriminator"))
        fake = x[:, :NOISE] @ g
        judged = [torch.tanh(points @ d).sum(-1) for points in (x[:, NOISE:], fake.detach(), fake)]
        softplus = torch.nn.functional.softplus
        discriminator = torch.autograd.grad((softplus(-judged[0]) + softplus(judged[1])).mean(), d, retain_graph=True)
        generator = torch.autograd.grad(softplus(-judged[2]).mean(), g)
        torch.testing.assert_close(found["discriminator"][k], discriminator[0])
        torch.testing.assert_close(found["generator"][k], generator[0])


def test_every_source_of_the_photos_is_credited() -> None:
    source = get_task("image_fit").source
    assert all(word in source for word in ("CC BY 2.0", "danielbuechele", "vultilion"))
