"""Work in a process of its own, which ends with it: it keeps no thread of the service busy and leaves no memory behind.

The processes are forked from one that has imported what they need (`multiprocessing`'s fork server), so that only the
first one waits for that. See docs/decisions/0161-heavy-answers-have-a-process.md.
"""

from __future__ import annotations

import multiprocessing
import signal
import socket
import struct
import traceback
from collections.abc import Callable, Sequence
from typing import Any, Concatenate, Literal, ParamSpec

import anyio
import structlog
from anyio import to_thread
from anyio.abc import SocketStream
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from actsearch.errors import ActsearchError, StoreError
from actsearch.store import create_store_engine

log = structlog.get_logger()
P = ParamSpec("P")
Work = Callable[Concatenate[Connection, P], bytes | None]
Outcome = Literal[b"answer", b"none", b"unreachable", b"failed"]

_HEAD = struct.Struct("!16sQ")  # of what is sent: an outcome, and how many bytes follow
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
    receiver, sender = socket.socketpair()
    process = _CONTEXT.Process(target=_work, args=(sender, url, work, arguments, options), daemon=True)
    try:
        await to_thread.run_sync(process.start)
        sender.close()  # so that the other side's end is the last one
        with anyio.fail_after(seconds):
            sent = await _all_of(receiver)
    except TimeoutError:
        raise Endless(f"this takes more than {seconds:g} seconds to answer") from None
    finally:
        sender.close()
        receiver.close()
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(_end, process)
    return _answer(sent)


async def _all_of(receiver: socket.socket) -> bytes:
    """What the other side sends until it closes; not a pipe's `recv`, which fails where the loop made it not block."""
    async with await SocketStream.from_socket(receiver) as stream:
        return b"".join([part async for part in stream])


def _answer(sent: bytes) -> bytes | None:
    head, content = sent[: _HEAD.size], sent[_HEAD.size :]
    outcome, size = _HEAD.unpack(head) if len(head) == _HEAD.size else (b"", 0)
    if not outcome or len(content) != size:
        raise Failed("the process ended before its answer did; it may have been short of memory")
    match outcome.rstrip(b"\0"):
        case b"answer":
            return content
        case b"none":
            return None
        case b"unreachable":
            log.error("database unreachable", error=content.decode())
            raise StoreError("the database cannot be reached; try again later")
        case _:
            raise Failed(content.decode())


def _end(process: Any) -> None:
    if process.pid is not None:
        process.kill()
        process.join()
    process.close()


def _work(sender: socket.socket, url: str, work: Work[...], arguments: Sequence[Any], options: dict[str, Any]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the service ends this process
    outcome: Outcome
    try:
        engine = create_store_engine(url, pool_size=2, max_overflow=0)
        with engine.connect().execution_options(postgresql_readonly=True) as connection:
            answer = work(connection, *arguments, **options)
        outcome, content = (b"none", b"") if answer is None else (b"answer", answer)
    except OperationalError as error:
        outcome, content = b"unreachable", str(error.orig).encode()
    except Exception:
        outcome, content = b"failed", traceback.format_exc().encode()
    sender.sendall(_HEAD.pack(outcome, len(content)))
    sender.sendall(content)
