"""One transaction of the writer, and how it is known what came of one whose COMMIT got no answer.

A connection that is cut during COMMIT leaves open whether the server entered it. What would have been entered is known
to the last hash before, so it is looked for afterwards, under the lock of the chain: the transaction that was cut off
holds it until it ended on the server. It is there whole, or nothing of it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, Engine

from exuvia import errors
from exuvia.model.facts import Fact, Receipt, microseconds
from exuvia.record import appending, chain, opening, projecting, trust
from exuvia.record.places import Place
from exuvia.record.requests import Request


@dataclass(slots=True)
class Written:
    """What came of one request. `receipts`: one for each of its facts, that of a dead letter names the entry before."""

    receipts: list[Receipt] = field(default_factory=list)
    entered: list[Fact] = field(default_factory=list)


Entered = dict[bytes, tuple[Receipt, ...]]
"""By likeness of a fact the entries that it has, in order, for each time that it is to be given again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What a transaction enters, known before its COMMIT. `former`: the head before it. `left`: what was in the chain
    already and was not given again yet; one that was given again is new when it comes once more."""

    former: appending.Head
    head: appending.Head
    requests: Sequence[Request]
    written: list[Written]
    left: Entered

    def told(self) -> Entered:
        """Each fact, to be compared with one that is given again, and its entry for each time that it was given; and
        what is left of those before."""
        pairs, told = zip(self.requests, self.written, strict=True), Entered()
        for fact, receipt in (pair for one, done in pairs for pair in zip(one.facts, done.receipts, strict=True)):
            told.setdefault(likeness(fact), ())
            told[likeness(fact)] += (receipt,)
        return {**self.left, **{like: (*some, *self.left.get(like, ())) for like, some in told.items()}}


class Unheard(Exception):
    """The connection was cut before the server said what came of the COMMIT."""

    def __init__(self, attempt: Attempt) -> None:
        super().__init__("what came of the last COMMIT is not known")
        self.attempt = attempt


class Behind(Exception):
    """The chain does not hold the entry that it was known to end with, and no checkpoint vouches for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How a transaction is written. `former`: the last entry that is known. `entered`: what is in the chain already
    although it was told that it is not. `check`: raises when the file is not the one any more."""

    place: Place
    writer: appending.Writer
    former: appending.Head
    entered: Entered
    check: Callable[[], None]


def write(engine: Engine, batch: Sequence[Request], terms: Terms) -> Attempt:
    """Enter what was asked for; durable when it returns.

    Raises `Unheard`, `Behind`, `errors.Fenced`, `errors.InvalidObject`, `errors.LedgerError`; but for `Unheard` nothing
    was entered then.
    """
    attempt: Attempt | None = None
    try:
        with opening.in_words(terms.place), engine.begin() as connection:
            opening.alone(connection, terms.writer.cluster)
            terms.check()
            appending.fence(connection, terms.writer)
            made = _enter(connection, batch, terms)
            terms.check()
            attempt = made
    except errors.LedgerError as trouble:
        if attempt is not None and opening.unheard(terms.place, trouble):
            raise Unheard(attempt) from trouble
        raise
    return made


def entered(engine: Engine, place: Place, cluster: str, attempt: Attempt) -> bool:
    """Whether an attempt of which nothing was heard is in the chain: then whole, else nothing of it, for good. One that
    added no entry, as of dead letters alone, leaves no trace to look for: rather a letter twice than none."""
    if attempt.head == attempt.former:
        return False
    with opening.in_words(place), engine.begin() as connection:
        opening.alone(connection, cluster)
        return appending.hash_at(connection, cluster, attempt.head.seq) == attempt.head.hash


def likeness(fact: Fact) -> bytes:
    """Equal for facts that say the same."""
    return chain.canonical({"type": fact.kind.value, "at": microseconds(fact.at), "body": dict(fact.body)})


def _enter(connection: Connection, batch: Sequence[Request], terms: Terms) -> Attempt:
    former, waiting = appending.head(connection, terms.writer.cluster), appending.Batch()
    _check_former(connection, former, terms)
    projecting.read_ahead(connection, waiting, (fact for request in batch for fact in request.facts))
    head = former
    written, left = list[Written](), dict(terms.entered)
    for request in batch:
        done = Written()
        for fact in request.facts:
            there = _taken(left, fact)
            made = None if there else appending.add(connection, head, fact, terms.writer, batch=waiting)
            head = made or head
            done.receipts.append(there or appending.receipt(head))
            if made or there:
                done.entered.append(fact)
        written.append(done)
    waiting.flush(connection)
    return Attempt(former=former, head=head, requests=batch, written=written, left=left)


def _taken(left: Entered, fact: Fact) -> Receipt | None:
    """The entry of a fact that is in the chain already; it counts for this one time only."""
    if not left:
        return None
    like = likeness(fact)
    there = left.pop(like, ())
    if there[1:]:
        left[like] = there[1:]
    return there[0] if there else None


def _check_former(connection: Connection, head: appending.Head, terms: Terms) -> None:
    """Others may have added after it, and pruned it then, but else it must be there: or the server lost it, or another
    one answers."""
    former = terms.former
    if not former.seq or (head.seq, head.hash) == (former.seq, former.hash):
        return
    if not trust.stands(connection, terms.writer.cluster, former.seq, former.hash):
        raise Behind
