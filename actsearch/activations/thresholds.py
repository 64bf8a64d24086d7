"""Thresholds: functions that set a part of their input to a constant."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from actsearch.activations.declaration import Parameter, family


@family(
    formula="x - threshold if x > threshold, x + threshold if x < -threshold, else 0",
    reference="Donoho 1995, De-noising by soft-thresholding; torch.nn.Softshrink",
    parameters={"threshold": Parameter(0.5, 0.1, 2.0, description="half width of the dead zone")},
    monotone=True,
    quantisation_friendly=True,
    torch_module="nn.Softshrink({threshold})",
)
def softshrink(x: Tensor, threshold: float | Tensor) -> Tensor:
    """Both sides moved to zero by the threshold."""
    if isinstance(threshold, Tensor):
        return F.relu(x - threshold) - F.relu(-threshold - x)
    return F.softshrink(x, threshold)


@family(
    formula="x if |x| > threshold else 0",
    reference="torch.nn.Hardshrink",
    parameters={"threshold": Parameter(0.5, 0.1, 2.0, description="half width of the dead zone")},
    monotone=True,
    quantisation_friendly=True,
    torch_module="nn.Hardshrink({threshold})",
)
def hardshrink(x: Tensor, threshold: float | Tensor) -> Tensor:
    """Identity with a dead zone; jumps at its edges."""
    if isinstance(threshold, Tensor):
        return threshold * F.hardshrink(x / threshold, 1.0)
    return F.hardshrink(x, threshold)


@family(
    formula="x if x > threshold else value",
    reference="Konda et al. 2015, Zero-bias autoencoders; torch.nn.Threshold",
    parameters={
        "threshold": Parameter(0.5, -1.0, 2.0, description="where the unit switches on"),
        "value": Parameter(0.0, -1.0, 1.0, description="value while it is off"),
    },
    monotone=True,
    quantisation_friendly=True,
    torch_module="nn.Threshold({threshold}, {value})",
)
def threshold(x: Tensor, threshold: float | Tensor, value: float | Tensor) -> Tensor:
    """Identity above the threshold, a constant below."""
    if isinstance(threshold, Tensor) or isinstance(value, Tensor):
        on = (x > threshold).to(x.dtype)
        return on * x + (1 - on) * value
    return F.threshold(x, threshold, value)
