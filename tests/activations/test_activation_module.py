"""`Activation`: the module of a spec."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from actsearch.activations import Activation, Family, families, learned_names, resolve
from actsearch.schemas import ActivationSpec

X = torch.randn(4, 3, 5, generator=torch.Generator().manual_seed(0))


def modes(family: Family) -> list[str]:
    return ["fixed", "scalar", "channel"] if "learnable" in family.tags else ["fixed"]


def build(family: str, learned: str | None = None, **parameters: float) -> Activation:
    spec = ActivationSpec.model_validate({"family": family, "parameters": parameters, "learned": learned})
    return Activation(spec, channels=3)


def test_module_computes_the_function_and_keeps_its_state(family: Family) -> None:
    values = {name: p.default for name, p in family.parameters.items()}
    for learned in modes(family):
        module = build(family.name, learned).eval()
        torch.testing.assert_close(module(X), family.function(X, **values))
        shape = (3,) if learned == "channel" else ()
        shapes = {name: tuple(p.shape) for name, p in module.named_parameters()}
        assert shapes == dict.fromkeys(learned_names(module.spec), shape)
        with torch.no_grad():
            for p in module.parameters():
                p.add_(0.05)
        again = build(family.name, learned).eval()
        again.load_state_dict(module.state_dict())
        assert torch.equal(again(X), module(X))
        assert torch.equal(pickle.loads(pickle.dumps(module))(X), module(X))
        assert torch.equal(copy.deepcopy(module)(X), module(X))


def test_learned_values_receive_gradients(family: Family) -> None:
    for learned in modes(family)[1:]:
        module = build(family.name, learned)
        (module(X) + 0.1).square().sum().backward()
        for name, p in module.named_parameters():
            assert p.grad is not None, name
            assert p.grad.isfinite().all(), name


class Catalogue(nn.Module):
    """Every family side by side: compiled or exported at once, since starting a compiler costs more than a family."""

    def __init__(self, pick: Callable[[Family], str]) -> None:
        super().__init__()
        self.activations = nn.ModuleDict({f"_{name}": build(name, pick(found)) for name, found in families().items()})

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {name: activation(x) for name, activation in self.activations.items()}


def test_the_catalogue_compiles_forward_and_backward_without_a_graph_break() -> None:
    torch._dynamo.reset()
    module = Catalogue(lambda family: modes(family)[-1]).eval()
    compiled = torch.compile(module, backend="aot_eager", fullgraph=True)
    slopes = []
    for run in (module, compiled):
        x = X.clone().requires_grad_()
        values = run(x)
        inputs = [x, *module.parameters()]
        total = torch.stack([value.square().sum() for value in values.values()]).sum()
        slopes.append((values, torch.autograd.grad(total, inputs, allow_unused=True, materialize_grads=True)))
    torch.testing.assert_close(slopes[0], slopes[1])


def test_the_catalogue_exports() -> None:
    module = Catalogue(lambda family: "fixed").eval()
    batch = torch.export.Dim("batch", min=2, max=64)
    program = torch.export.export(module, (X,), dynamic_shapes=({0: batch},))
    other = torch.randn(6, 3, 5, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(program.module()(other), module(other))


@pytest.mark.parametrize(("axis", "shape"), [(1, (2, 3, 4, 4)), (-1, (2, 6, 3)), (2, (2, 6, 3)), (1, (2, 3))])
def test_channel_values_lie_along_the_axis(axis: int, shape: tuple[int, ...]) -> None:
    module = Activation(ActivationSpec(family="prelu"), channels=3, axis=axis)
    with torch.no_grad():
        module.get_parameter("slope").copy_(torch.tensor([0.1, 0.2, 0.3]))
    slopes = module(-torch.ones(shape)).movedim(axis, 0).reshape(3, -1)
    torch.testing.assert_close(slopes, -torch.tensor([[0.1], [0.2], [0.3]]).expand_as(slopes))


def test_channels_are_needed_for_channel_values() -> None:
    with pytest.raises(ValueError, match="channels"):
        Activation(ActivationSpec(family="prelu"))


def test_prelu_trains_like_torchs() -> None:
    ours, theirs = build("prelu"), nn.PReLU(3)
    for module in (ours, theirs):
        optimiser = torch.optim.SGD(module.parameters(), lr=0.1)
        for _ in range(5):
            optimiser.zero_grad()
            module(X).square().mean().backward()
            optimiser.step()
    torch.testing.assert_close(ours.get_parameter("slope"), theirs.weight)


def test_rrelu_is_random_only_in_training() -> None:
    module = build("rrelu", lower=0.1, upper=0.4)
    x = -torch.ones(1000)
    torch.manual_seed(0)
    slopes = -module.train()(x)
    assert 0.1 <= slopes.min() < 0.12
    assert 0.38 < slopes.max() <= 0.4
    assert torch.equal(module.eval()(x), torch.full((1000,), -0.25))


@pytest.mark.parametrize(("name", "parameter"), [("pelu", "b"), ("celu", "alpha"), ("snake", "a"), ("mpelu", "beta")])
def test_a_learned_value_that_fell_below_its_bound_is_safe_and_comes_back(name: str, parameter: str) -> None:
    module = build(name, "scalar")
    value = module.get_parameter(parameter)
    with torch.no_grad():
        value.fill_(-0.5)
    y = module(X)
    assert y.isfinite().all()
    floor = build(name, "scalar", **{parameter: 0.1})
    torch.testing.assert_close(y, floor(X))
    y.sum().backward()
    assert value.grad is not None
    assert value.grad != 0


def test_stacked_modules_run_under_vmap() -> None:
    models = [build("pelu", "channel", a=a, b=1.0) for a in (0.5, 1.0, 2.0)]
    parameters, buffers = stack_module_state(models)  # type: ignore[arg-type]
    out = vmap(lambda p, b: functional_call(models[0], (p, b), (X,)))(parameters, buffers)
    torch.testing.assert_close(out, torch.stack([model(X) for model in models]))


def test_autocast_precision_is_kept() -> None:
    for learned in ("scalar", "channel"):
        assert build("swish", learned)(X.bfloat16()).dtype == torch.bfloat16


def test_repr_says_what_it_is() -> None:
    assert repr(build("leaky_relu", slope=0.2)) == "Activation(leaky_relu, slope=0.2)"
    assert repr(build("prelu")) == "Activation(prelu, slope=0.25, learned=channel)"
    assert build("relu").spec == resolve(ActivationSpec(family="relu"))
