"""From the bytes of a file to its lines: plain or gzip, told apart by the first bytes and not by the name."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from typing import BinaryIO, cast

from exuvia.observe.feeds.base import complaint

AGAIN = "Fetch it again."
MAGIC = b"\x1f\x8b"
MOST = 4 << 30
"""Bytes of one file, unpacked. What is larger is no feed, or was made to fill the memory."""


def lines(stream: BinaryIO, *, most: int = MOST) -> Iterator[str]:
    """Each line with its end. Raises `errors.InvalidObject` for a cut or damaged gzip, and for what is no UTF-8."""
    number, size = 0, 0
    try:
        for raw in _plain(stream):
            number += 1
            size += len(raw)
            if size > most:
                raise complaint(number, f"more than {most} bytes are no feed", "Name the file of the feed.")
            yield raw.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError:
        raise complaint(number, "this is no UTF-8 text", "Name the file as the feed publishes it.") from None
    except EOFError:
        raise complaint(number + 1, "the gzip ends in the middle, the file was cut", AGAIN) from None
    except (gzip.BadGzipFile, zlib.error) as trouble:
        raise complaint(number + 1, f"the gzip is damaged: {trouble}", AGAIN) from None


def _plain(stream: BinaryIO) -> Iterator[bytes]:
    buffered = stream if isinstance(stream, io.BufferedReader) else io.BufferedReader(cast("io.RawIOBase", stream))
    if buffered.peek(2)[:2] == MAGIC:
        return iter(gzip.GzipFile(fileobj=buffered))
    return iter(buffered)
