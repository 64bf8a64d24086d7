"""Where activations stand, as far as the graphs of the `forward`s tell, without running anything."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from torch import Tensor, fx, jit, nn

from actsearch.surgery.positions import (
    COMPARISONS,
    EMPTY,
    LOGARITHMS,
    NOISE,
    PACKING,
    PRODUCTS,
    QUOTIENTS,
    End,
    Role,
    ends,
)

ENCODERS = (nn.TransformerEncoderLayer, nn.TransformerDecoderLayer)
"""Parts of torch that have an activation between two linear layers of theirs."""


class Layout:
    """The graphs of a network's modules, each joined to those of its parts.

    Args:
        network: whole.
        graphs: of the `forward`s that could be traced, by path.
        activations: modules that are one activation each.
    """

    def __init__(self, network: nn.Module, graphs: Mapping[str, fx.Graph], activations: Collection[nn.Module]) -> None:
        self._network, self._paths = network, dict(network.named_modules())
        self._activations = activations
        self._graphs = {**{p: g for p, m in self._paths.items() if (g := _chain(m)) is not None}, **graphs}
        self._calls: dict[nn.Module, list[tuple[str, fx.Node]]] = {}
        self._at: dict[str, list[tuple[str, fx.Node]]] = {}
        self._kinds = {path: _kinds(graph, self._paths[path]) for path, graph in self._graphs.items()}
        for path, graph in self._graphs.items():
            for node in graph.nodes:
                if node.op == "call_module":
                    self._calls.setdefault(self._part(path, node), []).append((path, node))
                    self._at.setdefault(f"{path}.{node.target}".lstrip("."), []).append((path, node))
        self._ends = self._module_ends(network)

    def of_place(self, path: str, module: nn.Module) -> set[End]:
        """What becomes of the value of an activation module at its first call by this path."""
        calls = self._at.get(path, [])[:1]
        return {end for call in calls for end in self.of_call(*call)} if calls else set(self._ends[module])

    def of_call(self, path: str, node: fx.Node) -> set[End]:
        """`of_node`, and whether its value is made of the network's inputs by nothing that is trained."""
        found = self.of_node(path, node)
        is_trained = any(self._is_trained(path, before) for before in node.all_input_nodes)
        return found if is_trained else {*found, "raw"}

    def changes_weight(self, path: str) -> bool:
        """Whether the activation module at a path is called on weights alone: `self.softplus(self.weight)`."""
        calls = self._at.get(path, [])
        given = [{self._kinds[at][before] for before in call.all_input_nodes} for at, call in calls]
        return bool(given) and all(kinds == {"weight"} for kinds in given)

    def compares(self, path: str) -> bool:
        """Whether the `forward` at `path` compares hidden values, as a rectifier may be written: `x * (x > 0)`."""
        return any(
            name_of(node) in COMPARISONS and self._kinds[path][node] == "signal" and self._is_trained(path, node)
            for node in self._graphs[path].nodes
        )

    def _is_trained(self, path: str, node: fx.Node, asked: frozenset[tuple[str, fx.Node]] = frozenset()) -> bool:
        """Whether something trained has a part in a node's value, or may have."""
        if (path, node) in asked:
            return False
        asked = asked | {(path, node)}
        if node.op == "get_attr":
            return _is_weight(self._paths[path], str(node.target))
        if node.op == "call_module" and any(True for _ in self._part(path, node).parameters()):
            return True
        if node.op == "placeholder":
            host = self._paths[path]
            calls = self._calls.get(host, [])
            if host is self._network:
                return False
            return not calls or any(
                self._is_trained(at, before, asked) for at, call in calls for before in call.all_input_nodes
            )
        return any(self._is_trained(path, before, asked) for before in node.all_input_nodes)

    def of_node(self, path: str, node: fx.Node) -> set[End]:
        """What becomes of the value of a node in the graph of the `forward` at `path`."""
        kinds = self._kinds[path]

        def role(user: fx.Node, value: fx.Node) -> Collection[Role]:
            if user.op == "output":
                return self._ends[self._paths[path]]
            if user.op == "call_module":
                return (self._through(self._part(path, user)),)
            return _role(user, value, kinds)

        return ends(node, lambda n: n.users, role)

    def _through(self, part: nn.Module) -> Role:
        if part in self._activations:
            return "pass"
        return "hidden" if any(True for _ in part.parameters()) else "pass"

    def _part(self, path: str, node: fx.Node) -> nn.Module:
        part: nn.Module = self._paths[path].get_submodule(str(node.target))
        return part

    def _module_ends(self, network: nn.Module) -> dict[nn.Module, set[End]]:
        self._ends = {module: set() for module in self._paths.values()}
        self._ends[network].add("output")
        for path, module in self._paths.items():
            if path not in self._graphs and module not in self._activations:
                inside: End = "hidden" if isinstance(module, ENCODERS) else "unknown"
                for part in _parts(module):
                    self._ends[part].add(inside)
        changed = True
        while changed:
            before = sum(map(len, self._ends.values()))
            for module, calls in self._calls.items():
                for call in calls:
                    self._ends[module] |= self.of_node(*call)
            changed = sum(map(len, self._ends.values())) != before
        return self._ends


