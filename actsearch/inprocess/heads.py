"""Whether what a network ends with suits the loss of its kind: logits, not probabilities."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from actsearch.errors import FieldProblem, InvalidRequest
from actsearch.surgery.copying import copied
from actsearch.tasks.kinds import Kind

_DRAWS = 24

_ONE_SIDED = {
    "binary": "0 and 1 are told apart by whether a logit is above 0",
    "multilabel": "a label is told by whether its logit is above 0",
    "count": "an output is the logarithm of a rate",
}


def check_head(network: nn.Module, batch: Any, kind: Kind) -> list[str]:
    """See that outputs can be what a kind's own loss takes them for; notes on what looks strange.

    The network is run with weights of other signs and sizes: outputs that then stay on one side of 0 do so whatever is
    learned.

    Args:
        network: called with one argument, `batch`; left as it is.
        batch: inputs of some samples.
        kind: of the targets, whose own loss is used.

    Raises:
        InvalidRequest: if outputs of `binary`, `multilabel` or `count` are never below, or never above 0.
    """
    low, high = _bounds(network, batch)
    side = "below" if low >= 0 else "above" if high <= 0 else ""
    if not side:
        return []
    if kind in _ONE_SIDED:
        message = (
            f"its outputs are never {side} 0, but with `kind`: `{kind}` {_ONE_SIDED[kind]}; leave out what the network "
            "ends with (Sigmoid, Softplus, exp ...), or give `loss` and `metric` of your own"
        )
        raise InvalidRequest(FieldProblem("model", message))
    if kind == "classification" and low >= 0 and high <= 1:
        return [
            "outputs: always from 0 to 1, as probabilities are, but cross entropy takes logits and makes probabilities "
            "of them once more; leave out the last Softmax or Sigmoid, or give a `loss` of your own"
        ]
    return []


def _bounds(network: nn.Module, batch: Any) -> tuple[float, float]:
    """The smallest and the largest output seen; looks no further once some are below 0 and some above."""
    low, high = float("inf"), float("-inf")
    for outputs in _outputs(network, batch):
        if outputs.isfinite().all():
            low, high = min(low, float(outputs.min())), max(high, float(outputs.max()))
        if low < 0 < high:
            break
    return low, high


def _outputs(network: nn.Module, batch: Any) -> Iterator[Tensor]:
    changed = copied(network).eval()
    first = [weight.detach().clone() for weight in changed.parameters()]
    generator = torch.Generator().manual_seed(0)
    for _ in range(_DRAWS):
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            for weight, value in zip(changed.parameters(), first, strict=True):
                signs = torch.randint(0, 2, value.shape, generator=generator) * 2.0 - 1
                weight.copy_(signs * value + 0.1 * torch.randn(value.shape, generator=generator))
            yield changed(batch)
