"""How the caller's network is called with its inputs, and which of its outputs is learned."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import torch
from torch import Tensor, nn

from actsearch.errors import FieldProblem, InvalidRequest
from actsearch.tasks.parts import sample_count

Forward = Callable[[Any, Any], Any]
"""`forward(model, inputs) -> outputs`, with the inputs of a batch as they were given."""

Output = str | int
"""Key, attribute or place of the output to be learned."""

LOGITS = "logits"


@dataclass(frozen=True)
class Calling:
    """How a network is called.

    Args:
        forward: of the caller's; None for the usual way: a dictionary gives keyword arguments, a tuple arguments.
        output: which of several outputs is learned; None where there is one.
    """

    forward: Forward | None = None
    output: Output | None = None

    def __call__(self, model: nn.Module, inputs: Any) -> Tensor:
        """The outputs to be learned, for the inputs of a batch."""
        found = _called(model, inputs) if self.forward is None else self.forward(model, inputs)
        return found if self.output is None else _picked(found, self.output)  # type: ignore[no-any-return]


class Called(nn.Module):
    """A network as the engine calls it: with one argument, for one tensor."""

    def __init__(self, model: nn.Module, calling: Calling) -> None:
        super().__init__()
        self.model, self.calling = model, calling

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """The outputs for the inputs of a batch, which may also come as the network itself would get them."""
        each = (*args, kwargs) if kwargs else args
        return self.calling(self.model, each[0] if len(each) == 1 else each)


def unwrapped(module: nn.Module) -> nn.Module:
    """The caller's network."""
    return module.model if isinstance(module, Called) else module


def how_to_call(
    model: nn.Module, batch: Any, forward: Forward | None, output: Output | None
) -> tuple[Calling | None, list[str]]:
    """How to call a network, and what of it was guessed, in words; None where it takes one tensor and gives one.

    Args:
        model: in evaluation mode, the caller's copy.
        batch: inputs of some samples.
        forward, output: what the caller says.

    Raises:
        InvalidRequest: if it cannot be run so, or gives several outputs of which none is the obvious one.
    """
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        try:
            found = _called(model, batch) if forward is None else forward(model, batch)
        except InvalidRequest:
            raise
        except Exception as error:  # whatever the network raises
            hint = "" if forward else "; say how it is called with `forward=lambda model, inputs: ...`"
            message = f"cannot be run on {described(batch)}: {type(error).__name__}: {error}{hint}"
            raise InvalidRequest(FieldProblem("model", message)) from error
    notes = [] if isinstance(batch, Tensor) or forward is not None else [f"inputs: {_manner(batch)}"]
    if output is None and not isinstance(found, Tensor):
        output = _obvious(found, sample_count(batch))
        notes.append(
            f"outputs: {output!r} of the {type(found).__name__} that the network gives; `outputs=` says otherwise"
        )
    calling = Calling(forward, output)
    if isinstance(batch, Tensor) and forward is None and output is None:
        return None, notes
    return calling, notes


def described(inputs: Any) -> str:
    """Inputs in words: their shapes."""
    if isinstance(inputs, Tensor):
        return f"inputs of shape {tuple(inputs.shape)}"
    named = inputs.items() if isinstance(inputs, Mapping) else enumerate(inputs)
    return "inputs " + ", ".join(f"{name} {tuple(value.shape)}" for name, value in named if isinstance(value, Tensor))


def _called(model: nn.Module, inputs: Any) -> Any:
    if isinstance(inputs, Mapping):
        return model(**inputs)
    if isinstance(inputs, tuple):
        if inputs and isinstance(inputs[-1], Mapping):
            return model(*inputs[:-1], **inputs[-1])
        return model(*inputs)
    return model(inputs)


def _manner(inputs: Any) -> str:
    if isinstance(inputs, Mapping):
        return f"{', '.join(inputs)} are given to the network by keyword"
    return f"{len(inputs)} of them are given to the network one after the other"


def _named(outputs: Any) -> dict[Output, Any]:
    if isinstance(outputs, Mapping):
        return dict(outputs)
    if isinstance(outputs, tuple | list):
        return dict(enumerate(outputs))
    if is_dataclass(outputs):
        return {field.name: getattr(outputs, field.name) for field in fields(outputs)}
    message = f"its forward gives a {type(outputs).__name__}; give a tensor, by `forward=lambda model, inputs: ...`"
    raise InvalidRequest(FieldProblem("model", message))


def _picked(outputs: Any, output: Output) -> Any:
    named = _named(outputs)
    if output not in named:
        known = tuple(map(str, named))
        raise InvalidRequest(
            FieldProblem("outputs", f"there is no output {output!r}; choose one of: {', '.join(known)}", known)
        )
    return named[output]


def _obvious(outputs: Any, samples: int) -> Output:
    """`logits` where there are any, the only tensor with an entry a sample, or the first of a tuple's."""
    tensors = {
        name: value
        for name, value in _named(outputs).items()
        if isinstance(value, Tensor) and value.dim() and len(value) == samples and value.is_floating_point()
    }
    if LOGITS in tensors:
        return LOGITS
    if len(tensors) == 1 or (tensors and isinstance(outputs, tuple | list)):
        return next(iter(tensors))
    known = tuple(map(str, tensors))
    message = (
        f"its forward gives a {type(outputs).__name__} with {', '.join(known) or 'no tensor of one entry a sample'}; "
        "say which is learned with `outputs=`, or give `forward=lambda model, inputs: ...`"
    )
    raise InvalidRequest(FieldProblem("outputs", message, known))