def _chain(module: nn.Module) -> fx.Graph | None:
    """The graph of an `nn.Sequential`."""
    if isinstance(module, jit.ScriptModule) or type(module).forward is not nn.Sequential.forward:
        return None
    graph = fx.Graph()
    value = graph.placeholder("x")
    for name in module._modules:
        value = graph.call_module(name, (value,))
    graph.output(value)
    return graph


def _parts(module: nn.Module) -> Iterator[nn.Module]:
    if isinstance(module, nn.ModuleList | nn.ModuleDict):
        return  # called by what holds it
    for part in module.children():
        if isinstance(part, nn.ModuleList | nn.ModuleDict):
            yield from part.children()
        else:
            yield part


def _kinds(graph: fx.Graph, host: nn.Module) -> dict[fx.Node, str]:
    """For each node whether it is a signal, a weight (or made of weights alone), a constant, or noise."""
    kinds: dict[fx.Node, str] = {}
    for node in graph.nodes:
        before = {kinds[a] for a in node.all_input_nodes}
        if node.op == "get_attr":
            kinds[node] = "weight" if _is_weight(host, str(node.target)) else "constant"
        elif node.op in ("placeholder", "call_module"):
            kinds[node] = "signal"
        elif name_of(node) in NOISE:
            kinds[node] = "noise"
        elif name_of(node) in EMPTY or _asks_shape(node):
            kinds[node] = "constant"
        else:
            kinds[node] = next((k for k in ("signal", "noise", "weight") if k in before), "constant")
    return kinds


def name_of(node: fx.Node) -> str:
    """The name of the function or method that a node calls, without marks of changing its input."""
    if node.op == "call_method":
        return str(node.target).strip("_")
    name = str(getattr(node.target, "__name__", "")) if node.op == "call_function" else ""
    return name[1:] if name in ("imul", "itruediv", "iadd", "isub") else name.strip("_")


def _asks_shape(node: fx.Node) -> bool:
    return name_of(node) == "getattr" and node.args[1] in ("shape", "ndim", "device", "dtype")


def _is_weight(host: nn.Module, path: str) -> bool:
    value: Any = host
    for name in path.split("."):
        value = getattr(value, name, None)
    return isinstance(value, Tensor) and isinstance(value, nn.Parameter)


def _role(user: fx.Node, value: fx.Node, kinds: Mapping[fx.Node, str]) -> tuple[Role, ...]:
    name = name_of(user)
    if kinds[user] == "constant":
        return ()
    if isinstance(user.target, type):  # a container of several outputs
        return ("pass",)
    others = [kinds[a] for a in user.all_input_nodes if a is not value]
    return roles(name, others, divides=user.args[1:2] == (value,))


def roles(name: str, others: Collection[str], *, divides: bool) -> tuple[Role, ...]:
    """What an operation does with a value.

    Args:
        name: of the operation.
        others: kinds of its other inputs: signal, weight, constant, noise.
        divides: whether the value is its second argument.
    """
    if name in LOGARITHMS or (name in QUOTIENTS and divides):
        return ("scale",)
    if "weight" in others:
        return ("hidden",)
    if name in PACKING:
        return ("pass",)
    if name in PRODUCTS and "noise" in others:
        return ("scale",)
    if "signal" in others:
        return ("product",) if name in PRODUCTS else ("hidden",)
    return ("pass",)
