"""From the bytes of a file to its lines: plain or gzip, told apart by the first bytes and not by the name.

However small a file is, unpacked it may be made to fill the memory: nothing is read beyond its limits.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, cast

from exuvia.observe.feeds.base import complaint

AGAIN = "Fetch it again."
MAGIC = b"\x1f\x8b"
MIB = 1 << 20
_OTHERS = {b"PK": "zip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
"""How files are packed that are not read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bytes of a whole file and of one line, unpacked. `remedy`: what to do with a file that has more, `text`: with one
    that is no UTF-8, `again`: with one that was cut."""

    most: int
    longest: int
    remedy: str
    text: str
    again: str = AGAIN


FEED = Limits(
    most=512 * MIB,
    longest=512 * MIB,
    remedy="Name the file of the feed.",
    text="Name the file as the feed publishes it; write one of your own as UTF-8.",
)
"""A document may be one line; the largest that is known, a year of the NVD, has half of that."""


def lines(stream: BinaryIO, limits: Limits = FEED) -> Iterator[str]:
    """Each line with its end. Raises `errors.InvalidObject` for a cut or damaged gzip, for what is no UTF-8, and for
    more than the limits allow."""
    number, size = 0, 0
    try:
        plain = _plain(stream)
        while raw := plain.readline(min(limits.longest, limits.most - size) + 1):
            number += 1
            size += len(raw)
            if size > limits.most or len(raw) > limits.longest:
                what, most = ("file", limits.most) if size > limits.most else ("line", limits.longest)
                raise complaint(number, f"the {what} is longer than {most // MIB} MiB, unpacked", limits.remedy)
            yield raw.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError:
        raise complaint(number, "this is no UTF-8 text", limits.text) from None
    except EOFError:
        raise complaint(number + 1, "the gzip ends in the middle, the file was cut", limits.again) from None
    except (gzip.BadGzipFile, zlib.error) as trouble:
        raise complaint(number + 1, f"the gzip is damaged: {trouble}", limits.again) from None


def _plain(stream: BinaryIO) -> BinaryIO:
    buffered = stream if isinstance(stream, io.BufferedReader) else io.BufferedReader(cast("io.RawIOBase", stream))
    begin = buffered.peek(8)
    if begin.startswith(MAGIC):
        return cast("BinaryIO", gzip.GzipFile(fileobj=buffered))
    packed = next((how for magic, how in _OTHERS.items() if begin.startswith(magic)), "")
    if packed:
        raise complaint(1, f"this is packed as {packed}, and only gzip is read", "Unpack it first.")
    return buffered
