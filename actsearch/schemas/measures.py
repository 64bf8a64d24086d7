"""What can be measured of a finished network beside the task's own metrics."""

from __future__ import annotations

from enum import StrEnum

from actsearch.schemas.states import Direction


class Measure(StrEnum):
    """A cost of a trained network, recorded under this name among a trial's metrics; see docs/costs.md.

    `latency_ms` and `gpu_latency_ms` are of a forward pass, `int8_drop` is what the task's metric loses when weights
    and signals are quantised to eight bits; `dead_fraction` and `activation_sparsity` are recorded of every trial.
    """

    latency_ms = "latency_ms"
    gpu_latency_ms = "gpu_latency_ms"
    parameters = "parameters"
    activation_cost = "activation_cost"
    int8_drop = "int8_drop"
    dead_fraction = "dead_fraction"
    activation_sparsity = "activation_sparsity"

    @property
    def direction(self) -> Direction:
        """Whether larger or smaller is better, where a request does not say."""
        return Direction.maximize if self is Measure.activation_sparsity else Direction.minimize
