"""The loop: claim, propose, train, report, finish, until nothing is left or the time is over."""

from __future__ import annotations

from actsearch.study.running.cohorts import Interrupted, train_members
from actsearch.study.running.confirmation import claimed_evaluations, conclude
from actsearch.study.running.logging import quiet_optuna
from actsearch.study.running.proposing import claimed_trials
from actsearch.study.running.search import Search


def work(search: Search) -> bool:
    """Work on a search and its confirmation until its time slice is over or nothing is left to claim.

    Returns:
        Whether there may be more work for this runner.

    Raises:
        Superseded: the search is another runner's by now.
    """
    with quiet_optuna():
        while not (search.control.draining or search.slice.is_over):
            if not _round(search):
                return False
    return True


def _round(search: Search) -> bool:
    """One cohort of the search or seed of the confirmation, from claim to end; False where nothing is left."""
    claims, members = claimed_trials(search)
    if not claims:
        claims, members = claimed_evaluations(search)
    if not claims:
        return conclude(search)  # the runner that trained the last seed may have died before it did
    try:
        train_members(search, members)
    except Interrupted:
        search.ledger.release(claims)  # not all that the runner's id holds: another worker may have it by now
        return True
    if not claims[0].is_trial:
        conclude(search)
    return True
