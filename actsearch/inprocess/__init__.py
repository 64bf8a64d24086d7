"""Searching in the caller's own process, on the caller's own network and data: no server, no database, no queue.

`search` is exported as `actsearch.search`.
"""

from __future__ import annotations

from actsearch.inprocess.data import Data
from actsearch.inprocess.module import Weights
from actsearch.inprocess.network import Activations, Build
from actsearch.inprocess.result import LocalTrial, SearchResult
from actsearch.inprocess.run import search

__all__ = ["Activations", "Build", "Data", "LocalTrial", "SearchResult", "Weights", "search"]
