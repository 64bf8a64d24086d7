"""Which activations are searched and which are outputs, gates, scales or encodings, with samples and without."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from actsearch import swap_activations
from actsearch.activations import Activation

torch.set_num_threads(1)


def chain(*ends: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 6), *ends)


class Base(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c, self.scale = (
            nn.Linear(6, 6),
            nn.Linear(6, 6),
            nn.Linear(6, 6),
            nn.Parameter(torch.ones(6)),
        )


class Gaussian(Base):
    """A mean and a standard deviation, packed."""

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        h = F.relu(self.a(x))
        return {"mean": self.b(h), "deviation": (F.softplus(self.c(h)) + 1e-3).view(-1, 2, 3)[:, 0]}


class Sampled(Base):
    """Noise that a softplus spreads."""

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.a(x))
        return self.c(h + torch.randn_like(h) * F.softplus(self.b(x)))


class Scaled(Base):
    """A trained scale behind the last one; joined with another output."""

    def forward(self, x: Tensor) -> Tensor:
        h = torch.tanh(self.a(x)) * self.scale
        return torch.cat([h, torch.tanh(self.b(F.elu(h)))], 1)


class Squeeze(Base):
    """A gate in a part of its own, and a SwiGLU."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 6), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        h = F.silu(self.a(x)) * self.b(x)
        return self.c(h * self.gate(h)[:, :])


class Hidden(Base):
    """A sigmoid between two layers is no gate; a ReLU of one branch is none, either."""

    def forward(self, x: Tensor) -> Tensor:
        h = torch.sigmoid(self.a(x))
        return self.c(F.relu(self.b(h)) * self.a(x))


class Weights(Base):
    """A softplus of a weight; a divisor; a sine of the input alone."""

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.a(x) * F.softplus(self.scale)) + torch.sin(3 * x)
        return self.b(h / h.sum(1, keepdim=True).clamp(min=1e-3))


CASES: list[tuple[nn.Module, set[str], set[str]]] = [
    (chain(nn.Tanh()), {"1"}, {"3"}),
    (chain(nn.Softplus(), nn.Unflatten(1, (2, 3)), nn.Flatten()), {"1"}, {"3"}),
    (chain(nn.Hardtanh(), nn.Sequential(nn.Identity(), nn.Dropout())), {"1"}, {"3"}),
    (chain(nn.Sigmoid(), nn.Linear(6, 1)), {"1", "3"}, set()),
    (nn.Sequential(chain(nn.ReLU()), nn.Linear(6, 2)), {"0.1", "0.3"}, set()),
    (Gaussian(), {"relu_call1"}, {"softplus_call2"}),
    (Sampled(), {"relu_call1"}, {"softplus_call2"}),
    (Scaled(), {"tanh_call1", "elu_call2"}, {"tanh_call3"}),
    (Squeeze(), {"silu_call1", "gate.1"}, {"gate.3"}),
    (Hidden(), {"sigmoid_call1", "relu_call2"}, set()),
    (Weights(), {"relu_call1"}, {"clamp_call2"}),
]


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize(("model", "replaced", "left"), CASES, ids=lambda case: type(case).__name__)
def test_outputs_gates_and_scales_stay(model: Any, replaced: set[str], left: set[str], given: bool) -> None:
    found = swap_activations(model, "gelu", inputs=torch.randn(4, 6) if given else None)
    assert set(found.replaced) == replaced
    assert set(found.left) == left
    assert found.guessed == {}
    if left:
        named = swap_activations(model, "gelu", sites=list(left))
        assert set(named.replaced) == left


class Untraceable(Base):
    """What is kept as parts is found; where it stands is seen only with samples."""

    def __init__(self) -> None:
        super().__init__()
        self.act, self.end, self.gate = nn.ReLU(), nn.Tanh(), nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        h = self.act(self.a(x)) if x.sum() > -1e9 else x
        h = F.elu(self.b(h))
        return self.end(self.c(h * self.gate(h)))


def test_what_cannot_be_read_is_told_as_a_guess_and_seen_with_samples() -> None:
    read = swap_activations(Untraceable(), "gelu")
    assert set(read.replaced) == set(read.guessed) == {"act", "end"}
    assert set(read.left) == {"", "gate"}
    assert "elu" in read.left[""]
    seen = swap_activations(Untraceable(), "gelu", inputs={"x": torch.randn(4, 6)})
    assert set(seen.replaced) == {"act"}
    assert seen.guessed == {}
    assert set(seen.left) == {"", "gate", "end"}


