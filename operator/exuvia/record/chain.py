"""The hash chain: h(n) = SHA256(h(n-1) bytes || canonical JSON of entry n), h(0) = 32 zero bytes (history.md).

Pure; canonical JSON is RFC 8785. Anybody can check an exported chain with ten lines of code.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import rfc8785

from exuvia import errors

GENESIS = bytes(32)
LARGEST = 2**53


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One entry as stored: its number from 1, its hash, and its canonical JSON."""

    seq: int
    hash: bytes
    canonical: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What a check found. `first_bad` is the first sequence number that does not fit, None when all do."""

    entries: int
    head: bytes
    first_bad: int | None = None
    problem: str = ""


def canonical(entry: Mapping[str, Any]) -> bytes:
    """RFC 8785. Raises `errors.InvalidObject` for what an entry may not hold (floats, huge integers, other types)."""
    _check(entry, "entry")
    try:
        return rfc8785.dumps(dict(entry))
    except ValueError as trouble:
        raise errors.InvalidObject(f"entry: {trouble}", place="entry") from trouble


def next_hash(former: bytes, canonical_entry: bytes) -> bytes:
    """The hash of the entry after the one whose hash is `former`."""
    return hashlib.sha256(former + canonical_entry).digest()


def verify(links: Iterable[Link], *, head: tuple[int, bytes] | None = None, start: Link | None = None) -> Verified:
    """Walk the chain. With `head` (number and hash known from elsewhere) a cut tail is found too, and a chain that was
    made anew from some entry on."""
    former, expected = (start.hash, start.seq) if start else (GENESIS, 0)
    for link in links:
        expected += 1
        if link.seq != expected:
            return _bad(expected, former, f"entry {expected} is missing")
        if next_hash(former, link.canonical) != link.hash:
            return _bad(expected, former, f"entry {expected} was changed, or the one before it")
        if head is not None and expected == head[0] and link.hash != head[1]:
            return _bad(expected, former, f"entry {expected} is not the one known from elsewhere: it was rewritten")
        former = link.hash
    if head is not None and expected < head[0]:
        return _bad(expected + 1, former, f"entries {expected + 1} to {head[0]} are missing at the end")
    return Verified(entries=expected, head=former)


def _bad(seq: int, head: bytes, problem: str) -> Verified:
    return Verified(entries=seq - 1, head=head, first_bad=seq, problem=problem)


def _check(value: object, place: str) -> None:
    match value:
        case bool() | str() | None:
            return
        case int():
            if abs(value) >= LARGEST:
                raise errors.InvalidObject(f"{place}: {value} is not below 2^53; write it as a string.", place=place)
        case Mapping():
            for key, inner in value.items():
                if not isinstance(key, str):
                    raise errors.InvalidObject(f"{place}: the key {key!r} is not a string.", place=place)
                _check(inner, f"{place}.{key}")
        case list() | tuple():
            for index, inner in enumerate(value):
                _check(inner, f"{place}[{index}]")
        case _:
            kind = type(value).__name__
            raise errors.InvalidObject(f"{place}: a {kind} may not stand in an entry; write a string.", place=place)
