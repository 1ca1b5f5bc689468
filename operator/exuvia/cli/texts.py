"""Files of lines as people name them: plain or gzip, a path or - for standard input, with progress as they are read."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import BinaryIO

from exuvia import errors
from exuvia.cli import progress
from exuvia.observe.feeds import unpacking
from exuvia.observe.feeds.unpacking import MIB, Limits

STDIN = "-"
HISTORY = Limits(
    most=64 * 1024 * MIB,
    longest=16 * MIB,
    remedy="Write one fact on each line, and split what is larger into several files.",
    text="Write it as UTF-8.",
    again="Copy or write it again.",
)
"""Of facts and of exported chains."""


@contextmanager
def lines(file: str, what: str, limits: Limits) -> Iterator[Iterator[str]]:
    """Each line with its end; `what` is done with them. Raises `errors.SettingsError` for a file that cannot be read,
    `errors.InvalidObject` with the line for what is no text."""
    if file == STDIN:
        with closing(progress.shown(_read(file, sys.stdin.buffer, limits), what)) as found:
            yield found
        return
    with ExitStack() as held:
        try:
            raw = held.enter_context(Path(file).open("rb"))
        except OSError as trouble:
            raise _unreadable(file, trouble) from trouble
        size = os.fstat(raw.fileno()).st_size
        yield held.enter_context(closing(progress.shown(_read(file, raw, limits), what, total=size, at=raw.tell)))


def _read(file: str, raw: BinaryIO, limits: Limits) -> Iterator[str]:
    try:
        yield from unpacking.lines(raw, limits)
    except OSError as trouble:
        raise _unreadable(file, trouble) from trouble


def _unreadable(file: str, trouble: OSError) -> errors.SettingsError:
    why = trouble.strerror or str(trouble)
    remedy = "Name a file that is there, or - for standard input."
    return errors.SettingsError(f"{file} cannot be read: {why}.", remedy=remedy)
