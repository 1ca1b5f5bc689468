"""Logs: one line an action, JSON in a container, plain on a terminal. No secret, token or evidence byte goes there."""

from __future__ import annotations

import logging
import sys

from pythonjsonlogger.json import JsonFormatter


def configure(*, json: bool, verbose: bool) -> None:
    """Route every logger, kopf's and aiohttp's too, through one handler on stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_json() if json else _plain())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    logging.getLogger("exuvia").setLevel(logging.DEBUG if verbose else logging.INFO)
    for noisy in ("kopf", "aiohttp.access", "alembic", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.INFO if verbose else logging.WARNING)


def _json() -> logging.Formatter:
    return JsonFormatter(
        "{asctime}{levelname}{name}{message}",
        style="{",
        rename_fields={"asctime": "ts", "levelname": "level", "name": "logger"},
    )


def _plain() -> logging.Formatter:
    return logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s", datefmt="%H:%M:%S")
