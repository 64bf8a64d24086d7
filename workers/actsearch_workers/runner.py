"""One time slice of a job on one device."""

from __future__ import annotations

import structlog
from sqlalchemy import Engine

from actsearch.schemas import JobRequest
from actsearch.store.ledger import StoreLedger
from actsearch.store.runs import Holder
from actsearch.study import prepare
from actsearch.study.ledger import Superseded
from actsearch.study.running.rounds import work
from actsearch.study.running.search import Search, Slice
from actsearch.study.running.trainer import Trainer
from actsearch.tasks import get_task, load
from actsearch_workers.control import Control
from actsearch_workers.messages import Run

log = structlog.get_logger()


def run_slice(engine: Engine, order: Run, device: str, control: Control) -> bool:
    """Work on a job until the time slice is over or nothing is left to claim.

    Returns:
        Whether the job has more work for this runner; never where its task was taken over.
    """
    ledger = StoreLedger(engine, Holder(order.job_id, order.runner, order.lease, order.worker))
    try:
        request = ledger.begin(order.attempts)
        if request is None:
            return False
        prepared, trainer = prepare(request), _trainer(request, device)
        return work(Search(ledger, prepared, trainer, control, Slice(order.seconds)))
    except Superseded:
        log.warning("runner task was taken over", job=str(order.job_id), runner=order.runner)
        return False


def _trainer(request: JobRequest, device: str) -> Trainer:
    name, parameters = request.task.name, request.task.parameters
    return Trainer(request, request.architecture.name, get_task(name, parameters), load(name, parameters), device)
