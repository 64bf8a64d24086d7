"""A ready-made module as the network of a search: its activations are taken out, its weights drawn anew."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from actsearch.activations import GIVEN
from actsearch.architectures import InputSpec, Sites
from actsearch.architectures.ready_made import ReadyMade, take_out
from actsearch.errors import FieldProblem, InvalidRequest
from actsearch.inprocess.calling import Called, Forward, Output, described, how_to_call, unwrapped
from actsearch.inprocess.given import Nearest, check_same, keeps_nothing, nearest
from actsearch.inprocess.network import MODEL, Network, checked_outputs
from actsearch.surgery.copying import copied
from actsearch.training.build import GivenSite

Weights = Literal["fresh", "given"] | Callable[[nn.Module], object]
"""How each candidate's weights begin: `fresh`, `given`, or by a function that draws them in place."""

_RESETS = ("reset_parameters", "_reset_parameters")


def from_module(
    model: nn.Module,
    batch: Any,
    *,
    sites: Collection[str] | None,
    weights: Weights,
    forward: Forward | None = None,
    output: Output | None = None,
) -> Network:
    """A module as a network: a copy of it a candidate, with other activations or, `as given`, with its own.

    With `fresh` weights, each part draws its own as torch does when it is made (`reset_parameters`), parts before what
    holds them, by the trial's seed; weights of parts without such a method stay as they were given. Frozen weights
    (`requires_grad=False`) always stay, and are not trained.

    Args:
        model: left as it is.
        batch: inputs to try it on, (B, ...), or several.
        sites: paths of the activations to search, see `swap_activations`; None for all but gates.
        forward, output: see `how_to_call`.

    Raises:
        InvalidRequest: if it cannot be run, has no activation that can be replaced, does not give one tensor, or
            computes something else once its own activations are taken out and put back.
    """
    _check_weights(model, weights)
    whole = copied(model).cpu()
    trial = copied(whole).eval()
    calling, notes = how_to_call(trial, batch, forward, output)
    if any(is_lazy(value) for value in [*whole.parameters(), *whole.buffers()]):
        whole = trial.train(model.training)  # its lazy parts have their sizes now
    prefix = "" if calling is None else "model."
    if calling is not None:
        whole = Called(whole, calling)
    taken = _taken_out(whole, batch, None if sites is None else [f"{prefix}{site}" for site in sites], prefix)
    outputs = checked_outputs(taken.outputs)
    left = {path.removeprefix(prefix): reason for path, reason in taken.left.items()}
    if not taken.sites:
        reasons = "".join(f"; {path}: {reason}" for path, reason in left.items())
        message = f"no activation in it can be replaced; give `build(act)` or name `sites`{reasons}"
        raise InvalidRequest(FieldProblem(MODEL, message))
    with torch.random.fork_rng(devices=[]):
        kept = _begin(unwrapped(copied(whole)), weights)
        if callable(weights):
            _check_draws(unwrapped(copied(whole)), weights)
        elif weights == "fresh":
            notes.append(_FRESH)
    known = {path: nearest(taken.functions[path]) for path in taken.sites}
    made = _Maker(whole, taken, weights, known, prefix)
    check_same(whole, made.as_given(), batch)
    stay = dict(unwrapped(taken.module).named_parameters())
    return Network(
        build=made,
        outputs=outputs,
        tried=whole,
        replaced={p.removeprefix(prefix): taken.replaced[p] for p in taken.sites},  # as signals pass them
        left=left,
        kept=[name for name in kept if name in stay],
        own=GIVEN,
        nearest={path.removeprefix(prefix): found for path, found in known.items() if found is not None},
        same={
            path.removeprefix(prefix): found.activation
            for path, found in known.items()
            if found is not None and found.difference == 0 and keeps_nothing(taken.functions[path])
        },
        restored=made.restored,
        notes=notes,
    )


@dataclass(frozen=True)
class _Maker:
    """Makes the candidates of a module.

    Args:
        model: the module, on the CPU, its sizes known, as it is called.
        prefix: what stands before the paths of the caller's module in it.
    """

    model: nn.Module
    taken: ReadyMade
    weights: Weights
    known: Mapping[str, Nearest | None]
    prefix: str

    def __call__(self, spec: InputSpec, sites: Sites) -> nn.Module:
        """See `Builder`. The weights are drawn on the module as it was given, so all candidates draw the same."""
        if torch.empty(0).device.type == "meta":  # only asked for shapes
            return self._put(copied(self.model).to("meta"), copied(self.taken.module).to("meta"), sites)
        begun = copied(self.model)
        _begin(unwrapped(begun), self.weights)
        return self._put(begun, copied(self.taken.module), sites)

    def as_given(self) -> nn.Module:
        """The module with its own activations taken out and put back."""
        return self._put(copied(self.model), copied(self.taken.module), _GivenSites())

    def _put(self, begun: nn.Module, module: nn.Module, sites: Sites) -> nn.Module:
        """A candidate with the weights of `begun`."""
        _copy_weights(begun, module)
        _freeze(module)

        def held(site: str, *, stage: str, channels: int, axis: int = 1) -> nn.Module:
            found = sites(site.removeprefix(self.prefix), stage=stage, channels=channels, axis=axis)
            if isinstance(found, GivenSite):
                self._hold(found, site, begun)
            return found

        return self.taken.put(module, held)

    def _hold(self, site: GivenSite, path: str, begun: nn.Module) -> None:
        function, known = self.taken.functions[path], self.known[path]
        if isinstance(function, nn.Module):
            place = _part(begun, path)
            function = deepcopy(place if type(place) is type(function) else function)
            _freeze(function)
        same = known.activation if known is not None and known.difference == 0 else None
        site.hold(function, stacks=keeps_nothing(self.taken.functions[path]), known=same)

    @torch.no_grad()
    def restored(self, trained: nn.Module) -> nn.Module:
        """A trained network as the caller's module: of the caller's own class where all activations are as given."""
        places = [path for path in self.taken.sites if isinstance(_part(trained, path), GivenSite)]
        if len(places) < len(self.taken.sites):
            return unwrapped(trained)
        values = {**dict(trained.named_parameters()), **dict(trained.named_buffers())}
        whole = copied(self.model)
        for name, value in [*whole.named_parameters(), *whole.named_buffers()]:
            path = next((path for path in places if name.startswith(f"{path}.")), None)
            at = name if path is None else f"{path}.function{name.removeprefix(path)}"
            if at not in values:
                return unwrapped(trained)
            value.copy_(values[at])
        return unwrapped(whole).eval()


