"""Whose fault an exception is that ended a slice, and not a trial: the job's, the worker's or the infrastructure's."""

from __future__ import annotations

import errno

from actsearch.training import is_device_error
from actsearch_workers.lost_database import causes, is_infrastructure
from actsearch_workers.messages import Fault

_MACHINE = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EROFS, errno.EAGAIN}


def fault_of(error: BaseException) -> Fault:
    """Whose fault an exception is, judged by it and by what it came from; what is not known is the job's."""
    if is_infrastructure(error):
        return "infrastructure"
    return "worker" if any(_is_machine(one) for one in causes(error)) else "job"


def _is_machine(error: BaseException) -> bool:
    if isinstance(error, OSError):
        return error.errno in _MACHINE
    return isinstance(error, MemoryError | ImportError) or is_device_error(error)
