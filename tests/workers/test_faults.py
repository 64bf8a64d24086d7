"""Whose fault an error is that ends a slice."""

from __future__ import annotations

import errno

import psycopg
import pytest
import torch
from psycopg import errors
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from actsearch.errors import NotFound
from actsearch_workers.faults import fault_of

INFRASTRUCTURE = [
    psycopg.OperationalError("connection failed"),
    psycopg.InterfaceError("the connection is closed"),
    errors.AdminShutdown(),
    errors.DiskFull(),
    errors.TooManyConnections(),
    errors.OutOfMemory(),
    errors.IoError(),
    errors.DeadlockDetected(),
    errors.ReadOnlySqlTransaction(),
    errors.IdleInTransactionSessionTimeout(),
    errors.LockNotAvailable(),
    PoolTimeout("QueuePool limit"),
]
WORKER = [
    OSError(errno.ENOSPC, "No space left on device"),
    MemoryError(),
    ImportError("libcudnn.so"),
    torch.AcceleratorError("CUDA error: device-side assert triggered"),
    RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
]
JOB = [
    ValueError("nan"),
    NotFound("job", "7"),
    FileNotFoundError(errno.ENOENT, "data.csv"),
    errors.UniqueViolation(),
    errors.UndefinedColumn(),
    RuntimeError("shapes cannot be multiplied"),
]


@pytest.mark.parametrize(
    ("error", "fault"),
    [(e, "infrastructure") for e in INFRASTRUCTURE] + [(e, "worker") for e in WORKER] + [(e, "job") for e in JOB],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value,
)
def test_whose_fault_it_is(error: Exception, fault: str) -> None:
    assert fault_of(error) == fault
    above = RuntimeError("somewhere above")
    above.__cause__ = error
    assert fault_of(above) == fault


def test_as_sqlalchemy_tells_it() -> None:
    wrapped = OperationalError("UPDATE trials", {}, errors.DiskFull())
    wrapped.__cause__ = errors.DiskFull()
    assert fault_of(wrapped) == "infrastructure"
