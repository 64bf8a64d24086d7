"""The process that owns a device: `python -m actsearch_workers.device_main DEVICE THREADS BEAT`.

It reads orders from standard input and answers on standard output, one JSON object a line; while it works it says
every BEAT seconds how far it is. When its worker goes away (end of input) it ends at once: what it was training is
given to another runner.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from queue import SimpleQueue

import structlog
import torch
import torch._dynamo  # the first optimiser loads it, for most of a second: not in the first job's time
from sqlalchemy import Engine

from actsearch.logs import configure_logging
from actsearch.settings import settings
from actsearch.store import create_store_engine
from actsearch.training import keep_freed_memory
from actsearch_workers.control import Control
from actsearch_workers.faults import fault_of
from actsearch_workers.messages import Answer, Broken, Done, Drain, Ready, Reply, Run, parse_order, to_line
from actsearch_workers.runner import run_slice

log = structlog.get_logger()
Say = Callable[[Reply], None]


def main() -> None:
    """Serve orders until the worker closes our standard input."""
    device, threads, beat = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    say = _private_stdout()
    # Ctrl-C and a service manager signal the whole group; the worker alone decides when we stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    configure_logging(settings())
    torch.set_num_threads(threads)
    keep_freed_memory()
    url = settings().database_url
    if url is None:
        raise SystemExit("actsearch_workers.device_main is started by a worker, which sets ACTSEARCH_DATABASE_URL")
    _try_device(device)
    # What is stopped amid a transaction is to lose its locks about when its worker gives it up.
    engine = create_store_engine(url.get_secret_value(), longest_pause=settings().stall_timeout)
    _serve(engine, device, say, beat)


def _try_device(device: str) -> None:
    """Compute something there: a device that cannot is seen now, and costs no job anything."""
    weights = torch.ones(8, 8, device=device, requires_grad=True)
    (weights @ weights).sum().backward()
    if weights.grad is None or not bool((weights.grad == 16).all()):
        raise SystemExit(f"{device} computes wrong numbers")


def _serve(engine: Engine, device: str, say: Say, beat: float) -> None:
    control = Control()
    orders: SimpleQueue[Run | None] = SimpleQueue()
    threading.Thread(target=_listen, args=(orders, control), daemon=True).start()
    say(Ready())
    threading.Thread(target=_beat, args=(control, say, beat), daemon=True).start()
    while (order := orders.get()) is not None:
        say(_work(engine, order, device, control))


def _work(engine: Engine, order: Run, device: str, control: Control) -> Answer:
    control.busy = True
    control.moved()
    try:
        return Done(more=run_slice(engine, order, device, control))
    except Exception as error:  # the worker puts the runner back on the queue
        said = "".join(traceback.format_exception_only(error)).strip()
        fault = fault_of(error)
        if fault == "infrastructure":
            log.error("slice failed: the database", job=str(order.job_id), error=said)  # noqa: TRY400 - not of the code
        else:
            log.exception("slice failed", job=str(order.job_id), fault=fault)
        return Broken(said, fault)
    finally:
        control.busy = False


def _beat(control: Control, say: Say, seconds: float) -> None:
    while True:
        time.sleep(seconds)
        if control.busy:
            say(control.beat)


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


def _private_stdout() -> Say:
    """What sends a reply to the worker; whatever else prints goes to standard error."""
    replies = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    one_at_a_time = threading.Lock()

    def say(reply: Reply) -> None:
        with one_at_a_time:
            replies.write(to_line(reply))

    return say


if __name__ == "__main__":
    main()
