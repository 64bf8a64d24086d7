"""A job's result as one self-contained HTML page, and its charts as pictures. No database, no network."""

from __future__ import annotations

from actsearch.report.charts import CHARTS, picture
from actsearch.report.findings import Findings
from actsearch.report.page import report_page

__all__ = ["CHARTS", "Findings", "picture", "report_page"]
