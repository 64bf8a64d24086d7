"""Where the value of an activation goes: to the network's output, into a product, or to parts that are trained.

A value is followed forwards through what only passes it on (reshape, slice, concatenate, scale by a constant, pool)
until something else is done with it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Literal, TypeVar

End = Literal["output", "product", "scale", "hidden", "unknown", "raw"]
"""What becomes of a value: it is (part of) the network's output, multiplied with another signal, divides something or
spreads noise, goes into a part that is trained or together with other signals, or cannot be followed. And whence it
comes: `raw` is made of the network's inputs by nothing that is trained."""

Role = End | Literal["pass"]

Node = TypeVar("Node")


def ends(
    start: Node, users: Callable[[Node], Iterable[Node]], role: Callable[[Node, Node], Collection[Role]]
) -> set[End]:
    """What becomes of the value of a node.

    Args:
        start: a node of a graph.
        users: the nodes that use a node's value.
        role: what a user (first) does with the value of a node (second).
    """
    found: set[End] = set()
    seen, waiting = {start}, [start]
    while waiting:
        here = waiting.pop()
        for user in users(here):
            for each in role(user, here):
                if each != "pass":
                    found.add(each)
                elif user not in seen:
                    seen.add(user)
                    waiting.append(user)
    return found


def reason_to_stay(found: Collection[End], *, gate: bool) -> str | None:
    """Why an activation is none that is searched; None if it may be replaced.

    Args:
        found: see `ends`.
        gate: whether its values stay in [0, 1] or above zero.
    """
    if "raw" in found:
        return "prepares the inputs: nothing trained stands between them and it"
    if "output" in found:
        return "squashes the output: nothing trained stands between it and what the network returns"
    if "scale" in found:
        return "sets a scale: its value divides another, is taken a logarithm of, or multiplies noise"
    if gate and "product" in found:
        return "is a gate: its value, in [0, 1] or above zero, is multiplied with another signal"
    return None


PRODUCTS = frozenset({
    "mul", "multiply", "addcmul", "lerp", "matmul", "mm", "bmm", "mv", "dot", "einsum", "addmm", "baddbmm",
})  # fmt: skip
COMPARISONS = frozenset({"gt", "ge", "lt", "le", "greater", "less"})
QUOTIENTS = frozenset({"div", "truediv", "true_divide", "divide"})
LOGARITHMS = frozenset({"log", "log2", "log10", "log1p", "rsqrt", "reciprocal"})
PACKING = frozenset({
    "cat", "concat", "concatenate", "stack", "hstack", "vstack", "getitem", "setitem", "copy", "where", "index_put",
    "masked_scatter", "scatter", "select_scatter", "slice_scatter", "dstack",
})  # fmt: skip
NOISE = frozenset(
    {"randn", "rand", "randn_like", "rand_like", "normal", "bernoulli", "randint", "randint_like", "uniform"}
)
EMPTY = frozenset({
    "zeros", "ones", "full", "empty", "arange", "linspace", "eye", "zeros_like", "ones_like", "full_like", "empty_like",
    "new_zeros", "new_ones", "new_full", "new_empty", "new_tensor", "tensor", "size", "dim", "numel", "len",
    "new_empty_strided", "empty_strided", "scalar_tensor",
})  # fmt: skip