class Outside(Base):
    """Calls, untraceably, a function of which its source says nothing."""

    def forward(self, x: Tensor) -> Tensor:
        return self.b(elsewhere(self.a(x)))


def elsewhere(x: Tensor) -> Tensor:
    return F.mish(x) if x.sum() > -1e9 else x


def test_what_is_computed_elsewhere_is_left_by_name() -> None:
    assert "mish" in swap_activations(Outside(), "gelu", inputs=torch.randn(4, 6)).left


class Fused(Base):
    """A kernel of its own in evaluation without gradients, as some libraries have."""

    def __init__(self) -> None:
        super().__init__()
        self.act = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        if self.fast():
            return self.b(torch._addmm_activation(self.a.bias, x, self.a.weight.T))
        return self.b(self.act(self.a(x)))

    def fast(self) -> bool:
        return not self.training and not torch.is_grad_enabled()


def test_a_place_that_a_kernel_passes_by_is_left() -> None:
    found = swap_activations(Fused(), "gelu", inputs=torch.randn(4, 6))
    assert found.replaced == {}
    assert "not called" in found.left["act"] or "no signal" in found.left["act"]


class Branching(Base):
    """A graph holds one way through it only."""

    def forward(self, x: Tensor, flip: bool = False) -> Tensor:
        h = F.relu(self.a(x))
        self.seen = getattr(self, "seen", 0) + 1
        return self.b(-h if flip else h)


def test_calls_are_traced_as_the_samples_are_given() -> None:
    x = torch.randn(4, 6)
    found = swap_activations(Branching(), "relu", inputs=(x, {"flip": True}))
    model = Branching()
    model.load_state_dict(swap_activations(model, "relu").module.state_dict())
    assert list(found.replaced) == ["relu_call1"]
    found.module(x, flip=True)
    with pytest.raises(ValueError, match="flip=True"):
        found.module(x)


def test_parametrized_shared_and_hooked_parts_keep_their_meaning() -> None:
    shared = nn.Sequential(nn.Linear(6, 6), nn.ReLU())
    model = nn.Sequential(
        nn.utils.weight_norm(nn.Linear(6, 6)),
        nn.Tanh(),
        shared,
        shared,
        nn.utils.parametrizations.weight_norm(nn.Linear(6, 6)),
        nn.ReLU(),
        nn.utils.parametrizations.spectral_norm(nn.Linear(6, 6)),
    ).eval()
    seen: list[Tensor] = []
    model[1].register_forward_hook(lambda *given: seen.append(given[2]))
    x = torch.randn(4, 6)
    expected = model(x)
    seen.clear()
    for inputs in (None, x):
        found = swap_activations(model, "relu", inputs=inputs)
        assert set(found.replaced) == {"1", "2.1", "5"}
        assert isinstance(found.module[2], nn.Sequential)
        assert found.module[2] is found.module[3]
        assert isinstance(found.module[1], Activation)
        seen.clear()
        changed = found.module(x)
        assert len(seen) == 1
        assert not torch.equal(changed, expected)
        only = swap_activations(model, "relu", sites=["2.1", "5"], inputs=inputs)
        torch.testing.assert_close(only.module(x), expected)


class Discarded(Base):
    """What an activation in place returns is thrown away."""

    def __init__(self) -> None:
        super().__init__()
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.a(x)
        self.act(y)
        return self.b(y)


class DiscardedUntraceably(Discarded):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) if x.sum() > -1e9 else x


def test_an_activation_in_place_is_exchanged_for_what_it_returns_or_left() -> None:
    x = torch.randn(4, 6)
    for inputs in (None, x):
        found = swap_activations(Discarded(), "gelu", inputs=inputs).module
        torch.testing.assert_close(found(x), found.b(F.gelu(found.a(x))), rtol=1e-4, atol=1e-5)
    left = swap_activations(DiscardedUntraceably(), "gelu", inputs=x)
    assert left.replaced == {}
    assert "in place" in left.left["act"]