class _GivenSites:
    """Sites that all keep what is there."""

    def __call__(self, site: str, *, stage: str, channels: int, axis: int = 1) -> nn.Module:
        return GivenSite(site=site, channels=channels, axis=axis)


def _part(module: nn.Module, path: str) -> nn.Module | None:
    try:
        return module.get_submodule(path)
    except AttributeError:  # a function that is called there
        return None


@torch.no_grad()
def _copy_weights(source: nn.Module, module: nn.Module) -> None:
    """Give a module the weights and buffers of `source` that have the same name."""
    given = {**dict(source.named_parameters()), **dict(source.named_buffers())}
    for name, value in [*module.named_parameters(), *module.named_buffers()]:
        if name in given:
            value.copy_(given[name])


def _taken_out(model: nn.Module, batch: Any, sites: Collection[str] | None, prefix: str) -> ReadyMade:
    with torch.random.fork_rng(devices=[]):
        try:
            return take_out(model, batch, sites=sites)
        except InvalidRequest as error:
            raise InvalidRequest(*(_named_as_given(problem, prefix) for problem in error.problems)) from error
        except Exception as error:  # whatever the module's `forward` raises
            message = f"cannot be run on {described(batch)}: {type(error).__name__}: {error}"
            raise InvalidRequest(FieldProblem(MODEL, message)) from error


def _named_as_given(problem: FieldProblem, prefix: str) -> FieldProblem:
    """A problem with the paths of the caller's module."""
    allowed = tuple(path.removeprefix(prefix) for path in problem.allowed)
    return FieldProblem(
        problem.field, problem.message.replace(f"'{prefix}", "'") if prefix else problem.message, allowed
    )


_FRESH = (
    'weights: drawn afresh for each trial, as torch does for new layers; `weights="given"` or a function says otherwise'
)


def _check_weights(model: nn.Module, weights: Weights) -> None:
    if not callable(weights) and weights not in ("fresh", "given"):
        message = f'is {weights!r}; say "fresh", "given", or give a function that is given the module'
        raise InvalidRequest(FieldProblem("weights", message))
    for name, value in model.named_parameters():
        if value.is_floating_point() and value.dtype != torch.float32:
            message = f"{name} is {value.dtype}; inputs and weights are float32 here; give `model.float()`"
            raise InvalidRequest(FieldProblem(MODEL, message))


@torch.no_grad()
def _check_draws(module: nn.Module, weights: Callable[[nn.Module], object]) -> None:
    """Refuse a function that changes nothing, as one made for `model.apply`, which is for one layer."""
    for value in module.parameters():
        value.add_(1)
    before = [value.clone() for value in module.parameters()]
    weights(module)
    if all(map(torch.equal, before, module.parameters())):
        message = "changes no weight; it is given the whole module: give `lambda m: m.apply(f)` if `f` is for one layer"
        raise InvalidRequest(FieldProblem("weights", message))


def _begin(module: nn.Module, weights: Weights) -> list[str]:
    """Give a module its first weights, in place; names of those that stay as they were given."""
    if weights == "given":
        return [name for name, _ in module.named_parameters()]
    if weights == "fresh":
        return _redraw(module)
    weights(module)
    return []


@torch.no_grad()
def _redraw(module: nn.Module) -> list[str]:
    given = {name: value.detach().clone() for name, value in module.named_parameters()}
    for value in module.parameters():
        value.fill_(torch.nan)  # shows afterwards which weights no part has drawn
    for part in _innermost_first(module):
        reset = next((getattr(part, name) for name in _RESETS if hasattr(part, name)), None)
        if reset is not None:
            _called(reset, part)
    kept = []
    for name, value in module.named_parameters():
        if not value.requires_grad or value.isnan().any():
            value.copy_(given[name])
            kept.append(name)
    return kept


def _called(reset: Callable[[], object], part: nn.Module) -> None:
    try:
        reset()
    except Exception as error:
        message = f"{type(part).__name__}.{reset.__name__} raises {type(error).__name__}: {error}"
        raise InvalidRequest(FieldProblem("weights", f'{message}; use "given" or a function of your own')) from error


def _innermost_first(module: nn.Module) -> Iterator[nn.Module]:
    """All parts, each behind its own parts, as they were made."""
    yield from reversed(list(module.modules()))


@torch.no_grad()
def _freeze(module: nn.Module) -> None:
    """Keep frozen weights from being trained: the engine trains every parameter, and no buffer."""
    for part in module.modules():
        for name, value in list(part.named_parameters(recurse=False)):
            if not value.requires_grad:
                delattr(part, name)
                part.register_buffer(name, value.detach())
