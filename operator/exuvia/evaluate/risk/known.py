"""What was known of one machine: the intervals in which it was so, by the account of one moment or by that of its time.

Each version of a thing is the account from its `recorded` until the next one's. By the account of K (lens `now`) the
last version up to K holds for all time. By the account of the time (lens `then`) each holds for the moments in which it
was the account: its interval is cut with those. That is done thing by thing, never moment by moment.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, TypeVar

from exuvia.evaluate.risk import intervals
from exuvia.evaluate.risk.intervals import FOREVER, Interval, Intervals
from exuvia.model.histories import RETRACTED, Freeze, Life, Presence


class Version(Protocol):
    """A version of a thing."""

    @property
    def key(self) -> tuple[object, ...]:
        """What versions of the same thing share."""

    @property
    def recorded(self) -> int:
        """From when on it is the account."""

    @property
    def withdrawn(self) -> bool:
        """Whether it takes the thing back."""


Some = TypeVar("Some", bound=Version)
Lasting = TypeVar("Lasting", Life, Presence, Freeze)


def exists(version: Version) -> bool:
    """Whether this version says that the thing was there at all."""
    return not (version.withdrawn or getattr(version, "closed", "") == RETRACTED)


def things(versions: Sequence[Some], as_of: int) -> Iterable[list[Some]]:
    """The versions recorded by then, each thing by itself, in the order in which they were recorded."""
    if len(versions) == 1:
        return [list(versions)] if versions[0].recorded <= as_of else []
    found: dict[tuple[object, ...], list[Some]] = {}
    for one in versions:
        if one.recorded <= as_of:
            found.setdefault(one.key, []).append(one)
    return found.values()


def current(versions: Sequence[Some], as_of: int) -> list[Some]:
    """What holds as of that moment: the last version of each thing, unless that takes it back."""
    return [last for *_, last in things(versions, as_of) if exists(last)]


def accounts(versions: Sequence[Some], as_of: int) -> Iterator[tuple[Some, int, int]]:
    """Each version that says that something was, and from when until when it was the account."""
    for thing in things(versions, as_of):
        ends = [*(one.recorded for one in thing[1:]), FOREVER]
        for one, ended in zip(thing, ends, strict=True):
            if exists(one) and one.recorded < ended:
                yield one, one.recorded, ended


def span(version: Life | Presence | Freeze) -> Interval:
    """When it was so, by this version; an open one ends never."""
    if isinstance(version, Life):
        return version.born, intervals.end(version.died)
    return version.began, intervals.end(version.ended)


def now(versions: Sequence[Lasting], as_of: int) -> Intervals:
    """The moments in which any of these things was so, by the account of K."""
    return intervals.union(span(one) for one in current(versions, as_of))


def then(versions: Sequence[Lasting], as_of: int) -> Intervals:
    """The moments in which any of these things was so by the account of that very moment."""
    return intervals.union(_cut(span(one), learnt, ended) for one, learnt, ended in accounts(versions, as_of))


def _cut(one: Interval, began: int, ended: int) -> Interval:
    return max(one[0], began), min(one[1], ended)
