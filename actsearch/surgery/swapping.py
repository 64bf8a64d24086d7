"""Other activations inside any `nn.Module`: modules and functions alike, weights and everything else kept."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from torch import Tensor, jit, nn

from actsearch.activations import Activation, learned_names, resolve
from actsearch.errors import FieldProblem, InvalidRequest
from actsearch.schemas import ActivationSpec
from actsearch.surgery.foreign_activations import FUNCTIONS, is_activation, is_gate
from actsearch.surgery.tracing import NotTraceable, Traced, mentioned

Make = Callable[[str], nn.Module]
"""Makes the activation of a place, given its path."""


@dataclass(frozen=True)
class Swapped:
    """A module with other activations.

    Args:
        module: a copy of the given module; the same weights, training mode and device.
        replaced: what stood at each place, by its path in `module`: `ReLU(inplace=True)`, `F.relu`, `Tensor.tanh`.
        left: what was left as it was, by path, and why.
        functions: what was computed at each place that was replaced, of any tensor.
    """

    module: nn.Module
    replaced: Mapping[str, str]
    left: Mapping[str, str]
    functions: Mapping[str, Callable[[Tensor], Tensor]]


@dataclass(frozen=True)
class Place:
    """An activation in a module: where, what, and how to put another one there.

    Args:
        function: what it computes.
        shares: the module that stands at other places, too, and must be put back here if this place keeps it.
    """

    path: str
    old: str
    gate: bool
    function: Callable[[Tensor], Tensor]
    put: Callable[[nn.Module], None]
    shares: nn.Module | None = None


@dataclass
class Found:
    """The activations of a module, and what cannot be replaced by path with the reason."""

    places: list[Place] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)
    traced: list[tuple[str, Traced]] = field(default_factory=list)


def swap_activations(module: nn.Module, spec: ActivationSpec | str, *, sites: Collection[str] | None = None) -> Swapped:
    """A copy of a module with its activations replaced, and what was replaced and what was not.

    Found are activation modules (torch's, timm's, subclasses, namesakes) and calls in `forward` (`F.relu(x)`,
    `torch.relu(x)`, `x.relu()`, `self.act(x)` of a function), these with torch.fx, one module at a time. Sigmoids are
    taken for gates and left alone unless `sites` names them. A `forward` that is rewritten was traced with the defaults
    of its optional arguments, and refuses other values.

    Args:
        module: any module; it is left as it is.
        spec: the activation, or a family's name for its defaults.
        sites: paths to replace, with `*` and `?` as in file names; None for all but gates.

    Raises:
        InvalidRequest: for an unknown activation, one learned for each channel (their number is not known; ask for
            `learned="scalar"`), or sites that match nothing.
    """
    full = resolve(ActivationSpec(family=spec) if isinstance(spec, str) else spec)
    if full.learned == "channel" and learned_names(full):
        message = f"{full.family} would be learned for each channel; a module does not say how many a place has"
        raise InvalidRequest(FieldProblem("learned", message, ("scalar", "fixed")))
    return swap(module, lambda _: Activation(full), sites=sites)


def swap(module: nn.Module, make: Make, *, sites: Collection[str] | None = None) -> Swapped:
    """As `swap_activations`, with activations that `make` makes, in the order of the module's parts.

    A module without weights that is used at several places is several activations: each place gets its own.
    """
    root = nn.ModuleList([deepcopy(module)])  # so that the module itself has a place, too
    found = find(root)
    chosen = _chosen(found, sites)
    for place in chosen:
        new = make(place.path).train(module.training)
        reference = next(module.parameters(), None)
        place.put(new if reference is None else new.to(reference.device, reference.dtype))
    for place in found.places:
        if place.shares is not None and place not in chosen:
            place.put(place.shares)
    for _, traced in found.traced:
        traced.install()
    return Swapped(
        module=root[0],
        replaced={place.path: place.old for place in chosen},
        left=found.left,
        functions={place.path: place.function for place in chosen},
    )


def find(root: nn.ModuleList) -> Found:
    """The activations of the one module in `root`, by path in it; nothing is changed yet."""
    found = Found()
    for path, host in list(root.named_modules()):
        if not is_activation(host):
            inside = path.partition(".")[2]
            _calls(found, inside, host)
    for old, homes in _modules(root).items():
        for one in [homes] if _has_weights(old) else [[home] for home in homes]:
            _add_module(found, old, one)
    return found


def _modules(root: nn.Module) -> dict[nn.Module, list[tuple[str, nn.Module, str]]]:
    """Each activation module with its homes: (path, parent, name)."""
    homes: dict[nn.Module, list[tuple[str, nn.Module, str]]] = {}
    for path, parent in root.named_modules(remove_duplicate=False):
        for name, child in parent._modules.items():  # `named_children` gives a part with two names once
            if child is not None and is_activation(child):
                inside = f"{path}.{name}".lstrip(".").partition(".")[2] if path else ""
                homes.setdefault(child, []).append((inside, parent, name))
    return homes


def _add_module(found: Found, old: nn.Module, homes: list[tuple[str, nn.Module, str]]) -> None:
    def put(new: nn.Module) -> None:
        for _, parent, name in homes:
            setattr(parent, name, new) if not name.isdigit() else parent.__setitem__(int(name), new)  # type: ignore[operator]

    found.places.append(Place(homes[0][0], str(old), is_gate(type(old).__name__), old, put))


def _attributes(found: Found, path: str, host: nn.Module) -> None:
    """Functions that a module keeps as attributes."""
    for name, value in list(vars(host).items()):
        if callable(value) and _hashable(value) and value in FUNCTIONS:

            def put(new: nn.Module, name: str = name) -> None:
                delattr(host, name)
                setattr(host, name, new)
                if hasattr(host, "activation_relu_or_gelu"):  # torch's encoder layers compute these two in a kernel
                    host.activation_relu_or_gelu = 0  # type: ignore[assignment]

            found.places.append(Place(_join(path, name), FUNCTIONS[value], is_gate(FUNCTIONS[value]), value, put))


def _calls(found: Found, path: str, host: nn.Module) -> None:
    """Functions that a module's `forward` calls."""
    if isinstance(host, nn.RNNBase | nn.RNNCellBase):
        found.left[path] = f"{type(host).__name__}: its activations are part of torch's kernel"
        return
    if type(host).__module__.startswith("torch.nn."):
        _attributes(found, path, host)
        return
    if isinstance(host, jit.ScriptModule):
        found.left[path] = "a scripted module cannot be changed"
        return
    try:
        traced = Traced(host)
    except NotTraceable as error:
        _attributes(found, path, host)
        _note_untraced(found, path, host, str(error))
        return
    moved = traced.release_inputs()
    if moved or traced.functions or traced.uses:
        found.traced.append((path, traced))
    for index, function in enumerate(traced.functions):
        found.places.append(_call(path, host, traced, index, function))
    for index, (part, _) in enumerate(traced.uses):
        if not _has_weights(host.get_submodule(part)):
            found.places.append(_use(path, host, traced, index))


