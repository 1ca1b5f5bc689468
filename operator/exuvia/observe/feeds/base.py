"""What a feed is, and what one file of it says. Moments are whole microseconds since 1970 UTC."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from exuvia import errors
from exuvia.model.facts import microseconds

INTRINSIC = "intrinsic"
"""Basis of what always was so: a base score, a VEX statement."""

THREAT = "threat"
"""Basis of what the world changed: EPSS, KEV."""

LONGEST = 128
"""Characters of a vulnerability's name, as the ledger holds it."""

LONGEST_TEXT = 2048
"""Characters of any other text that is kept."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What a file says of one vulnerability from a moment on. `value` is the decimal as the source wrote it; "" says
    that there is nothing to state, so that a former statement is taken back.

    `details` are part of what is said: a change of them is a change. `notes` are only kept with it.
    """

    vulnerability: str
    source: str
    valid_from: int
    value: str
    details: Mapping[str, str] = field(default_factory=dict)
    notes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One file, read and found whole. `document`: whose former statements vanish when they are not in it, "" for all of
    the source. `released`: when its publisher made it. `partial`: it says nothing of what is not in it, so nothing
    vanishes. `passed_over`: entries that were not asked for."""

    version: str
    statements: tuple[Statement, ...]
    document: str = ""
    released: int | None = None
    partial: bool = False
    passed_over: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """How a file is to be read. `wanted`: only these vulnerabilities (None: all). `everywhere`: what a VEX document
    says of named products counts for all machines. `valid_from`: when its statements began to be so, if not as it
    says. `document`: what a file is called that has no identity of its own."""

    wanted: Container[str] | None = None
    everywhere: bool = False
    valid_from: int | None = None
    document: str = ""

    def wants(self, vulnerability: str) -> bool:
        """Whether it was asked for."""
        return self.wanted is None or vulnerability in self.wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """One kind of file. `read` raises `errors.InvalidObject` with the line, and never yields half a file.

    `sources`: whose scores it may write, () for what its files name. `dated`: each file says how it is on its day, and
    older statements stay true of older days; else a file replaces what its source said of a vulnerability before.
    `shared`: several documents may speak of one vulnerability. `large`: by default only what is known to the ledger.
    """

    name: str
    help: str
    basis: str
    read: Callable[[Iterable[str], Asked], Release]
    sources: tuple[str, ...] = ()
    dated: bool = False
    shared: bool = False
    large: bool = False


def complaint(line: int, message: str, remedy: str) -> errors.InvalidObject:
    """What is wrong with a file, on which line, and what to do."""
    return errors.InvalidObject(message, place=f"line {line}", remedy=remedy)


def flaw(text: str, longest: int = LONGEST_TEXT) -> str:
    """Why the ledger should not hold a text: too long, or with characters that are none (a NUL, half a pair); or ""."""
    if len(text) > longest:
        return f"{len(text)} characters are too many"
    return "" if text.isprintable() else f"{text[:40]!r} has characters that cannot be printed"


def moment(text: object) -> int | None:
    """A time or a date (its midnight) as text; UTC where it names no zone. None for what is no time."""
    if not isinstance(text, str):
        return None
    try:
        found = datetime.fromisoformat(text.strip())
        return microseconds(found if found.tzinfo else found.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        return None


@lru_cache(maxsize=64)
def written(at: int) -> str:
    """A moment as RFC 3339 in UTC."""
    return (_EPOCH + timedelta(microseconds=at)).isoformat().replace("+00:00", "Z")
