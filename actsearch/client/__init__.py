"""The SDK: submit searches, follow them, read their results. Needs neither PyTorch nor a database."""

from actsearch.client.asynchronous import AsyncClient, AsyncJobHandle
from actsearch.client.blocking import Client, JobHandle

__all__ = ["AsyncClient", "AsyncJobHandle", "Client", "JobHandle"]
