"""Logs: one line an action, JSON in a container, plain on a terminal. No secret, token or evidence byte goes there."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime

from pythonjsonlogger.json import JsonFormatter


def configure(*, json: bool, verbose: bool) -> None:
    """Route every logger, kopf's and aiohttp's too, through one handler on stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_json() if json else _plain())
    if not verbose:
        handler.addFilter(plainer)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    logging.getLogger("exuvia").setLevel(logging.DEBUG if verbose else logging.INFO)
    for noisy in ("kopf", "aiohttp.access", "alembic", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.INFO if verbose else logging.WARNING)


def plainer(record: logging.LogRecord) -> bool:
    """Takes from kopf's lines what misleads: that signals are ignored, for they are heard elsewhere, as kopf runs in a
    thread; and tracebacks of requests that the API server refused, as when our kinds or rights go in an uninstall. Such
    a line stays, as a warning of one line; its cause is told by our own too."""
    if not record.name.startswith("kopf"):
        return True
    if record.getMessage().startswith("OS signals are ignored"):
        return False
    trouble = record.exc_info[1] if record.exc_info else None
    if trouble is not None and type(trouble).__module__.partition(".")[0] in ("kopf", "aiohttp"):
        record.exc_info = record.exc_text = None
        record.levelno, record.levelname = logging.WARNING, logging.getLevelName(logging.WARNING)
    return True


def moment(record: logging.LogRecord) -> str:
    """RFC 3339 in UTC, with milliseconds: the form of every time that exuvia writes."""
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class _Json(JsonFormatter):
    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        """As `moment` has it."""
        return moment(record)


class _Plain(logging.Formatter):
    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        """As `moment` has it."""
        return moment(record)


def _json() -> logging.Formatter:
    return _Json(
        "{asctime}{levelname}{name}{message}",
        style="{",
        rename_fields={"asctime": "ts", "levelname": "level", "name": "logger"},
    )


def _plain() -> logging.Formatter:
    return _Plain("%(asctime)s %(levelname)-7s %(name)s: %(message)s")
