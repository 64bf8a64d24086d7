"""The places of a module where activations stand, and how to put others there."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from torch import Tensor, jit, nn
from torch.nn.utils.parametrize import ParametrizationList

from actsearch.surgery.copying import hand_on_hooks
from actsearch.surgery.elementwise import activation_modules, is_elementwise, is_gating
from actsearch.surgery.foreign_activations import FUNCTIONS
from actsearch.surgery.layout import ENCODERS, Layout
from actsearch.surgery.positions import End
from actsearch.surgery.tracing import Call, NotTraceable, Traced, mentioned


@dataclass(frozen=True)
class Place:
    """An activation in a module: where, what, and how to put another one there.

    Args:
        path: in the module.
        old: what stands there, for reports.
        gate: whether its values stay in [0, 1] or above zero.
        function: what it computes.
        put: puts another module there.
        host: path of the module whose `forward` calls it, where that must be rewritten for it; else None.
        ends: what becomes of its value, as far as the graphs tell.
        shares: the module that stands at other places, too, and must be put back here if this place keeps it.
    """

    path: str
    old: str
    gate: bool
    function: Callable[[Tensor], Tensor]
    put: Callable[[nn.Module], None]
    host: str | None = None
    ends: frozenset[End] = frozenset()
    shares: nn.Module | None = None


@dataclass
class Found:
    """The activations of a module, and what cannot be replaced by path with the reason."""

    places: list[Place] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)
    traced: dict[str, Traced] = field(default_factory=dict)


def find(
    root: nn.ModuleList,
    *,
    calls: Mapping[str, Call] | None = None,
    untouched: Mapping[str, str] | None = None,
    only: Collection[str] | None = None,
) -> Found:
    """The activations of the one module in `root`, by path in it; nothing is changed yet.

    Args:
        root: holds the module, so that the module itself has a place, too.
        calls: how a `forward` is called, by path; others are traced with their required arguments.
        untouched: reasons for which a `forward` must not be rewritten, by path.
        only: paths of the `forward`s to look into; None for all.
    """
    made_of_weights = {part for one in root.modules() if isinstance(one, ParametrizationList) for part in one.modules()}
    found, activations = Found(), activation_modules(root) - made_of_weights
    inside = {part for one in activations for part in one.modules() if part is not one} | made_of_weights
    hosts = [(p.partition(".")[2], m) for p, m in root.named_modules() if m not in activations and m not in inside]
    for path, host in hosts[1:]:
        if untouched is not None and path in untouched:
            _note_untraced(found, path, host, untouched[path])
        elif only is None or path in only:
            _trace(found, path, host, activations, (calls or {}).get(path))
    layout = Layout(root[0], {path: traced.graph for path, traced in found.traced.items()}, activations)
    for path, host in hosts[1:]:
        if path in found.traced:
            _add_calls(found, path, host, layout)
        else:
            _add_attributes(found, path, host)
    _add_modules(found, root, activations, layout)
    return found


_USE_RESULT = "use what it returns instead"


def _trace(found: Found, path: str, host: nn.Module, activations: set[nn.Module], call: Call | None) -> None:
    if isinstance(host, nn.RNNBase | nn.RNNCellBase):
        found.left[path] = f"{type(host).__name__}: its activations are part of torch's kernel"
    elif isinstance(host, jit.ScriptModule):
        found.left[path] = "a scripted module cannot be changed"
    elif not _is_torchs(host):
        try:
            found.traced[path] = Traced(host, activations, call)
        except NotTraceable as error:
            _note_untraced(found, path, host, str(error))


def _is_torchs(host: nn.Module) -> bool:
    return type(host).__module__.startswith("torch.nn.") or type(host).forward is nn.Sequential.forward


def _homes(root: nn.Module, activations: set[nn.Module]) -> dict[nn.Module, list[tuple[str, nn.Module, str]]]:
    """Each activation module with its homes: (path, parent, name)."""
    homes: dict[nn.Module, list[tuple[str, nn.Module, str]]] = {}
    for path, parent in root.named_modules():
        for name, child in parent._modules.items():  # `named_children` gives a part with two names once
            if child is not None and child in activations:
                inside = f"{path}.{name}".lstrip(".").partition(".")[2] if path else ""
                homes.setdefault(child, []).append((inside, parent, name))
    return homes


def _add_modules(found: Found, root: nn.Module, activations: set[nn.Module], layout: Layout) -> None:
    absorbed = {_join(path, name) for path, traced in found.traced.items() for name in traced.absorbed}
    unread = {_join(path, name) for path, traced in found.traced.items() for name in traced.unread}
    for old, homes in _homes(root, activations).items():
        if lost := sorted(path for path, _, _ in homes if path in unread):
            found.left[lost[0]] = f"{_one_line(old)}: changes its input in place, and that is used; {_USE_RESULT}"
            continue
        if any(layout.changes_weight(path) for path, _, _ in homes):
            found.left[homes[0][0]] = f"{_one_line(old)}: changes a weight, not what layers give"
            continue
        for one in [homes] if _has_weights(old) else [[home] for home in homes]:
            if one[0][0] not in absorbed:
                _add_module(found, old, one, layout)


def _add_module(found: Found, old: nn.Module, homes: list[tuple[str, nn.Module, str]], layout: Layout) -> None:
    def put(new: nn.Module) -> None:
        hand_on_hooks(old, new)
        for _, parent, name in homes:
            parent._modules[name] = new
            _leave_kernel(parent)

    path = homes[0][0]
    ends = frozenset(layout.of_place(path, old)) if path else frozenset[End]()
    found.places.append(Place(path, _one_line(old), is_gating(_fresh(old)), old, put, None, ends))


def _add_attributes(found: Found, path: str, host: nn.Module) -> None:
    """Functions that a module keeps as attributes."""
    for name, value in list(vars(host).items()):
        if name.startswith("__") or not callable(value) or isinstance(value, nn.Module | type):
            continue
        if not (value in FUNCTIONS if _is_hashable(value) else False) and is_elementwise(value) is not True:
            continue

        def put(new: nn.Module, name: str = name) -> None:
            delattr(host, name)
            host.add_module(name, new)
            _leave_kernel(host)

        ends = frozenset[End]({"hidden" if isinstance(host, ENCODERS) else "unknown"})
        old = FUNCTIONS.get(value, "") or str(getattr(value, "__name__", value))
        found.places.append(Place(_join(path, name), old, is_gating(_fresh(value)), value, put, None, ends))


def _leave_kernel(host: nn.Module) -> None:
    """Keep torch's encoder layers from computing their activation in a kernel of two fixed ones."""
    if hasattr(host, "activation_relu_or_gelu"):
        host.activation_relu_or_gelu = 0  # type: ignore[assignment]


