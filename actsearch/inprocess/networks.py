"""Keeping the networks that a search is asked for: the best trial's, and the best of each arm of the confirmation."""

from __future__ import annotations

from copy import deepcopy

from torch import nn

from actsearch.inprocess.ledger import Run
from actsearch.schemas import Direction
from actsearch.study.ledger import Claim


class Networks:
    """The best network so far of the search (`None`) and of each arm, on the CPU.

    Args:
        searched, compared: whether larger values are better, of trials and of evaluations.
    """

    def __init__(self, searched: Direction, compared: Direction) -> None:
        self._directions = {True: searched, False: compared}
        self._trained: dict[tuple[bool, int], nn.Module] = {}
        self._best: dict[int | None, tuple[float, nn.Module]] = {}

    def keep(self, claim: Claim, module: nn.Module) -> None:
        """Keep a network until its run is finished."""
        self._trained[claim.is_trial, claim.id] = deepcopy(module).cpu()

    def finished(self, run: Run) -> None:
        """Keep a run's network further on if it is the best of its kind."""
        claim, values = run.claim, () if run.end is None else run.end.values
        module = self._trained.pop((claim.is_trial, claim.id), None)
        if module is None or run.state != "complete":
            return
        place = None if claim.is_trial else claim.number
        loss = values[0] if self._directions[claim.is_trial] is Direction.minimize else -values[0]
        if place not in self._best or loss < self._best[place][0]:
            self._best[place] = (loss, module)

    def best(self, arm: int | None = None) -> nn.Module | None:
        """The best network of an arm, or of the search."""
        return self._best[arm][1] if arm in self._best else None
