"""The operations of one forward pass, what each gets from which, and what becomes of the value of an activation.

Recorded below autograd, so that nothing escapes: scripted parts, fused kernels, functions of other libraries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Self

from torch import Tensor, jit, nn
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from actsearch.surgery.layout import roles
from actsearch.surgery.positions import EMPTY, NOISE, End, Role, ends
from actsearch.surgery.probes import watched


@dataclass(eq=False)
class Step:
    """An operation: its name, the module it is called in, the steps that gave its inputs, and its kind of value.

    Args:
        kind: signal, weight, constant or noise, see `roles`.
        place: path of the activation, for one that stands at a place.
    """

    name: str
    module: str
    inputs: tuple[Step, ...]
    kind: str
    place: str = ""
    users: list[Step] = field(default_factory=list)


class Recorder(TorchDispatchMode):
    """Records what a module does, from `with` on.

    Args:
        module: with probes at its places.
        inputs: tensors that it will be given.
    """

    def __init__(self, module: nn.Module, inputs: Iterable[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.steps: list[Step] = []
        self._given: dict[int, tuple[Tensor, Step]] = {}  # holds the tensors, so that no other takes their id
        self._where = [""]
        self._paused = False
        self._hooks: list[Any] = []
        self._module = module
        for weight in module.parameters():
            self._note(weight, Step("weight", "", (), "weight"))
        for value in inputs:
            self._note(value, Step("input", "", (), "signal"))

    def __enter__(self) -> Self:
        for path, part in hookable_parts(self._module):
            self._hooks.append(part.register_forward_pre_hook(lambda *_, path=path: self._where.append(path)))
            self._hooks.append(part.register_forward_hook(lambda *_: self._left(), always_call=True))
        self._watching = watched(self._at_place)
        self._watching.__enter__()
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        self._watching.__exit__()
        for hook in self._hooks:
            hook.remove()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Do it, and write it down."""
        results = func(*args, **(kwargs or {}))
        if not self._paused:
            given = [leaf for leaf in pytree.tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
            name = str(func._schema.name).rpartition("::")[2]
            step = self._step(name, [self._of(value) for value in given])
            for value in pytree.tree_leaves(results):
                if isinstance(value, Tensor):
                    self._written(value, step, is_new=all(value is not other for other in given))
        return results

    def ends(self, outputs: Any) -> dict[str, frozenset[End]]:
        """What becomes of the value at each place that a signal passed: not those that only change a weight.

        Args:
            outputs: of the module.
        """
        out = Step("output", "", (), "signal")
        for value in leaves(outputs):
            if id(value) in self._given:
                self._of(value).users.append(out)
        found: dict[str, set[End]] = {}
        trained: set[str] = set()
        for step in self.steps:
            if step.place and not _is_of_one_weight(step):
                found.setdefault(step.place, set()).update(ends(step, lambda s: s.users, _role_before(out)))
                if is_behind_weights(step):
                    trained.add(step.place)
        return {path: frozenset(each if path in trained else {*each, "raw"}) for path, each in found.items()}

    def matters(self, outputs: Any) -> set[str]:
        """The places whose values have a part in the outputs."""
        seen: set[Step] = set()
        waiting = [self._of(value) for value in leaves(outputs) if id(value) in self._given]
        while waiting:
            step = waiting.pop()
            if step not in seen:
                seen.add(step)
                waiting += step.inputs
        return {step.place for step in seen if step.place}

    def _left(self) -> None:
        self._where.pop()

    def _at_place(self, path: str, x: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
        before, self._paused = self._paused, True
        y = function(x.clone())
        self._paused = before
        if not before:
            step = self._step("place", [self._of(x)])
            step.place = path
            self._written(y, step, is_new=True)
        return y

    def _step(self, name: str, inputs: list[Step]) -> Step:
        kinds = {step.kind for step in inputs}
        plain = name.rstrip("_")
        kind = next((k for k in ("signal", "noise", "weight") if k in kinds), "constant")
        kind = "noise" if plain in NOISE else "constant" if plain in EMPTY else kind
        step = Step(plain, self._where[-1], tuple(inputs), kind)
        for before in set(inputs):
            before.users.append(step)
        self.steps.append(step)
        return step

    def _of(self, value: Tensor) -> Step:
        if id(value) not in self._given:
            self._note(value, Step("constant", "", (), "constant"))
        return self._given[id(value)][1]

    def _note(self, value: Tensor, step: Step) -> None:
        self._given[id(value)] = (value, step)

    def _written(self, value: Tensor, step: Step, *, is_new: bool) -> None:
        """The value of a step; where it was written into a tensor, others that share its memory change, too."""
        self._note(value, step)
        if is_new or step.kind == "constant":
            return
        memory = value.untyped_storage().data_ptr()
        for other, before in list(self._given.values()):
            if other is not value and other.layout == value.layout and other.untyped_storage().data_ptr() == memory:
                self._note(other, self._step("copy", [before, step]))


def ancestors(step: Step) -> set[Step]:
    """A step and all that its value was made of."""
    seen, waiting = {step}, [step]
    while waiting:
        new = [before for before in waiting.pop().inputs if before not in seen]
        seen.update(new)
        waiting += new
    return seen


def is_behind_weights(step: Step) -> bool:
    """Whether something trained had a part in a value."""
    return any(before.kind == "weight" for before in ancestors(step))


def _is_of_one_weight(step: Step) -> bool:
    """Whether a value is a changed weight, such as `softplus(w)`, rather than what layers give."""
    return (
        step.kind == "weight" and sum(not before.inputs and before.kind == "weight" for before in ancestors(step)) == 1
    )


def hookable_parts(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The parts of a module, itself included, that can be given hooks: scripted ones take none."""
    return ((path, part) for path, part in module.named_modules() if not isinstance(part, jit.ScriptModule))


def leaves(outputs: Any) -> list[Tensor]:
    """The tensors in what a network returns: containers, data classes, objects with attributes."""
    found: list[Tensor] = []
    for value in pytree.tree_leaves(outputs):
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, dict):
            found += leaves(dict(value))
        elif hasattr(value, "__dict__") and not isinstance(value, type | nn.Module):
            found += [leaf for leaf in vars(value).values() if isinstance(leaf, Tensor)]
    return found


def _role_before(out: Step) -> Callable[[Step, Step], tuple[Role, ...]]:
    def role(user: Step, value: Step) -> tuple[Role, ...]:
        if user is out:
            return ("output",)
        if user.place:
            return ("pass",)
        if user.kind == "constant":
            return ()
        others = [step.kind for step in user.inputs if step is not value]
        return roles(user.name, others, divides=len(user.inputs) > 1 and user.inputs[1] is value)

    return role