def _call(path: str, host: nn.Module, traced: Traced, index: int, function: str) -> Place:
    stem = function.rpartition(".")[2].strip("_")
    name = f"{stem}_call{index + 1}"

    def put(new: nn.Module) -> None:
        host.add_module(name, new)
        traced.replace(index, name)

    return Place(_join(path, name), function, is_gate(stem), traced.function(index), put)


def _use(path: str, host: nn.Module, traced: Traced, index: int) -> Place:
    """A further use of an activation module in one `forward`."""
    part, number = traced.uses[index]
    old = host.get_submodule(part)
    name = f"{part.replace('.', '_')}_use{number}"

    def put(new: nn.Module) -> None:
        host.add_module(name, new)
        traced.redirect(index, name)

    return Place(_join(path, name), str(old), is_gate(type(old).__name__), old, put, shares=old)


def _has_weights(module: nn.Module) -> bool:
    return any(True for _ in module.parameters())


def _note_untraced(found: Found, path: str, host: nn.Module, reason: str) -> None:
    """Write down a `forward` that cannot be traced, if it may call activations."""
    names = mentioned(host)
    if names is None:
        found.left[path] = f"{reason}; its source, which might call activations, is not at hand"
    elif names:
        found.left[path] = f"{reason}; its source calls {', '.join(names)}: make it a module of its own"


def _chosen(found: Found, sites: Collection[str] | None) -> list[Place]:
    if sites is None:
        left = "taken for a gate; name it in `sites` to replace it"
        found.left.update({place.path: f"{place.old}: {left}" for place in found.places if place.gate})
        return [place for place in found.places if not place.gate]
    every = tuple(place.path for place in found.places)
    problems = [
        FieldProblem("sites", f"no activation matches {pattern!r}", every)
        for pattern in sites
        if not any(fnmatchcase(path, pattern) for path in every)
    ]
    if problems:
        raise InvalidRequest(*problems)
    chosen = [place for place in found.places if any(fnmatchcase(place.path, pattern) for pattern in sites)]
    found.left.update({place.path: f"{place.old}: not among `sites`" for place in found.places if place not in chosen})
    return chosen


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _hashable(value: object) -> bool:
    return getattr(type(value), "__hash__", None) is not None
