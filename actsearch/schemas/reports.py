"""Reports and their charts."""

from __future__ import annotations

from typing import Literal

from actsearch.schemas.base import Schema

Chart = Literal["verdict", "shape", "families", "curves", "history", "pareto", "hypervolume", "importances"]
"""A chart of a report; a job may have nothing to show in some of them."""

ReportFormat = Literal["html", "svg", "png"]


class File(Schema):
    """An answer that is not JSON: its bytes and media type."""

    content: bytes
    media_type: str