def _add_calls(found: Found, path: str, host: nn.Module, layout: Layout) -> None:
    """Activations that a module's `forward` calculates or calls again."""
    traced = found.traced[path]
    if layout.compares(path):
        found.left[_join(path, "comparison")] = (
            "a comparison of values is computed here, where it cannot be told apart; make it a module of its own"
        )
    ends = [frozenset(layout.of_call(path, region.result)) for region in traced.regions]
    again = [frozenset(layout.of_call(path, traced.further_use(index))) for index in range(len(traced.uses))]
    for name in traced.side_effects:
        found.left[_join(path, name)] = "changes a part of a tensor in place; assign its result to replace it"
    by_hand = {(region.source, region.old) for region in traced.regions if region.is_cut_off}  # written twice, maybe
    for index, region in enumerate(traced.regions):
        name = _free_name(host, f"{region.stem}_call{index + 1}")
        put = _puts_call(host, traced.replace, index, name)
        function = region.function
        if (region.source, region.old) in by_hand:
            reason = "its gradient is made by hand, with `detach`; make it a module of its own to replace it"
            found.left[_join(path, name)] = f"{region.old}: {reason}"
            continue
        found.places.append(Place(_join(path, name), region.old, region.gate, function, put, path, ends[index]))
    for index, (part, number) in enumerate(traced.uses):
        old = host.get_submodule(part)
        if not _has_weights(old):
            name = _free_name(host, f"{part.replace('.', '_')}_use{number}")
            put = _puts_call(host, traced.redirect, index, name)
            gate = is_gating(_fresh(old))
            found.places.append(Place(_join(path, name), _one_line(old), gate, old, put, path, again[index], old))


def _puts_call(host: nn.Module, put: Callable[[int, str], None], index: int, name: str) -> Callable[[nn.Module], None]:
    def puts(new: nn.Module) -> None:
        host.add_module(name, new)
        put(index, name)

    return puts


def _free_name(host: nn.Module, name: str) -> str:
    while hasattr(host, name):
        name += "_"
    return name


def _has_weights(module: nn.Module) -> bool:
    return any(True for _ in module.parameters())


def _note_untraced(found: Found, path: str, host: nn.Module, reason: str) -> None:
    """Write down a `forward` that cannot be traced, if it may call activations."""
    names = mentioned(host)
    if names is None:
        found.left[path] = f"{reason}; its source, which might call activations, is not at hand"
    elif names:
        found.left[path] = f"{reason}; its source calls {', '.join(names)}: make it a module of its own"


def _one_line(module: nn.Module) -> str:
    text = str(module)
    return text if "\n" not in text else f"{type(module).__name__}(...)"


def _fresh(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda x: function(x.clone())


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _is_hashable(value: object) -> bool:
    return getattr(type(value), "__hash__", None) is not None
