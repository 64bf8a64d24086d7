"""A generative adversarial pair that learns eight Gaussians on a ring: the classic picture of mode collapse.

To training the pair is one network with one loss and one optimiser, so it stacks and vmaps like any other.
Its inputs (B, 4) are noise (2) beside a real point (2); its outputs (B, 5) are, in this order,

    D(real), D(stop(G(noise))), stop(D)(G(noise)), G(noise)[0], G(noise)[1]

where D gives a logit and `stop` holds gradients back: from the generated point in the second, from D's weights in the
third. So the first two train only the discriminator, the third only the generator.

References: Goodfellow et al., https://arxiv.org/abs/1406.2661 (non-saturating loss); Metz et al.,
https://arxiv.org/abs/1611.02163 (the ring).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from actsearch.schemas import Direction, ParameterInfo
from actsearch.tasks.declaration import Dataset, Part, Predict, Task, register

NOISE = 2
"""Size of the generator's input."""

RADIUS, DEVIATION = 2.0, 0.05

_MODES = ParameterInfo(name="modes", type="int", default=8, low=2, high=32, description="Gaussians on the ring.")
_SAMPLES = ParameterInfo(name="samples", type="int", default=4096, low=256, high=65_536, description="Points in all.")
_SEED = ParameterInfo(name="seed", type="int", default=0, low=0, high=2**31 - 1, description="Seed of the points.")


def gan_loss(predict: Predict, batch: Part) -> Tensor:
    """Discriminator's plus generator's non-saturating loss, shape (); each reaches only its own weights."""
    real, fake, fooled = predict(batch[0])[:, :3].unbind(-1)  # (B,) each
    discriminator = F.softplus(-real).mean() + F.softplus(fake).mean()  # -log D(real) - log(1 - D(fake))
    return discriminator + F.softplus(-fooled).mean()  # -log D(fake)


def gan_metrics(outputs: Tensor, part: Part) -> dict[str, Tensor]:
    """How well generated points (the last two of `outputs`, (N, 5)) match the real ones of the part, each ().

    `sliced_wasserstein` (>= 0, 0 for equal distributions), `modes_covered` (share of the modes that get at least a
    quarter of their due) and `quality` (share of points within four deviations of a mode).
    """
    generated, real, centres = outputs[:, 3:], part[0][:, NOISE:], part[1]
    near = (generated[:, None] - centres).norm(dim=-1) < 4 * DEVIATION  # (N, modes)
    near = near.to(outputs.dtype)
    covered = near.mean(0) >= 0.25 / centres.shape[1]
    return {
        "sliced_wasserstein": sliced_wasserstein(generated, real),
        "modes_covered": covered.to(outputs.dtype).mean(),
        "quality": near.amax(-1).mean(),
    }


def sliced_wasserstein(a: Tensor, b: Tensor, directions: int = 32) -> Tensor:
    """Mean over directions of the 1-Wasserstein distance between the projections of a and b, both (N, 2).

    Reference: Bonneel et al., https://doi.org/10.1007/s10851-014-0506-3.
    """
    angles = math.pi * torch.arange(directions, device=a.device, dtype=a.dtype) / directions
    axes = torch.stack([angles.cos(), angles.sin()])  # (2, directions)
    return ((a @ axes).sort(0).values - (b @ axes).sort(0).values).abs().mean()


def _load(modes: int = 8, samples: int = 4096, seed: int = 0) -> Dataset:
    """Part: inputs (N, 4), and the modes' centres (N, modes, 2), the same for each sample."""
    generator = torch.Generator().manual_seed(seed)
    angles = 2 * math.pi * torch.arange(modes) / modes
    centres = RADIUS * torch.stack([angles.cos(), angles.sin()], -1)  # (modes, 2)
    chosen = torch.randint(modes, (samples,), generator=generator)
    real = centres[chosen] + DEVIATION * torch.randn(samples, 2, generator=generator)
    x = torch.cat([torch.randn(samples, NOISE, generator=generator), real], -1)
    first, second = round(0.6 * samples), round(0.8 * samples)
    return Dataset(
        train=_part(x[:first], centres),
        validation=_part(x[first:second], centres),
        test=_part(x[second:], centres),
        input_kind="gan",
        input_shape=(NOISE + 2,),
        outputs=5,
    )


def _part(x: Tensor, centres: Tensor) -> Part:
    return x, centres.expand(len(x), *centres.shape)


register(
    Task(
        name="gan_ring",
        description="Generate points of Gaussians on a ring; a poor pair collapses onto a few of them.",
        kind="generative",
        load=_load,
        loss=gan_loss,
        metrics=gan_metrics,
        metric="sliced_wasserstein",
        directions={
            "sliced_wasserstein": Direction.minimize,
            "modes_covered": Direction.maximize,
            "quality": Direction.maximize,
        },
        source="Drawn here: equal Gaussians of deviation 0.05 on a circle of radius 2",
        parameters=(_MODES, _SAMPLES, _SEED),
    )
)
