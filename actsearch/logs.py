"""Structured logs of the server's and the workers' processes."""

from __future__ import annotations

import logging
import sys

import structlog

from actsearch.settings import Settings


def configure_logging(settings: Settings) -> None:
    """Log to standard error, as lines for people or as JSON (`ACTSEARCH_LOG_FORMAT`)."""
    level = getattr(logging, settings.log_level.upper(), logging.INFO)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    # Plain tracebacks: the pretty ones print local variables, and with them a database password.
    console = structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
    )
    rendering: list[structlog.typing.Processor] = [console]
    if settings.log_format == "json":
        rendering = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *rendering,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        # Looked up anew each time: whoever replaces standard error (a test, a supervisor) may close the old one.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )
