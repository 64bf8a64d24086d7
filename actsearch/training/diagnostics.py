"""What is recorded of a trained trial beside its metrics."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from actsearch.tasks.declaration import Part
from actsearch.training.trials import Trials

DEAD_SLOPE = 1e-6
NEAR_ZERO = 1e-3


def dead_fraction(trials: Trials, part: Part) -> list[dict[str, object]]:
    """`dead_fraction` over all units and `dead_fraction_by_site`, for each trial, in [0, 1].

    A unit (channel) is dead when |f'(x)| < 1e-6 for every sample and place of the part: nothing that happens before it
    can change the network any more. For ReLU that is a unit which never fires; saturated units count as well.
    """
    slopes = trials.largest_slopes(part)
    dead = {site: slope < DEAD_SLOPE for site, slope in slopes.items()}  # each (K, channels)
    overall = torch.cat(list(dead.values()), 1).float().mean(1).tolist()
    by_site = torch.stack([flags.float().mean(1) for flags in dead.values()], 1).tolist()  # (K, sites)
    return [
        {"dead_fraction": share, "dead_fraction_by_site": dict(zip(dead, row, strict=True))}
        for share, row in zip(overall, by_site, strict=True)
    ]


def activation_sparsity(trials: Trials, part: Part) -> list[dict[str, object]]:
    """`activation_sparsity` (mean over sites) and `activation_sparsity_by_site`, for each trial, in [0, 1].

    The share of a site's outputs over the part that are zero or nearly so, |f(x)| < 1e-3: about half for ReLU with
    centred inputs, next to nothing for tanh.
    """
    shares = trials.near_zero(part, NEAR_ZERO)  # each (K,)
    by_site = torch.stack(list(shares.values()), 1)  # (K, sites)
    return [
        {"activation_sparsity": mean, "activation_sparsity_by_site": dict(zip(shares, row, strict=True))}
        for mean, row in zip(by_site.mean(1).tolist(), by_site.tolist(), strict=True)
    ]


def gradient_ratios(trials: Trials, batch: Part) -> list[float]:
    """For each trial the norm of the gradient by the first layer's weights over that by the last layer's.

    Far below 1, gradients vanish on their way back; far above, they explode. Infinite where the last is zero; 0 where
    both are: nothing reaches the first layer.
    """
    first, last = trials.gradient_norms(batch)
    return torch.where((first == 0) & (last == 0), first, first / last).tolist()


def columns(metrics: Mapping[str, Tensor]) -> list[dict[str, float]]:
    """Metrics of K trials, each (K,), as one dictionary a trial; waits for the device once."""
    if not metrics:
        return []
    rows = torch.stack([value.double() for value in metrics.values()], 1).tolist()  # (K, metrics)
    return [dict(zip(metrics, row, strict=True)) for row in rows]
