"""What running a module on samples shows about its activations: a proof of each replacement before it is made."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.utils import _pytree as pytree

from actsearch.surgery.copying import copied
from actsearch.surgery.places import Found, find
from actsearch.surgery.positions import COMPARISONS, End
from actsearch.surgery.probes import Probe
from actsearch.surgery.recording import Recorder, Step, hookable_parts, is_behind_weights, leaves
from actsearch.surgery.tracing import Call, tensors


@dataclass(frozen=True)
class Examined:
    """What running a module on samples has shown.

    Args:
        calls: how each `forward` is called, by path.
        untouched: reasons for which a `forward` must not be rewritten, by path.
        impossible: reasons for which a place cannot be replaced, by path.
        ends: what becomes of the value at each place, by path.
        left: what was seen that is at no place, by path, and why it stays.
        hosts: paths of the modules whose `forward` must be rewritten; None for any.
    """

    calls: Mapping[str, Call] = field(default_factory=dict)
    untouched: Mapping[str, str] = field(default_factory=dict)
    impossible: Mapping[str, str] = field(default_factory=dict)
    ends: Mapping[str, frozenset[End]] = field(default_factory=dict)
    left: Mapping[str, str] = field(default_factory=dict)
    hosts: frozenset[str] | None = None


def arguments(inputs: Any) -> Call:
    """Inputs as arguments.

    Args:
        inputs: a mapping of keyword arguments, a tuple of arguments (its last entry may be such a mapping), or else the
            only argument.
    """
    if isinstance(inputs, Mapping):
        return (), dict(inputs)
    if isinstance(inputs, tuple):
        if inputs and isinstance(inputs[-1], Mapping):
            return inputs[:-1], dict(inputs[-1])
        return inputs, {}
    return (inputs,), {}


def examine(module: nn.Module, inputs: Any) -> Examined:
    """Run copies of a module with probes at the places of its activations.

    A rewritten `forward` must give what the original gives. A place must be passed, and have a part in the outputs, in
    training and evaluation, with and without gradients, and under vmap.

    Args:
        module: left as it is.
        inputs: see `arguments`.

    Raises:
        Exception: whatever the module raises on these inputs.
    """
    devices = sorted({value.get_device() for value in module.parameters() if value.is_cuda})
    with torch.random.fork_rng(devices=devices), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch, about paths that it does not take
        call = _on_device(arguments(inputs), module)
        calls, expected = _calls(module, call)
        counts: Counter[str] = Counter()
        probed, found = _with_probes(module, counts, calls, {})
        untouched = _unfaithful(module, copied(probed), found, calls)  # whose statistics change
        if untouched:
            probed, found = _with_probes(module, counts, calls, untouched)
        recorded, ends, matters, outputs = _recorded(probed, call)
        impossible: dict[str, str] = {}
        for path in (place.path for place in found.places):
            if path not in ends:
                impossible[path] = "no signal passes it"
            elif path not in matters:
                impossible[path] = "what it computes has no part in the outputs"
        if not _are_equal(leaves(expected), leaves(outputs)):
            impossible |= _strangers(found)
        paths = [place.path for place in found.places if place.path not in impossible]
        impossible |= _not_always(module, probed, call, counts, paths)
        hosts = {place.host for place in found.places if place.host is not None}
        hosts |= {path for path, traced in found.traced.items() if traced.is_changed or traced.unread}
        left = found.left | _remaining(recorded, found)
        return Examined(calls, untouched, impossible, ends, left, frozenset(hosts))


def _with_probes(
    module: nn.Module, counts: Counter[str], calls: Mapping[str, Call], untouched: Mapping[str, str]
) -> tuple[nn.Module, Found]:
    """A copy of a module with a probe at each place, and its places."""
    root = nn.ModuleList([copied(module)])
    found = find(root, calls=calls, untouched=untouched)
    for place in found.places:
        place.put(Probe(place.path, place.function, counts).train(module.training))
    for traced in found.traced.values():
        traced.install()
    return root[0], found


def _on_device(call: Call, module: nn.Module) -> Call:
    reference = next(module.parameters(), None)
    device = reference.device if reference is not None else torch.device("cpu")
    moved: Call = pytree.tree_map_only(Tensor, lambda value: value.to(device), call)
    return moved


def _strangers(found: Found) -> dict[str, str]:
    """Places that cannot be told to be exchanged rightly: with the functions that were there, outputs are others."""
    changing = [place.path for place in found.places if getattr(place.function, "inplace", False)]
    reason = "changes its input in place, and that is used; use what it returns instead"
    if not changing:
        changing = [place.path for place in found.places]
        reason = "a part with the same function in its place gives other outputs; make it a module of its own"
    return dict.fromkeys(changing, reason)


def _calls(module: nn.Module, call: Call) -> tuple[dict[str, Call], Any]:
    """The first call of each part, and the outputs, in evaluation mode."""
    found: dict[str, Call] = {}
    copy = copied(module).eval()

    def noting(path: str) -> Callable[..., None]:
        def note(_: nn.Module, args: Any, kwargs: Any) -> None:
            found.setdefault(path, _cloned((args, kwargs)))

        return note

    for path, part in hookable_parts(copy):
        part.register_forward_pre_hook(noting(path), with_kwargs=True)
    args, kwargs = _cloned(call)
    torch.manual_seed(0)
    with torch.no_grad():
        return found, copy(*args, **kwargs)


def _cloned(value: Any) -> Any:
    return pytree.tree_map_only(Tensor, lambda tensor: tensor.detach().clone(), value)


def _unfaithful(module: nn.Module, probed: nn.Module, found: Found, calls: Mapping[str, Call]) -> dict[str, str]:
    """The parts whose rewritten `forward`, with the same activations, does not give what the original gives."""
    original = dict(copied(module).named_modules())
    rewritten = dict(probed.named_modules())
    reasons = {}
    for path in {place.host for place in found.places if place.host is not None} & set(calls):
        reason = _difference(original[path], rewritten[path], calls[path])
        if reason is not None:
            reasons[path] = reason
    return reasons


def _difference(original: nn.Module, rewritten: nn.Module, call: Call) -> str | None:
    for mode in (False, True):
        results = []
        for part in (original, rewritten):
            args, kwargs = _cloned(call)
            torch.manual_seed(0)
            try:
                with torch.no_grad():
                    results.append(leaves(part.train(mode)(*args, **kwargs)))
            except Exception as error:
                if part is original:  # which cannot be run so, either
                    break
                return f"traced with torch.fx, its forward raises {type(error).__name__}: {str(error).splitlines()[:1]}"
        if len(results) == 2 and not _are_equal(*results):
            return "traced with torch.fx, its forward gives something else: it does more than its graph tells"
    return None


def _are_equal(one: list[Tensor], other: list[Tensor]) -> bool:
    return len(one) == len(other) and all(
        a.shape == b.shape and torch.allclose(a.double(), b.double(), rtol=1e-3, atol=1e-4, equal_nan=True)
        for a, b in zip(one, other, strict=True)
    )


def _recorded(probed: nn.Module, call: Call) -> tuple[list[Step], dict[str, frozenset[End]], set[str], Any]:
    args, kwargs = _cloned(call)
    torch.manual_seed(0)
    recorder = Recorder(probed.eval(), tensors((args, kwargs)))
    with torch.no_grad(), recorder:
        outputs = probed(*args, **kwargs)
    return recorder.steps, recorder.ends(outputs), recorder.matters(outputs), outputs


def _ways() -> Iterator[tuple[str, bool, Callable[[], AbstractContextManager[Any]]]]:
    for training, mode in ((False, "evaluation"), (True, "training")):
        yield f"in {mode} without gradients", training, torch.no_grad
        yield f"in {mode} with gradients", training, torch.enable_grad
    yield "in evaluation under inference_mode", False, torch.inference_mode


def _not_always(
    module: nn.Module, probed: nn.Module, call: Call, counts: Counter[str], paths: list[str]
) -> dict[str, str]:
    """Places that are passed in one way of running the module and not in another, as where kernels are fused."""
    reasons: dict[str, str] = {}
    for words, training, context in _ways():
        counts.clear()
        args, kwargs = _cloned(call)
        try:
            with context():
                probed.train(training)(*args, **kwargs)
        except Exception:
            if _runs(module, call, training, context):
                raise
            continue
        _note_missing(reasons, paths, counts, words)
    counts.clear()
    if _runs_stacked(probed, call):
        _note_missing(reasons, paths, counts, "under vmap")
    return reasons


def _note_missing(reasons: dict[str, str], paths: list[str], counts: Counter[str], words: str) -> None:
    for path in paths:
        if not counts[path]:
            reasons.setdefault(path, f"is not called {words}: a fused kernel takes its place, or nothing does")


def _runs(module: nn.Module, call: Call, training: bool, context: Callable[[], AbstractContextManager[Any]]) -> bool:
    args, kwargs = _cloned(call)
    try:
        with context():
            copied(module).train(training)(*args, **kwargs)
    except Exception:
        return False
    return True


def _runs_stacked(probed: nn.Module, call: Call) -> bool:
    """Whether two copies of the weights run as one program."""
    args, kwargs = _cloned(call)
    try:
        weights, buffers = stack_module_state([probed.eval(), probed])
        with torch.no_grad():
            vmap(lambda *state: leaves(functional_call(probed, state, args, kwargs)))(weights, buffers)
    except Exception:
        return False
    return True


_NONLINEAR = frozenset({
    "relu", "leaky_relu", "elu", "gelu", "silu", "mish", "hardswish", "hardtanh", "softplus", "softshrink",
    "hardshrink", "threshold", "tanh", "sigmoid", "hardsigmoid", "log_sigmoid_forward",
    "log_sigmoid", "_prelu_kernel", "prelu", "rrelu_with_noise", "erf", "sin",
    "clamp", "clamp_min", "clamp_max", "relu6", "selu", "celu", "glu", "maximum", "minimum",
    "_transformer_encoder_layer_fwd", "_addmm_activation", "mkldnn_linear_pointwise",
})  # fmt: skip
_NORMS = frozenset({"linalg_vector_norm", "norm"})


def _remaining(steps: list[Step], found: Found) -> dict[str, str]:
    """Activations that were computed outside of all places, by the module that they were computed in."""
    left: dict[str, str] = {}
    for step in steps:
        reason = found.left.get(step.module, "")
        known = step.name in reason or "kernel" in reason
        if step.name.startswith("clamp") and any(before.name in _NORMS for before in step.inputs):
            continue  # keeps a quotient finite
        if step.name in COMPARISONS and f"{step.module}.comparison".lstrip(".") in found.left:
            continue
        if step.name not in _NONLINEAR | COMPARISONS or step.kind != "signal" or known or not is_behind_weights(step):
            continue
        path = f"{step.module}.{step.name}" if step.module else step.name
        what = "a comparison of values" if step.name in COMPARISONS else step.name
        left[path] = f"{what} is computed here, where it cannot be told apart; make it a module of its own"
    return left
