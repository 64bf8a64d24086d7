"""The plain module of one candidate."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from actsearch.activations import AS_GIVEN, GIVEN, Activation, family_of
from actsearch.architectures import Architecture, InputSpec, get_architecture, resolve_parameters
from actsearch.errors import FieldProblem, InvalidRequest
from actsearch.schemas import ActivationSpec, Scalar
from actsearch.training.noise import derived_seed, site_noise

EVERYWHERE = "network"


def build_module(
    architecture: str | Architecture,
    parameters: Mapping[str, Scalar],
    input_spec: InputSpec,
    activations: Mapping[str, ActivationSpec],
    seed: int,
) -> nn.Module:
    """An architecture with a candidate's activations at its sites, on the CPU.

    The same seed gives the same weights up to the activations' gains. torch's global generators are left alone.

    Args:
        activations: by site, stage or `network`; a site's own entry wins over its stage's, this over `network`.
        seed: seed of the initial weights.

    Raises:
        NotFound: for an unknown architecture.
        InvalidRequest: for parameters or activations out of range, a site without activation, an entry without site.
    """
    sites = _ActivationSites(activations)
    found = get_architecture(architecture)
    values = resolve_parameters(found, parameters)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derived_seed(seed, "weights"))
        module = found.build(input_spec, sites, **values)
    sites.check_all_used()
    return module


def activation_at(activations: Mapping[str, ActivationSpec], site: str, stage: str) -> tuple[str, ActivationSpec]:
    """The entry that holds for a site, and its key.

    Raises:
        InvalidRequest: if there is none.
    """
    for key in (site, stage, EVERYWHERE):
        if key in activations:
            return key, activations[key]
    message = f"site {site} of {stage} has no activation; name it, its stage or `{EVERYWHERE}`"
    raise InvalidRequest(FieldProblem(f"activations.{site}", message, (site, stage, EVERYWHERE)))


class _ActivationSites:
    """Sites that hold a candidate's activations."""

    def __init__(self, activations: Mapping[str, ActivationSpec]) -> None:
        self._activations = activations
        self._keys: set[str] = {EVERYWHERE}

    def __call__(self, site: str, *, stage: str, channels: int, axis: int = 1) -> nn.Module:
        self._keys |= {site, stage}
        _, spec = activation_at(self._activations, site, stage)
        if spec.family == AS_GIVEN:
            return GivenSite(site=site, channels=channels, axis=axis)
        kind = NoisyActivation if family_of(spec).stochastic else SiteActivation
        return kind(spec, site=site, channels=channels, axis=axis)

    def check_all_used(self) -> None:
        """Raise for a name that is neither a site nor a stage: a misspelt one would be ignored in silence."""
        unknown = [key for key in self._activations if key not in self._keys]
        if unknown:
            known = tuple(sorted(self._keys))
            raise InvalidRequest(
                *(FieldProblem(f"activations.{key}", "is neither a site nor a stage", known) for key in unknown)
            )


class SiteActivation(Activation):
    """An activation that knows its site.

    Args:
        site: name of the site.
        channels, axis: see `Activation`.
    """

    def __init__(self, spec: ActivationSpec, *, site: str, channels: int, axis: int) -> None:
        super().__init__(spec, channels=channels, axis=axis)
        self.site = site
        self.channels = channels


class NoisyActivation(SiteActivation):
    """A stochastic activation, with a stream of random numbers of its own (see `noise`)."""

    def forward(self, x: Tensor) -> Tensor:
        """f(x), of the shape and type of `x`."""
        if not self.training:  # draws nothing, and an exporter could not follow the generators
            return super().forward(x)
        with site_noise(self.site, x.device):
            return super().forward(x)


class GivenSite(SiteActivation):
    """A site that keeps what the network came with; the builder of such a network says what by `hold`.

    Attributes:
        function: of x; a module's weights and buffers are this one's.
        stacks: whether many trials at once may call it: it keeps nothing, draws nothing, and is the same in all.
    """

    def __init__(self, *, site: str, channels: int, axis: int) -> None:
        super().__init__(GIVEN, site=site, channels=channels, axis=axis)
        self.function: Callable[[Tensor], Tensor] | None = None
        self.stacks = False

    def hold(self, function: Callable[[Tensor], Tensor], *, stacks: bool, known: ActivationSpec | None = None) -> None:
        """Say what the network computes here.

        Args:
            function: elementwise; it may be a module, and may change its input.
            stacks: see the class.
            known: the catalogue's activation that it is, for its cost; None where it has none.
        """
        self.function, self.stacks = function, stacks
        if known is not None:
            self.cost = family_of(known).cost

    def forward(self, x: Tensor) -> Tensor:
        """f(x), of the shape and type of `x`, which stays as it is."""
        if self.function is None:
            raise TypeError(f"nobody has said what the network computes at {self.site}")
        return self.function(x.clone() if _may_change(self.function) else x)


def _may_change(function: object) -> bool:
    """Whether a function of somebody else's may write into its input."""
    return not isinstance(function, nn.Module) or bool(getattr(function, "inplace", True))


def site_activations(module: nn.Module) -> dict[str, SiteActivation]:
    """The activations of a module from `build_module` by their path in it, in forward order."""
    return {path: part for path, part in module.named_modules() if isinstance(part, SiteActivation)}
