"""Activations in the graph of a `forward`: single calls, and arithmetic of one signal that amounts to one.

A region is the largest part of the graph in which one signal alone, number by number, gives one result:
`x * sigmoid(1.702 * x)`. Constants around a call of a known function are no part of it: `2 * relu(x - 1)` holds `relu`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from actsearch.surgery.elementwise import is_elementwise, is_gating
from actsearch.surgery.foreign_activations import FUNCTIONS, METHODS

_LINEAR = (
    "add",
    "sub",
    "rsub",
    "mul",
    "div",
    "true_divide",
    "truediv",
    "multiply",
    "subtract",
    "divide",
    "neg",
    "negative",
)
# fmt: off
_CURVED = (
    "pow", "square", "sqrt", "rsqrt", "exp", "exp2", "expm1", "log", "log1p", "log2", "abs", "reciprocal", "cos", "tan",
    "sinh", "cosh", "erf", "erfc", "atan", "arctan", "asinh", "logaddexp", "sign", "float",
)
_SINGLE = ("clamp", "clamp_", "clamp_min", "clamp_max", "clip", "maximum", "sin", "sin_")
# fmt: on
_NAMES = frozenset([*_LINEAR, *_CURVED, *_SINGLE, *METHODS])
_HOMES = {torch: "torch", F: "F", operator: "operator"}
_KNOWN: dict[Any, str] = {
    getattr(home, name): name
    for home in _HOMES
    for each in sorted(_NAMES)
    for name in (each, f"{each}_", f"i{each}")
    if hasattr(home, name)
}


@dataclass(frozen=True, eq=False)
class Region:
    """One activation in a graph.

    Args:
        source: the signal that goes in.
        result: the node whose value it is.
        nodes: in order, `result` the last.
        old: how it is called in reports: `F.relu`, `x * sigmoid(x)`.
        stem: of the name of the part that takes its place.
        gate: whether its values, constants around it included, stay in [0, 1] or above zero.
        function: what it computes; its own module, without the weights of the one that it was found in.
    """

    source: fx.Node
    result: fx.Node
    nodes: tuple[fx.Node, ...]
    old: str
    stem: str
    gate: bool
    function: nn.Module

    @property
    def is_cut_off(self) -> bool:
        """Whether its gradient is made by hand, as in `x + (round(x) - x).detach()`."""
        return any(user.op == "call_method" and user.target == "detach" for node in self.nodes for user in node.users)


def regions(graph: fx.Graph, host: nn.Module, activations: set[nn.Module]) -> list[Region]:
    """The activations in a graph, in order; calls of activation modules only as a part of something larger."""
    return [region for group in _largest(graph, host, activations) for region in _regions(*group, host)]


def operation(node: fx.Node) -> str:
    """The name of the function or method that a node calls, without marks of changing its input; else ''."""
    if node.op == "call_method":
        name = str(node.target)
    elif node.op == "call_function":
        name = _KNOWN.get(node.target, "")
        if node.target in _IN_PLACE_OPERATORS:
            name = name[1:]
    else:
        return ""
    return name.rstrip("_")


_IN_PLACE_OPERATORS = {operator.iadd, operator.imul, operator.isub, operator.itruediv, operator.ipow}


def changes_input(node: fx.Node) -> bool:
    """Whether a call changes the tensor that it is given."""
    if node.op == "call_function" and node.target in _IN_PLACE_OPERATORS:
        return True
    name = str(node.target) if node.op == "call_method" else _KNOWN.get(node.target, "")
    if name not in METHODS and name.rstrip("_") not in _NAMES:
        return False
    last = node.args[-1] if len(node.args) > 1 and name in METHODS else False
    return name.endswith("_") or node.kwargs.get("inplace", last) is True


def _largest(
    graph: fx.Graph, host: nn.Module, activations: set[nn.Module]
) -> Iterator[tuple[fx.Node, tuple[fx.Node, ...]]]:
    """Largest groups of pointwise nodes with one source and one result."""
    pointwise = {node for node in graph.nodes if _is_pointwise(node, host, activations)}
    cut: set[fx.Node] = set()
    while True:
        source = _sources(graph, pointwise, cut, host)
        results = [node for node in graph.nodes if source[node] is not node and _leaves(node, source, cut)]
        groups = {result: _group(result, source[result], source, host) for result in results}
        inner = {other for result in results for other in groups[result][:-1] if other in groups}
        if not inner:
            yield from ((source[result], tuple(groups[result])) for result in results)
            return
        cut |= inner


def _sources(graph: fx.Graph, pointwise: set[fx.Node], cut: set[fx.Node], host: nn.Module) -> dict[fx.Node, fx.Node]:
    """For each node the one signal that it is a function of, number by number; itself where there is none."""
    source: dict[fx.Node, fx.Node] = {}
    for node in graph.nodes:
        source[node] = node
        if node in pointwise:
            before = {a if a in cut else source[a] for a in node.all_input_nodes if not _is_number(a, host)}
            if len(before) == 1:
                source[node] = before.pop()
    return source


def _leaves(node: fx.Node, source: dict[fx.Node, fx.Node], cut: set[fx.Node]) -> bool:
    return node in cut or any(source[user] is not source[node] for user in node.users)


def _group(result: fx.Node, start: fx.Node, source: dict[fx.Node, fx.Node], host: nn.Module) -> list[fx.Node]:
    members, waiting = {result}, [result]
    while waiting:
        for before in waiting.pop().all_input_nodes:
            if before is not start and before not in members and (source[before] is start or _is_number(before, host)):
                members.add(before)
                waiting.append(before)
    return [node for node in result.graph.nodes if node in members]


def _regions(source: fx.Node, nodes: tuple[fx.Node, ...], host: nn.Module) -> list[Region]:
    """The activations in a group: it as a whole, or each call in it where there are only calls one after another."""
    bent = [node for node in nodes if _bends(node)]
    if source.op == "get_attr" or not bent:
        return []
    whole = _function(source, nodes, host)
    if _is_chain(source, nodes):
        if all(node.op == "call_module" or operation(node) in METHODS for node in bent):
            gate = is_gating(_fresh(whole))
            return [_call(node, host, gate=gate and node is bent[-1]) for node in bent if node.op != "call_module"]
        if len(bent) == 1:
            return _unnamed(source, nodes[: nodes.index(bent[0]) + 1], host)
    if is_elementwise(_fresh(whole)) is not True:
        return []
    gate = is_gating(_fresh(whole))
    return [Region(source, nodes[-1], nodes, _shown(source, nodes), "elementwise", gate, whole)]


def _call(node: fx.Node, host: nn.Module, *, gate: bool) -> Region:
    """A call of a function that is known for an activation; constants around it are no part of it."""
    source = next(a for a in node.all_input_nodes if not _is_number(a, host))
    return Region(source, node, (node,), _called(node), operation(node), gate, _function(source, (node,), host))


def _unnamed(source: fx.Node, nodes: tuple[fx.Node, ...], host: nn.Module) -> list[Region]:
    """A single call of a function that may be an activation: a clamp, or a sine with the constants before it."""
    node, name = nodes[-1], operation(nodes[-1])
    if name not in _SINGLE or (name == "sin" and not _is_behind_weights(source, host)):
        return []
    if name != "sin":
        source, nodes = next(a for a in node.all_input_nodes if not _is_number(a, host)), (node,)
    function = _function(source, nodes, host)
    if is_elementwise(_fresh(function)) is not True:
        return []
    old = _shown(source, nodes) if len(nodes) > 1 else _called(node)
    return [Region(source, node, nodes, old, name, is_gating(_fresh(function)), function)]


def _is_chain(source: fx.Node, nodes: tuple[fx.Node, ...]) -> bool:
    """Whether each node has one signal: none is multiplied with or added to another."""
    return all(
        sum(a is source or a in nodes for a in n.args if a.__class__ is fx.Node and a.op != "get_attr") <= 1
        for n in nodes
    )


def _is_behind_weights(node: fx.Node, host: nn.Module) -> bool:
    seen, waiting = {node}, [node]
    while waiting:
        here = waiting.pop()
        if here.op == "get_attr" and isinstance(_attribute(host, str(here.target)), nn.Parameter):
            return True
        if here.op == "call_module" and any(True for _ in host.get_submodule(str(here.target)).parameters()):
            return True
        new = [a for a in here.all_input_nodes if a not in seen]
        seen.update(new)
        waiting += new
    return False


def _is_pointwise(node: fx.Node, host: nn.Module, activations: set[nn.Module]) -> bool:
    if node.op == "call_module":
        part = host.get_submodule(str(node.target))
        return part in activations and not any(True for _ in part.parameters()) and len(node.args) == 1
    return operation(node) in _NAMES


def _bends(node: fx.Node) -> bool:
    return operation(node) not in (*_LINEAR, "float", "") or node.op == "call_module" or _multiplies_itself(node)


def _multiplies_itself(node: fx.Node) -> bool:
    return operation(node) in ("mul", "multiply", "div", "truediv", "true_divide") and all(
        isinstance(a, fx.Node) and a.op != "get_attr" for a in node.args[:2]
    )


def _is_number(node: fx.Node, host: nn.Module) -> bool:
    """Whether a node is a constant or a weight of one number."""
    if node.op != "get_attr":
        return False
    value = _attribute(host, str(node.target))
    return isinstance(value, Tensor) and value.numel() == 1


def _attribute(host: nn.Module, path: str) -> Any:
    return operator.attrgetter(path)(host)


def _function(source: fx.Node, nodes: tuple[fx.Node, ...], host: nn.Module) -> fx.GraphModule:
    graph = fx.Graph()
    start = graph.placeholder("x")
    copies = {source: graph.call_method("clone", (start,)) if any(map(changes_input, nodes)) else start}
    for node in nodes:
        copies[node] = graph.node_copy(node, lambda before: copies[before])
    graph.output(copies[nodes[-1]])
    return fx.GraphModule(host, graph, "HandWritten")


def _fresh(function: nn.Module) -> Callable[[Tensor], Tensor]:
    return lambda x: function(x.clone())


def _called(node: fx.Node) -> str:
    if node.op == "call_method":
        return f"Tensor.{node.target}"
    names: dict[Any, str] = {**FUNCTIONS}
    return names.get(node.target, f"torch.{operation(node)}")


_SIGNS = {"add": "+", "sub": "-", "mul": "*", "div": "/", "truediv": "/", "pow": "**"}


def _shown(source: fx.Node, nodes: tuple[fx.Node, ...]) -> str:
    """A formula of x."""
    texts: dict[Any, str] = {source: "x"}

    def text(value: Any) -> str:
        if isinstance(value, fx.Node):
            return texts.get(value, str(value.target))
        return f"{value:.4g}" if isinstance(value, float) else str(value)

    for node in nodes:
        name = operation(node) or str(node.target)
        arguments = [text(value) for value in node.args]
        if name in _SIGNS and len(arguments) == 2:
            texts[node] = f"({arguments[0]} {_SIGNS[name]} {arguments[1]})"
        else:
            named = [f"{key}={text(value)}" for key, value in node.kwargs.items() if key != "inplace"]
            texts[node] = f"{name}({', '.join(arguments + named)})" if node.op != "get_attr" else str(node.target)
    return texts[nodes[-1]].removeprefix("(").removesuffix(")") if _bracketed(texts[nodes[-1]]) else texts[nodes[-1]]


def _bracketed(text: str) -> bool:
    return text.startswith("(")
