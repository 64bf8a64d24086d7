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
    assert "changes a weight" in found.left["positive"]


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
    ("model", "told"), [(Compared(), "comparison"), (Masked(), "lt"), (Larger(), "maximum"), (Halved(), "glu")]
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


class Hidden(nn.Module):
    """Two linear layers with whatever a subclass puts before or between them."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last, self.act = nn.Linear(4, 8), nn.Linear(8, 3), nn.ReLU()
        self.inplace = nn.ReLU(inplace=True)

    def prepare(self, x: Tensor) -> Tensor:
        return x

    def between(self, x: Tensor) -> Tensor:
        return self.act(x)  # type: ignore[no-any-return]

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.between(self.first(self.prepare(x))))  # type: ignore[no-any-return]


def network(**methods: Any) -> nn.Module:
    return type("Own", (Hidden,), methods)()  # type: ignore[no-any-return]


SAMPLES = pytest.mark.parametrize("samples", [None, torch.randn(5, 4)], ids=["read", "run"])


@SAMPLES
@pytest.mark.parametrize(
    "prepare",
    [
        lambda _, x: x.clamp(-3, 3),
        lambda _, x: torch.sign(x) * torch.log1p(x.abs()),
        lambda _, x: torch.tanh((x - 1) / 2),
        lambda _, x: F.relu(x),
        lambda self, x: self.inplace(x.clone()),
    ],
    ids=["clamp", "log", "tanh", "relu", "module"],
)
def test_what_prepares_the_inputs_stays_unless_named(prepare: Any, samples: Tensor | None) -> None:
    module = network(prepare=prepare)
    found = swap_activations(module, "sine", inputs=samples)
    (place,) = (path for path, reason in found.left.items() if "prepares the inputs" in reason)
    assert "act" in found.replaced
    assert place not in found.replaced
    named = swap_activations(module, "sine", inputs=samples, sites=[place])
    assert list(named.replaced) == [place]
    x = torch.randn(7, 4)
    torch.testing.assert_close(
        found.module(x),
        module.last(torch.sin(module.first(module.prepare(x)))),  # type: ignore[operator]
    )


@SAMPLES
def test_an_activation_in_a_part_that_is_called_first_on_inputs_and_then_inside_is_hidden(
    samples: Tensor | None,
) -> None:
    shared = nn.Sequential(nn.PReLU())
    module = nn.Sequential(shared, nn.Linear(4, 4), shared, nn.Linear(4, 2))
    assert list(swap_activations(module, "sine", inputs=samples).replaced) == ["0.0"]


@SAMPLES
@pytest.mark.parametrize(
    "between",
    [
        lambda _, x: x + (x.clamp(-1, 1) - x).detach(),
        lambda _, x: x + (torch.sign(x) * x - x).detach(),
        lambda _, x: x * ((x > 0).float().detach() + torch.sigmoid(x) - torch.sigmoid(x).detach()),
    ],
)
def test_gradients_made_by_hand_stay(between: Any, samples: Tensor | None) -> None:
    module = network(between=between)
    found = swap_activations(module, "sine", inputs=samples)
    assert not [path for path in found.replaced if "call" in path]
    assert any("gradient is made by hand" in reason for reason in found.left.values())
    x = torch.randn(7, 4)
    ours, theirs = (torch.autograd.grad(one(x).sum(), one.first.weight)[0] for one in (found.module, module))
    torch.testing.assert_close(ours, theirs)


@SAMPLES
def test_an_activation_before_a_gradient_made_by_hand_is_replaced(samples: Tensor | None) -> None:
    def between(_: Any, x: Tensor) -> Tensor:
        y = torch.tanh(x)
        return y + (torch.sign(y) - y).detach()

    module = network(between=between)
    found = swap_activations(module, "sine", inputs=samples)
    assert "torch.tanh" in found.replaced.values()
    x = torch.randn(7, 4)
    y = torch.sin(module.first(x))  # type: ignore[operator]
    torch.testing.assert_close(found.module(x), module.last(torch.sign(y)))  # type: ignore[operator]


@SAMPLES
def test_what_changes_a_view_in_place_stays(samples: Tensor | None) -> None:
    def between(self: Any, x: Tensor) -> Tensor:
        self.inplace(x.view(-1))
        return x

    module = network(between=between)
    found = swap_activations(module, "sine", inputs=samples)
    assert "use what it returns" in found.left["inplace"]
    assert "inplace" not in found.replaced
    x = torch.randn(7, 4)
    torch.testing.assert_close(found.module(x), module(x))


@SAMPLES
@pytest.mark.parametrize(
    "between", [lambda _, x: x * (x > 0), lambda _, x: torch.where(x.gt(0), x, torch.zeros_like(x))]
)
def test_rectifiers_written_as_comparisons_are_told(between: Any, samples: Tensor | None) -> None:
    left = swap_activations(network(between=between), "sine", inputs=samples).left
    assert len([reason for reason in left.values() if "a comparison of values" in reason]) == 1


@SAMPLES
def test_masks_made_of_inputs_are_no_comparisons_of_values(samples: Tensor | None) -> None:
    module = network(prepare=lambda _, x: x * (x > -1))
    assert not [r for r in swap_activations(module, "sine", inputs=samples).left.values() if "comparison" in r]


def test_a_norm_hides_no_activation() -> None:
    module = nn.Sequential(network(), type("Unit", (nn.Module,), {"forward": lambda _, x: F.normalize(x, dim=-1)})())
    left = swap_activations(module, "sine", inputs=torch.randn(5, 4)).left
    assert not [path for path in left if "clamp" in path]


@SAMPLES
def test_a_module_that_changes_a_weight_stays(samples: Tensor | None) -> None:
    class Positive(Hidden):
        def __init__(self) -> None:
            super().__init__()
            self.positive, self.weight = nn.Softplus(), nn.Parameter(torch.randn(8, 8))

        def between(self, x: Tensor) -> Tensor:
            return self.act(F.linear(x, self.positive(self.weight)))  # type: ignore[no-any-return]

    module = Positive()
    found = swap_activations(module, "sine", inputs=samples)
    assert "changes a weight" in found.left["positive"]
    assert "positive" not in found.replaced
    x = torch.randn(7, 4)
    expected = module.last(torch.sin(F.linear(module.first(x), F.softplus(module.weight))))
    torch.testing.assert_close(found.module(x), expected)
