"""The hash chain: h(n) = SHA256(h(n-1) bytes || canonical JSON of entry n), h(0) = 32 zero bytes (history.md).

Pure; canonical JSON is RFC 8785. Anybody can check an exported chain with ten lines of code. Entries that were pruned
leave a gap, which a checkpoint further on in the chain vouches for.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import rfc8785

from exuvia import errors

GENESIS = bytes(32)
LARGEST = 2**53


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Entries that were pruned: their numbers, the hash of the entry before the first, and that of the last."""

    first: int
    last: int
    before: bytes
    hash: bytes

    @property
    def entries(self) -> int:
        """How many they were."""
        return self.last - self.first + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One entry as stored: its number from 1, its hash, and its canonical JSON. Or, with `gap`, entries that were
    pruned under a checkpoint: `seq` and `hash` are those of the last."""

    seq: int
    hash: bytes
    canonical: bytes
    gap: Gap | None = None


def across(gap: Gap) -> Link:
    """The link that stands for a gap."""
    return Link(seq=gap.last, hash=gap.hash, canonical=b"", gap=gap)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What a check found. `entries` is the number of the last sound entry, pruned ones counted. `first_bad` is the
    first number that does not fit, None when all do. `compared`: the head known from elsewhere was there to compare."""

    entries: int
    head: bytes
    first_bad: int | None = None
    problem: str = ""
    pruned: int = 0
    compared: bool = False


def canonical(entry: Mapping[str, Any]) -> bytes:
    """RFC 8785. Raises `errors.InvalidObject` for what an entry may not hold (floats, huge integers, other types)."""
    _check(entry, "entry")
    try:
        return _ascii(entry) or rfc8785.dumps(dict(entry))
    except ValueError as trouble:
        raise errors.InvalidObject(f"entry: {trouble}", place="entry") from trouble


def _ascii(entry: Mapping[str, Any]) -> bytes:
    """The same for what is ASCII, twenty times faster: there the standard library sorts and escapes as RFC 8785 does.
    b"" for anything else."""
    try:
        text = json.dumps(dict(entry), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    except TypeError:
        return b""
    return text.encode("ascii") if text.isascii() else b""


def next_hash(former: bytes, canonical_entry: bytes) -> bytes:
    """The hash of the entry after the one whose hash is `former`."""
    return hashlib.sha256(former + canonical_entry).digest()


def verify(links: Iterable[Link], *, head: tuple[int, bytes] | None = None, start: Link | None = None) -> Verified:
    """Walk the chain. With `head` (number and hash known from elsewhere) a cut tail is found too, and a chain that was
    made anew from some entry on."""
    former, last, pruned, compared = start.hash if start else GENESIS, start.seq if start else 0, 0, False
    for link in links:
        problem = _misfit(link, former, last + 1)
        if problem:
            return _bad(last + 1, former, problem)
        if head is not None and link.seq == head[0]:
            compared = link.hash == head[1]
            if not compared:
                return _bad(link.seq, former, f"entry {link.seq} is not the one known from elsewhere: it was rewritten")
        pruned += link.gap.entries if link.gap else 0
        former, last = link.hash, link.seq
    if head is not None and last < head[0]:
        return _bad(last + 1, former, _cut(last + 1, head[0]))
    return Verified(entries=last, head=former, pruned=pruned, compared=compared)


def _misfit(link: Link, former: bytes, expected: int) -> str:
    """Why a link does not follow on the one before it, or ""."""
    if (link.gap.first if link.gap else link.seq) != expected:
        return f"entry {expected} is missing"
    if link.gap:
        fits = link.gap.before == former
        return "" if fits else f"the checkpoint does not fit to entry {expected - 1}, which it was made after"
    if next_hash(former, link.canonical) != link.hash:
        return f"entry {expected} was changed, or the one before it"
    return ""


def _cut(first: int, last: int) -> str:
    which = f"entry {first} is" if first == last else f"entries {first} to {last} are"
    return f"{which} missing at the end"


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
