"""The process that owns a device: `python -m actsearch_workers.device_main DEVICE THREADS`.

It reads orders from standard input and answers on standard output, one JSON object a line. When its worker goes
away (end of input) it ends at once: what it was training is given to another runner.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from queue import SimpleQueue
from typing import BinaryIO

import structlog
import torch
import torch._dynamo  # the first optimiser loads it, for most of a second: not in the first job's time
from sqlalchemy import Engine

from actsearch.logs import configure_logging
from actsearch.settings import settings
from actsearch.store import create_store_engine
from actsearch.training import keep_freed_memory
from actsearch_workers.control import Control
from actsearch_workers.lost_database import is_lost
from actsearch_workers.messages import Broken, Done, Drain, Ready, Reply, Run, parse_order, to_line
from actsearch_workers.runner import run_slice

log = structlog.get_logger()


def main() -> None:
    """Serve orders until the worker closes our standard input."""
    device, threads = sys.argv[1], int(sys.argv[2])
    answers = _private_stdout()
    # Ctrl-C and a service manager signal the whole group; the worker alone decides when we stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    configure_logging(settings())
    torch.set_num_threads(threads)
    keep_freed_memory()
    url = settings().database_url
    if url is None:
        raise SystemExit("actsearch_workers.device_main is started by a worker, which sets ACTSEARCH_DATABASE_URL")
    _serve(create_store_engine(url.get_secret_value()), device, answers)


def _serve(engine: Engine, device: str, answers: BinaryIO) -> None:
    control = Control()
    orders: SimpleQueue[Run | None] = SimpleQueue()
    threading.Thread(target=_listen, args=(orders, control), daemon=True).start()
    _answer(answers, Ready())
    while (order := orders.get()) is not None:
        _answer(answers, _work(engine, order, device, control))


def _work(engine: Engine, order: Run, device: str, control: Control) -> Reply:
    control.busy = True
    try:
        return Done(more=run_slice(engine, order, device, control))
    except Exception as error:  # the worker puts the runner back on the queue
        said = "".join(traceback.format_exception_only(error)).strip()
        if is_lost(error):
            log.error("slice failed: no database", job=str(order.job_id))  # noqa: TRY400 - the worker says the rest
        else:
            log.exception("slice failed", job=str(order.job_id))
        return Broken(said)
    finally:
        control.busy = False


def _listen(orders: SimpleQueue[Run | None], control: Control) -> None:
    for line in sys.stdin.buffer:
        order = parse_order(line)
        if isinstance(order, Drain):
            control.drain(order.seconds)
        else:
            orders.put(order)
    if control.busy:
        os._exit(1)
    orders.put(None)


def _private_stdout() -> BinaryIO:
    """Our answers' channel; whatever else prints goes to standard error."""
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    return answers


def _answer(answers: BinaryIO, reply: Reply) -> None:
    answers.write(to_line(reply))


if __name__ == "__main__":
    main()
