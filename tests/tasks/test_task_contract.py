"""What every task promises, checked for each declared one: parts, determinism, losses and metrics under vmap."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.func import grad, vmap

from actsearch.tasks import Dataset, Task, describe, get_task, load, tasks

TRIALS = 3

SIZES = {
    "digits": (1079, 359, 359),
    "mnist1d": (3200, 800, 1000),
    "breast_cancer": (341, 114, 114),
    "wine": (106, 36, 36),
    "diabetes": (266, 88, 88),
    "sunspots": (161, 62, 62),
    "text": (1249, 156, 156),
    "image_fit": (5530, 1843, 1843),
    "multi_sine": (614, 205, 205),
    "pinn_poisson": (614, 205, 205),
    "gan_ring": (2458, 819, 819),
}
every_task = pytest.mark.parametrize("name", sorted(SIZES))


def weights(data: Dataset) -> Tensor:
    """Weights of `TRIALS` tiny smooth networks that fit any input kind, float64 where inputs are numbers."""
    generator = torch.Generator().manual_seed(1)
    wide = data.outputs if data.input_kind == "tokens" else data.train[0][0].numel()
    return torch.randn(TRIALS, wide, data.outputs, generator=generator) / wide**0.5


def forward(weight: Tensor, x: Tensor) -> Tensor:
    """One tiny network: a table for tokens, tanh(x W) for numbers."""
    return weight[x] if x.dtype == torch.int64 else torch.tanh(x.flatten(1) @ weight)


def batch_of(data: Dataset, size: int = 16) -> tuple[Tensor, ...]:
    return tuple(column[:size] for column in data.train)


def test_every_builtin_task_is_listed_here() -> None:
    assert set(tasks()) == set(SIZES)


@every_task
def test_parts_have_their_sizes_and_shapes(name: str) -> None:
    data = load(name)
    parts = (data.train, data.validation, data.test)
    assert tuple(len(part[0]) for part in parts) == SIZES[name]
    for part in parts:
        assert {len(column) for column in part} == {len(part[0])}
        assert part[0].shape[1:] == data.input_shape
        assert all(column.dtype in (torch.float32, torch.int64) for column in part)
        assert all(torch.isfinite(column.float()).all() for column in part)


@every_task
def test_no_sample_is_in_two_parts(name: str) -> None:
    data = load(name)
    rows = [{column.numpy().tobytes() for column in part[0]} for part in (data.train, data.validation, data.test)]
    assert not rows[0] & rows[1]
    assert not rows[0] & rows[2]
    assert not rows[1] & rows[2]


@every_task
def test_loading_again_gives_the_same_numbers(name: str) -> None:
    task, data = get_task(name), load(name)
    assert load(name) is data
    again = task.load()
    pairs = [(data.train, again.train), (data.validation, again.validation), (data.test, again.test)]
    for part, other in pairs:
        assert all(torch.equal(a, b) for a, b in zip(part, other, strict=True))


@every_task
def test_loss_and_gradient_under_vmap_are_those_of_each_trial(name: str) -> None:
    task, data = get_task(name), load(name)
    batch, stacked = batch_of(data), weights(data)

    def loss(weight: Tensor) -> Tensor:
        return task.loss(lambda x: forward(weight, x), batch)

    together, slopes = vmap(loss)(stacked), vmap(grad(loss))(stacked)
    assert together.shape == (TRIALS,)
    for k in range(TRIALS):
        alone = stacked[k].clone().requires_grad_()
        value = loss(alone)
        torch.testing.assert_close(together[k], value.detach(), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(slopes[k], torch.autograd.grad(value, alone)[0], rtol=1e-3, atol=1e-5)
    assert slopes.abs().amax() > 0


@pytest.mark.parametrize("name", sorted(name for name, task in tasks().items() if task.stacked_loss is not None))
def test_stacked_loss_and_its_gradient_are_those_of_each_trial(name: str) -> None:
    task, data = get_task(name), load(name)
    assert task.stacked_loss is not None
    batch = batch_of(data)
    outputs = torch.stack([forward(weight, batch[0]) for weight in weights(data)]).detach().requires_grad_()
    together = task.stacked_loss(outputs, batch)
    (slopes,) = torch.autograd.grad(together.sum(), outputs)
    for k in range(TRIALS):
        alone = outputs[k].detach().requires_grad_()
        value = task.loss(lambda x, alone=alone: alone, batch)
        torch.testing.assert_close(together[k], value, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(slopes[k], torch.autograd.grad(value, alone)[0], rtol=1e-4, atol=1e-7)
    assert together.shape == (TRIALS,)


@every_task
def test_metrics_under_vmap_are_those_of_each_trial(name: str) -> None:
    task, data = get_task(name), load(name)
    outputs = torch.stack([forward(weight, data.validation[0]) for weight in weights(data)])
    together = vmap(lambda out: dict(task.metrics(out, data.validation)))(outputs)
    assert set(together) | set(task.final_metrics) == set(task.directions)
    assert task.metric in task.directions
    for k in range(TRIALS):
        for metric, value in task.metrics(outputs[k], data.validation).items():
            torch.testing.assert_close(together[metric][k], value, rtol=1e-4, atol=1e-5)


@every_task
def test_description_agrees_with_the_data(name: str) -> None:
    task, data = get_task(name), load(name)
    info = describe(task, ["mlp"])
    assert tuple(info.samples.values()) == SIZES[name]
    assert (tuple(info.input_shape), info.outputs) == (data.input_shape, data.outputs)
    assert info.architectures == ["mlp"]
    assert info.metrics[info.metric] == task.directions[task.metric]


@every_task
def test_data_survive_training_code_that_must_not_change_them(name: str) -> None:
    """Parts are shared by every caller in the process, so loss and metrics must leave them alone."""
    task, data = get_task(name), load(name)
    before = [column.clone() for column in data.validation]
    weight = weights(data)[0]
    task.loss(lambda x: forward(weight, x), data.validation)
    task.metrics(forward(weight, data.validation[0]), data.validation)
    assert all(torch.equal(a, b) for a, b in zip(before, data.validation, strict=True))


def test_every_parameter_of_every_task_changes_something() -> None:
    """A parameter that a request may set and that does nothing would be a lie."""
    changed = {
        "split_seed": 1, "window": 12, "horizon": 2, "context": 32, "characters": 50_000, "photo": "flower", "size": 16,
        "samples": 512, "sines": 2, "dimensions": 2, "waves": 1, "seed": 1, "modes": 4,
    }  # fmt: skip
    for task in tasks().values():
        for info in task.parameters:
            assert _differs(task, {info.name: changed[info.name]}), f"{task.name}.{info.name}"


def _differs(task: Task, parameters: dict[str, int | float | str | bool]) -> bool:
    usual, other = load(task.name), load(task.name, parameters)
    pairs = list(zip(usual.train, other.train, strict=True))
    return any(a.shape != b.shape for a, b in pairs) or any(not torch.equal(a, b) for a, b in pairs)
