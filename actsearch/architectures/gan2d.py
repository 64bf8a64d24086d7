"""A generator and a discriminator for points, trained as one network."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call

from actsearch.architectures.declaration import InputSpec, Sites, architecture
from actsearch.architectures.initialisation import gain_of, initialise
from actsearch.schemas import ActivationSpec, ParameterInfo

_LEAK = 0.2
_VERDICTS = 3


@architecture(
    inputs=("gan",),
    baseline=ActivationSpec(family="leaky_relu", parameters={"slope": _LEAK}),
    parameters=(
        ParameterInfo(name="depth", type="int", default=2, low=1, high=16, description="hidden layers of each part"),
        ParameterInfo(name="width", type="int", default=64, low=1, high=4096, log=True, description="units a layer"),
        ParameterInfo(
            name="searched",
            type="choice",
            default="both",
            choices=["both", "generator", "discriminator"],
            description="the part whose activations are searched; the other one keeps leaky ReLU, slope 0.2",
        ),
    ),
)
def gan2d(spec: InputSpec, sites: Sites, *, depth: int, width: int, searched: str) -> nn.Module:
    """Generative adversarial pair for points: two fully connected networks, activations searched in either or both.

    Sites are `generator1` ... in stage `generator`, then `discriminator1` ... in stage `discriminator`.

    Reference: Goodfellow et al. 2014, Generative adversarial nets; leaky slope 0.2: Radford et al. 2016 (DCGAN).
    """
    points = spec.outputs - _VERDICTS
    noise = spec.shape[0] - points

    def part(name: str, inputs: int, outputs: int) -> nn.Sequential:
        layers: list[nn.Module] = []
        for index in range(depth):
            fixed = searched not in ("both", name)
            activation = FixedLeak() if fixed else sites(f"{name}{index + 1}", stage=name, channels=width)
            layers += [initialise(nn.Linear(inputs, width), gain_of(activation)), activation]
            inputs = width
        return nn.Sequential(*layers, initialise(nn.Linear(inputs, outputs), 1.0))

    return Pair(noise, part("generator", noise, points), part("discriminator", points, 1))


class FixedLeak(nn.LeakyReLU):
    """The activation of the part that is not searched."""

    gain = (2.0 / (1.0 + _LEAK**2)) ** 0.5

    def __init__(self) -> None:
        super().__init__(_LEAK)


class Pair(nn.Module):
    """Noise beside real points (B, noise + D) -> (B, 3 + D).

    In this order D(real), D(stop(G(noise))), stop(D)(G(noise)), G(noise), where D gives a logit and `stop` holds back
    gradients: from the generated points in the second, from D's weights in the third. So one loss trains both.
    """

    def __init__(self, noise: int, generator: nn.Sequential, discriminator: nn.Sequential) -> None:
        super().__init__()
        self._noise = noise
        self.generator, self.discriminator = generator, discriminator

    def forward(self, x: Tensor) -> Tensor:
        """The discriminator's three verdicts and the generated points."""
        noise, real = x[:, : self._noise], x[:, self._noise :]
        generated = self.generator(noise)
        judged = self.discriminator(torch.cat([real, generated.detach()]))  # (2B, 1)
        frozen = {name: value.detach() for name, value in self.discriminator.named_parameters()}
        fooled = functional_call(self.discriminator, frozen, (generated,))  # (B, 1)
        return torch.cat([judged[: len(x)], judged[len(x) :], fooled, generated], 1)
