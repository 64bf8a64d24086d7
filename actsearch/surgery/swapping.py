"""Other activations inside any `nn.Module`: modules and functions alike, weights and everything else kept."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from torch import Tensor, nn

from actsearch.activations import Activation, learned_names, resolve
from actsearch.errors import FieldProblem, InvalidRequest
from actsearch.schemas import ActivationSpec
from actsearch.surgery.copying import copied
from actsearch.surgery.examination import Examined, examine
from actsearch.surgery.places import Found, Place, find
from actsearch.surgery.positions import reason_to_stay

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
        guessed: what could not be known about places that were replaced, by path, and how to say it.
        lost_keys, new_keys: of the state dict: weights that went with what was replaced, and those of what came.
    """

    module: nn.Module
    replaced: Mapping[str, str]
    left: Mapping[str, str]
    functions: Mapping[str, Callable[[Tensor], Tensor]]
    guessed: Mapping[str, str] = field(default_factory=dict)
    lost_keys: tuple[str, ...] = ()
    new_keys: tuple[str, ...] = ()


def swap_activations(
    module: nn.Module, spec: ActivationSpec | str, *, sites: Collection[str] | None = None, inputs: Any = None
) -> Swapped:
    """A copy of a module with its activations replaced, and what was replaced and what was not.

    Found are activation modules (torch's, and any that compute one number from one number), functions kept as
    attributes, and calls and arithmetic in `forward` (`F.relu(x)`, `x * torch.sigmoid(x)`), these with torch.fx, one
    module at a time. Activations whose value is an output of the network, a gate or a scale stay as they are, unless
    `sites` names them. A `forward` that is rewritten refuses arguments that it was not traced with.

    Args:
        module: any module; it is left as it is.
        spec: the activation, or a family's name for its defaults.
        sites: paths to replace, with `*` and `?` as in file names; None for all but outputs, gates and scales.
        inputs: samples to run the module on: a tensor, a tuple of arguments, a mapping of keyword arguments, or a tuple
            whose last entry is such a mapping. With them each replacement is proved, and what stands where is seen
            rather than read from the graphs.

    Raises:
        InvalidRequest: for an unknown activation, one learned for each channel (their number is not known; ask for
            `learned="scalar"`), or sites that match nothing.
        Exception: whatever the module raises on `inputs`.
    """
    full = resolve(ActivationSpec(family=spec) if isinstance(spec, str) else spec)
    if full.learned == "channel" and learned_names(full):
        message = f"{full.family} would be learned for each channel; a module does not say how many a place has"
        raise InvalidRequest(FieldProblem("learned", message, ("scalar", "fixed")))
    return swap(module, lambda _: Activation(full), sites=sites, inputs=inputs)


def swap(module: nn.Module, make: Make, *, sites: Collection[str] | None = None, inputs: Any = None) -> Swapped:
    """As `swap_activations`, with activations that `make` makes, in the order of the module's parts.

    A module without weights that is used at several places is several activations: each place gets its own.
    """
    examined = Examined() if inputs is None else examine(module, inputs)
    root = nn.ModuleList([copied(module)])  # so that the module itself has a place, too
    found = find(root, calls=examined.calls, untouched=examined.untouched, only=examined.hosts)
    before = set(root[0].state_dict())
    chosen, guessed = _chosen(found, examined, sites)
    for place in chosen:
        new = make(place.path).train(module.training)
        reference = next(module.parameters(), None)
        place.put(new if reference is None else new.to(reference.device, reference.dtype))
    replaced_parts = {id(place.function) for place in chosen if place.shares is None}
    for place in found.places:
        if place.shares is not None and place not in chosen and id(place.shares) in replaced_parts:
            place.put(place.shares)
    for traced in found.traced.values():
        traced.install()
    after = set(root[0].state_dict())
    return Swapped(
        module=root[0],
        replaced={place.path: place.old for place in chosen},
        left=found.left | dict(examined.left),
        functions={place.path: place.function for place in chosen},
        guessed=guessed,
        lost_keys=tuple(sorted(before - after)),
        new_keys=tuple(sorted(after - before)),
    )


def _chosen(found: Found, examined: Examined, sites: Collection[str] | None) -> tuple[list[Place], dict[str, str]]:
    """The places to replace, and what is guessed about them; what is left is written down."""
    if sites is not None:
        _check(found, sites)
    chosen, guessed = [], {}
    for place in found.places:
        reason = examined.impossible.get(place.path)
        if reason is None and sites is not None:
            named = any(fnmatchcase(place.path, pattern) for pattern in sites)
            reason = None if named else "not among `sites`"
        elif reason is None:
            reason, guess = _judged(place, examined)
            if guess is not None and reason is None:
                guessed[place.path] = guess
        if reason is None:
            chosen.append(place)
        else:
            found.left[place.path] = f"{place.old}: {reason}"
    return chosen, guessed


def _judged(place: Place, examined: Examined) -> tuple[str | None, str | None]:
    """Why a place keeps its activation, and what was guessed where it does not."""
    ends = examined.ends.get(place.path, place.ends)
    reason = reason_to_stay(ends, gate=place.gate)
    if reason is not None:
        return f"{reason}; name it in `sites` to replace it", None
    if "unknown" not in ends:
        return None, None
    if place.gate:
        return (
            "may be a gate or an output: where its value goes cannot be read; name it in `sites` or give `inputs`",
            None,
        )
    return None, f"taken for a hidden activation: {_UNREAD}give `inputs` to see it"


_UNREAD = "where its value goes cannot be read; "


def _check(found: Found, sites: Collection[str]) -> None:
    known = tuple(place.path for place in found.places)
    problems = [
        FieldProblem("sites", f"no activation matches {pattern!r}", known)
        for pattern in sites
        if not any(fnmatchcase(path, pattern) for path in known)
    ]
    if problems:
        raise InvalidRequest(*problems)
