"""The user's own network as an architecture; where its activations stand is found by trying it on a few samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from actsearch.activations import Activation
from actsearch.architectures import Architecture, Builder, InputSpec, Sites
from actsearch.architectures.declaration import RELU
from actsearch.errors import FieldProblem, InvalidRequest
from actsearch.inprocess.calling import Called, Forward, Output, how_to_call, unwrapped
from actsearch.inprocess.given import Nearest
from actsearch.schemas import ActivationSpec

MODEL = "model"
OWN = "own network"


class Activations(Protocol):
    """What `build` is given: call it once for each place where an activation stands."""

    def __call__(self, name: str | None = None, *, axis: int = 1) -> nn.Module:
        """A fresh activation module.

        Its attribute `gain` is the standard deviation, times sqrt(fan_in), that keeps the signal's size when the
        weights before it are drawn with it; use it or not.

        Args:
            name: of the site; None for `site1`, `site2` ... in order of the calls.
            axis: of the channels, counted with the batch axis; -1 for signals (batch, time, channels).
        """
        ...


Build = Callable[[Activations], nn.Module]
"""`build(act) -> nn.Module`: the network, with `act()` wherever an activation is searched."""


@dataclass
class Place:
    """A site: its channel axis, and the channels seen there (0 before the first signal)."""

    axis: int
    channels: int = 0


@dataclass(frozen=True)
class Network:
    """The caller's network, ready to be an architecture.

    Args:
        build: see `Architecture`.
        outputs: on the batch that it was tried on.
        replaced, left: what stood at each site of a ready-made module, by path, and what was left, with the reason.
        kept: names of the weights that all candidates begin with as they were given; see `weights`.
        own: the baseline unless a request names another: `as given` for a ready-made module.
        nearest: by site, the catalogue's activation that is nearest to what stood there.
        same: by site, the catalogue's activation that stood there, if it has it; none with weights of its own.
        restored: what the caller gets of a trained network: the module's own class where all is as given.
        tried: as it was given and is called, to try it on samples.
        notes: what was guessed about how it is called.
    """

    build: Builder
    outputs: Tensor
    tried: nn.Module
    replaced: Mapping[str, str] = field(default_factory=dict)
    left: Mapping[str, str] = field(default_factory=dict)
    kept: Sequence[str] = ()
    own: ActivationSpec = RELU
    nearest: Mapping[str, Nearest] = field(default_factory=dict)
    same: Mapping[str, ActivationSpec] = field(default_factory=dict)
    restored: Callable[[nn.Module], nn.Module] = lambda trained: trained
    notes: Sequence[str] = ()

    def architecture(self, kind: str) -> Architecture:
        """The architecture, without parameters, that takes inputs of this kind."""
        return Architecture(OWN, "the caller's own network", self.build, (kind,), (), self.own, own=self.same)


def from_build(build: Build, batch: Any, *, forward: Forward | None = None, output: Output | None = None) -> Network:
    """The network that a function makes: each site a stage of its own; torch's global generators stay as they are.

    Args:
        batch: inputs to try it on, (B, ...), or several.
        forward, output: see `how_to_call`.

    Raises:
        InvalidRequest: if it has no site, a site is passed by, or one module stands at places of different widths.
    """
    places, survey = _survey(build)
    calling, notes = how_to_call(survey, batch, forward, output)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        tried = Called(survey, calling) if calling else survey
        outputs = checked_outputs(tried(batch))
    _check_used(places)

    def network(act: Activations) -> nn.Module:
        return build(act) if calling is None else Called(build(act), calling)

    def built(spec: InputSpec, sites: Sites) -> nn.Module:
        made = 0

        def act(name: str | None = None, *, axis: int = 1) -> nn.Module:
            nonlocal made
            chosen = _site_name(name, made)
            made += 1
            return sites(chosen, stage=chosen, channels=places[chosen].channels, axis=axis)

        if torch.empty(0).device.type != "meta":
            return network(act)
        # Only asked for shapes; but constructors may compute, which tensors without memory cannot.
        with torch.random.fork_rng(devices=[]), torch.device("cpu"):
            return network(act).to("meta")

    return Network(built, outputs, tried, restored=unwrapped, notes=notes)


def _survey(build: Build) -> tuple[dict[str, Place], nn.Module]:
    """The network with a probe at each site, in evaluation mode, and what the probes will see."""
    places: dict[str, Place] = {}

    def site(name: str | None = None, *, axis: int = 1) -> nn.Module:
        chosen = _site_name(name, len(places))
        if chosen in places:
            raise InvalidRequest(FieldProblem(MODEL, f"two sites are called {chosen!r}; name them apart"))
        places[chosen] = Place(axis)
        return _Probe(chosen, places[chosen])

    with torch.random.fork_rng(devices=[]), torch.no_grad():
        module: object = build(site)
        if not isinstance(module, nn.Module):
            message = f"returned a {type(module).__name__}; return the network, an nn.Module"
            raise InvalidRequest(FieldProblem(MODEL, message))
    if not places:
        raise InvalidRequest(FieldProblem(MODEL, "never called its argument; put `act()` where activations stand"))
    return places, module.eval()


def _check_used(places: Mapping[str, Place]) -> None:
    unused = [name for name, place in places.items() if not place.channels]
    if unused:
        raise InvalidRequest(FieldProblem(MODEL, f"no signal passes {', '.join(unused)}; use each `act()` it makes"))


def checked_outputs(outputs: object) -> Tensor:
    """The outputs of a network, if they are a tensor.

    Raises:
        InvalidRequest: if they are not.
    """
    if isinstance(outputs, Tensor):
        return outputs
    message = f"its forward gives a {type(outputs).__name__}; give one tensor, by a module around it if need be"
    raise InvalidRequest(FieldProblem(MODEL, message))


class _Probe(Activation):
    """An activation that writes down how many channels it sees."""

    def __init__(self, name: str, place: Place) -> None:
        super().__init__(ActivationSpec(family="relu"))
        self._name, self._place = name, place

    def forward(self, x: Tensor) -> Tensor:
        """Relu(x); notes the size of the channel axis."""
        if not -x.dim() <= self._place.axis < x.dim():
            message = f"{self._name} has axis={self._place.axis}, but its signal has {x.dim()} axes; name another"
            raise InvalidRequest(FieldProblem(MODEL, message))
        channels = x.shape[self._place.axis]
        if self._place.channels not in (0, channels):
            message = (
                f"{self._name} sees signals of {self._place.channels} and of {channels} channels; "
                "call `act()` once for each place"
            )
            raise InvalidRequest(FieldProblem(MODEL, message))
        self._place.channels = channels
        return super().forward(x)


def _site_name(name: str | None, before: int) -> str:
    return name or f"site{before + 1}"
