"""The state machine of a pool: state and events in, state and what changed out. Nothing else decides about seats."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from exuvia.decide.seats.book import Book
from exuvia.model.seats import SeatChange, SeatEvent, Seats, Terms


@dataclass(frozen=True, slots=True, kw_only=True)
class Advanced:
    """The state after it, what changed in the order in which it did, and when time alone changes something next."""

    state: Seats
    told: tuple[SeatChange, ...] = ()
    next: int | None = None


def advance(state: Seats, terms: Terms, events: Iterable[SeatEvent], *, until: int) -> Advanced:
    """Let time pass from `state.at` to `until`, both known to the microsecond: what falls due does so at its moment.

    A state accounts for everything up to and at `state.at`: events at or before it are passed over, and so are those
    after `until`. So the same events may be handed in again after a crash, any number of times.
    """
    book = Book(state, terms)
    for moment, happened in _instants(state, events, until):
        _pass(book, moment)
        book.instant(moment, happened)
    _pass(book, until)
    book.instant(until, ())
    return Advanced(state=book.closed(max(state.at, until)), told=tuple(book.told), next=book.next_due)


def look(state: Seats, terms: Terms, events: Iterable[SeatEvent], *, now: int) -> Advanced:
    """One look at the world: everything learnt at `now`, whenever it was so. What fell due since the last look does so
    now, after the signs of life that came in between were heard."""
    book = Book(state, terms)
    book.instant(now, tuple(events))
    return Advanced(state=book.closed(max(state.at, now)), told=tuple(book.told), next=book.next_due)


def _instants(state: Seats, events: Iterable[SeatEvent], until: int) -> Iterator[tuple[int, tuple[SeatEvent, ...]]]:
    wanted = sorted((one for one in events if state.at < one.at <= until), key=_at)
    for moment, happened in groupby(wanted, key=_at):
        yield moment, tuple(happened)


def _at(event: SeatEvent) -> int:
    return event.at


def _pass(book: Book, moment: int) -> None:
    """What falls due before a moment. What falls due at it belongs to its instant."""
    while (due := book.next_due) is not None and due < moment:
        book.instant(due, ())