class Statistics(Base):
    """A batch norm beside a call, whose statistics a run in training changes."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.act = nn.BatchNorm1d(6), nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(F.relu(self.c(self.act(self.norm(self.a(x))))))


def test_running_statistics_do_not_disturb_the_proof() -> None:
    found = swap_activations(Statistics(), "gelu", inputs=3 + torch.randn(4, 6))
    assert set(found.replaced) == {"act", "relu_call1"}


class Highway(Base):
    def forward(self, x: Tensor) -> Tensor:
        share = torch.sigmoid(self.b(x))
        return self.c(torch.lerp(x, F.relu(self.a(x)), share))


class SigmoidAttention(Base):
    """On samples as a sequence of one batch."""

    def forward(self, x: Tensor) -> Tensor:
        weights = torch.sigmoid(self.a(x) @ self.b(x).t())
        return self.c(weights @ F.relu(self.b(x)))


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize(("model", "gate"), [(Highway(), "sigmoid_call1"), (SigmoidAttention(), "sigmoid_call1")])
def test_gates_may_be_mixed_or_multiplied_as_matrices(model: nn.Module, gate: str, given: bool) -> None:
    found = swap_activations(model, "gelu", inputs=torch.randn(4, 6) if given else None)
    assert set(found.replaced) == {"relu_call2"}
    assert set(found.left) == {gate}
    assert "is a gate" in found.left[gate]


@pytest.mark.parametrize("make", [torch.jit.script, lambda part: torch.jit.trace(part, torch.randn(2, 6))])
@pytest.mark.parametrize("given", [False, True])
def test_scripted_parts_stay_and_are_told(make: Any, given: bool) -> None:
    part = make(nn.Sequential(nn.Linear(6, 6), nn.ReLU()).eval())
    model = nn.Sequential(part, nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 2))
    found = swap_activations(model, "sine", inputs=torch.randn(4, 6) if given else None)
    assert set(found.replaced) == {"2"}
    assert "scripted" in found.left["0"]


class Positive(nn.Module):
    def forward(self, w: Tensor) -> Tensor:
        return F.softplus(w)


class Monotone(Base):
    def __init__(self) -> None:
        super().__init__()
        self.positive = nn.Softplus()

    def forward(self, x: Tensor) -> Tensor:
        return self.b(torch.tanh(x @ self.positive(self.a.weight)))


@pytest.mark.parametrize("part", [nn.Softplus(), Positive()])
@pytest.mark.parametrize("given", [False, True])
def test_what_makes_weights_is_no_activation(part: nn.Module, given: bool) -> None:
    model = nn.Sequential(nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 2))
    nn.utils.parametrize.register_parametrization(model[0], "weight", part)
    assert set(swap_activations(model, "sine", inputs=torch.randn(4, 6) if given else None).replaced) == {"1"}


def test_a_module_that_is_given_a_weight_stays() -> None:
    found = swap_activations(Monotone(), "sine", inputs=torch.randn(4, 6))
    assert set(found.replaced) == {"tanh_call1"}
    assert "no signal" in found.left["positive"]


class Compared(Base):
    def forward(self, x: Tensor) -> Tensor:
        x = self.a(x)
        x = torch.where(x > 0, x, 0.2 * x)
        return self.b(x)


class Masked(Base):
    def forward(self, x: Tensor) -> Tensor:
        x = self.a(x).clone()
        x[x < 0] = 0
        return self.b(x)


class Larger(Base):
    def forward(self, x: Tensor) -> Tensor:
        x = self.a(x)
        return self.b(torch.max(x, torch.zeros_like(x)))


class Halved(Base):
    def forward(self, x: Tensor) -> Tensor:
        return self.b(F.glu(torch.cat([self.a(x), self.c(x)], 1)))


@pytest.mark.parametrize(
    ("model", "told"), [(Compared(), "gt"), (Masked(), "lt"), (Larger(), "maximum"), (Halved(), "glu")]
)
def test_activations_in_other_words_are_told(model: nn.Module, told: str) -> None:
    found = swap_activations(model, "gelu", inputs=torch.randn(4, 6))
    assert not found.replaced
    assert set(found.left) == {told}


def test_the_source_is_that_of_the_class_and_no_namesake() -> None:
    def decided() -> nn.Module:
        class Namesake(Base):
            def forward(self, x: Tensor) -> Tensor:
                x = self.a(x)
                return self.b(torch.relu(x) if x.sum() > 0 else x)

        return Namesake()

    first = decided()

    def plain() -> nn.Module:
        class Namesake(Base):
            def forward(self, x: Tensor) -> Tensor:
                return self.b(x) if x.sum() > 0 else x

        return Namesake()

    second = plain()
    for kind in (type(first), type(second)):
        kind.__qualname__ = "Namesake"  # as in a notebook, where a cell was run twice
    assert "relu" in swap_activations(nn.Sequential(first, nn.Linear(6, 2)), "gelu").left["0"]
    assert swap_activations(nn.Sequential(second, nn.Linear(6, 2)), "gelu").left == {}
