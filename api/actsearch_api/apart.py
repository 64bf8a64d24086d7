"""Work in a process of its own, which ends with it: it keeps no thread of the service busy and leaves no memory behind.

The processes are forked from one that has imported what they need (`multiprocessing`'s fork server), so that only the
first one waits for that. See docs/decisions/0161-heavy-answers-have-a-process.md.
"""

from __future__ import annotations

import multiprocessing
import signal
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection as Pipe
from typing import Any, Concatenate, Literal, ParamSpec

import anyio
import structlog
from anyio import to_thread
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from actsearch.errors import ActsearchError, StoreError
from actsearch.store import create_store_engine

log = structlog.get_logger()
P = ParamSpec("P")
Work = Callable[Concatenate[Connection, P], bytes | None]
Outcome = tuple[Literal["answer"], bytes | None] | tuple[Literal["unreachable", "failed"], str]

_CONTEXT = multiprocessing.get_context("forkserver")


class Endless(ActsearchError):
    """Work that was ended because it took too long."""


class Failed(Exception):
    """Work that failed in a way that nobody thought of; the message is the other process's traceback."""


def preload(modules: Sequence[str]) -> None:
    """Have the process that all others are forked from import modules; it starts with the first `run_apart`."""
    _CONTEXT.set_forkserver_preload(["__main__", *modules])


async def run_apart(url: str, seconds: float, work: Work[P], *arguments: P.args, **options: P.kwargs) -> bytes | None:
    """Do work in a process of its own, on a connection that only reads. Cancelled, the process is killed.

    Args:
        url: of the database.
        seconds: that it may take.
        work: a function of a module; all that it takes and gives can be pickled.

    Raises:
        Endless: it took longer.
        StoreError: the database could not be reached.
        Failed: any other error, or the process died.
    """
    receiver, sender = _CONTEXT.Pipe(duplex=False)
    process = _CONTEXT.Process(target=_work, args=(sender, url, work, arguments, options), daemon=True)
    try:
        await to_thread.run_sync(process.start)
        sender.close()  # so that the other side's end is the last one
        with anyio.fail_after(seconds):
            await anyio.wait_readable(receiver)
            outcome: Outcome = await to_thread.run_sync(receiver.recv)
    except TimeoutError:
        raise Endless(f"this takes more than {seconds:g} seconds to answer") from None
    except EOFError:
        raise Failed("the process ended without an answer; it may have been short of memory") from None
    finally:
        sender.close()
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(_end, process)
        receiver.close()
    return _answer(outcome)


def _answer(outcome: Outcome) -> bytes | None:
    if outcome[0] == "answer":
        return outcome[1]
    if outcome[0] == "unreachable":
        log.error("database unreachable", error=outcome[1])
        raise StoreError("the database cannot be reached; try again later")
    raise Failed(outcome[1])


def _end(process: Any) -> None:
    if process.pid is not None:
        process.kill()
        process.join()
    process.close()


def _work(sender: Pipe, url: str, work: Work[...], arguments: Sequence[Any], options: dict[str, Any]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the service ends this process
    outcome: Outcome
    try:
        engine = create_store_engine(url, pool_size=2, max_overflow=0)
        with engine.connect().execution_options(postgresql_readonly=True) as connection:
            outcome = ("answer", work(connection, *arguments, **options))
    except OperationalError as error:
        outcome = ("unreachable", str(error.orig))
    except Exception:
        outcome = ("failed", traceback.format_exc())
    sender.send(outcome)
