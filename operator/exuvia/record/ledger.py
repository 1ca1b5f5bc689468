"""The ledger's writer: one thread, group commit, nothing acknowledged before it is durable.

Each transaction checks that the ledger is still the same one, compares the epoch, reads the head of the chain anew, and
adds its entries. Trouble is told by `health()`; the thread goes on trying, so mending the file is enough.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from exuvia import errors
from exuvia.model.facts import Fact, LedgerHealth, Receipt
from exuvia.record import appending, chain, checkpoints, opening, queries, requests, trust, writing
from exuvia.record.condition import Condition
from exuvia.record.places import Place
from exuvia.record.requests import Request, Waiting
from exuvia.record.writing import Attempt, Terms, Written

log = logging.getLogger(__name__)

_T = TypeVar("_T")
GROUP = 512
QUEUED = 4096
RETRY_SECONDS = 2.0
LOOK_SECONDS = 2.0
AGAIN = 3
LOCK_MS = 1_000
"""How long a lock is waited for before it is told; what waits to be written waits for `opening.PATIENCE_MS` in all."""


class Ledger:
    """Appends facts for one cluster under one epoch. `start` and `close` it."""

    def __init__(self, place: Place, *, cluster: str = "", epoch: Callable[[], int]) -> None:
        self.place = place
        self._cluster = cluster
        self._epoch = epoch
        self._queue = Waiting(QUEUED)
        self._closing = False
        self._engine: Engine | None = None
        self._file: tuple[int, int] | None = None
        self._head = appending.Head()
        self._condition = Condition(place)
        self._unheard: Attempt | None = None
        self._entered: writing.Entered = {}
        self._oldest: float | None = None
        self._thread = threading.Thread(target=self._work, name="ledger", daemon=True)
        self.on_commit: Callable[[Sequence[Fact]], None] | None = None

    def start(self) -> None:
        """Begin to work; opening goes on in the background, see `health`."""
        self._thread.start()

    def close(self) -> None:
        """Write what is queued and stop. What comes later is refused."""
        self._closing = True
        self._queue.wake()
        self._thread.join(timeout=15)
        for one in self._queue.take(QUEUED):
            one.answer(errors.LedgerDown("the ledger was closed"))

    def health(self) -> LedgerHealth:
        """How it is now; never blocks."""
        return self._condition.health

    def head(self) -> dict[str, object]:
        """The last entry as this writer knows it: `seq` and `hash` (hex). Evidence is tied to it."""
        return {"seq": self._head.seq, "hash": self._head.hash.hex()}

    def lag(self) -> float:
        """Seconds that the oldest waiting fact has waited."""
        oldest = self._oldest
        return 0.0 if oldest is None else time.monotonic() - oldest

    async def append(self, *entries: Fact) -> Receipt:
        """Durable when it returns. `LedgerError`, `Fenced` or `InvalidObject`: nothing of it was written, as far as
        could be found out; the same facts given again are never entered twice."""
        loop = asyncio.get_running_loop()
        request = Request(facts=entries, loop=loop, done=loop.create_future())
        while True:
            self._refuse_unless_fine()
            if self._queue.put(request):
                break
            await asyncio.sleep(0.01)
        return await request.done

    def distrust(self, seq: int, hash_: str, *, named_by: str = "") -> None:
        """An entry that must be here is missing. Nothing is appended before a person accepts (`exuvia ledger accept`).
        `named_by`: who says that it was there, in words.

        Zeros as hash say that the chain itself is broken there: that must be accepted anew. It reads, so it is not for
        the event loop.
        """
        head = self._read(lambda connection: appending.head(connection, self._cluster)) or self._head
        self._condition.distrust(seq, bytes.fromhex(hash_), head=head.seq, named_by=named_by)

    def distrust_chain(self, seq: int) -> None:
        """The chain itself is broken there: the entry, or the one before it, was changed. A good copy heals it. Not for
        the event loop."""
        self.distrust(seq, chain.GENESIS.hex())

    def holds(self, seq: int, hash_: str) -> bool | None:
        """Whether the entry of that number has that hash, or a person accepted that it is missing.

        None while the ledger cannot be read.
        """
        return self._read(lambda connection: trust.holds(connection, self._cluster, seq, hash_))

    def _read(self, question: Callable[[Connection], _T]) -> _T | None:
        """Ask without taking a lock from a writer; None when it cannot be asked."""
        engine = self._engine
        if engine is None:
            return None
        try:
            with opening.readers(engine).begin() as connection:
                return question(connection)
        except DBAPIError:
            return None

    def _work(self) -> None:
        while self._queue or not self._closing:
            try:
                self._ensure_open()
                batch = self._queue.take(GROUP, LOOK_SECONDS if self._condition.fine else RETRY_SECONDS)
                if batch:
                    self._commit(batch)
                else:
                    self._glance()
                self._condition.look()
            except Exception:
                log.exception("the ledger's thread stumbled and goes on")
                time.sleep(RETRY_SECONDS)
        self._dispose()

    def _glance(self) -> None:
        """With nothing to write, what happened to the file would be noticed by nobody."""
        engine = self._engine
        if engine is None or not self._condition.fine or not self._same_file() or not self._head.seq:
            return
        try:
            found = opening.glance(engine, self.place, self._cluster, self._head.seq)
            if found is None and self._pruned(engine):
                return
        except errors.LedgerLocked:
            return
        except errors.LedgerError as trouble:
            self._fail(trouble)
        else:
            if found != self._head.hash:
                self._miss(self._head)

    def _pruned(self, engine: Engine) -> bool:
        """Whether others entered more, and the head as it was known was pruned: then the last that is there is it."""
        with opening.in_words(self.place), opening.readers(engine).begin() as connection:
            pruned = checkpoints.covers(connection, self._cluster, self._head.seq)
            self._head = appending.head(connection, self._cluster) if pruned else self._head
        return pruned

    def _refuse_unless_fine(self) -> None:
        if self._closing and not self._thread.is_alive():
            raise errors.LedgerDown("the ledger was closed")
        self._condition.refuse(patience=timedelta(milliseconds=opening.PATIENCE_MS if self._engine else 0))

    def _ensure_open(self) -> None:
        """Open, or open again after trouble; look for a person's acceptance while the file is not trusted."""
        if self._engine is not None and self._condition.fine and self._same_file():
            return
        try:
            if self._engine is None or not self._same_file():
                self._open()
            self._settle_trust()
        except errors.LedgerError as trouble:
            self._fail(trouble)
        except Exception as trouble:
            self._fail(errors.LedgerDown(f"The ledger {self.place} cannot be used: {trouble}."))

    def _open(self) -> None:
        self._dispose()
        former, fresh = self._head, self._file is None
        engine = opening.open_for_writing(self.place, patience_ms=min(LOCK_MS, opening.PATIENCE_MS))
        self._engine = engine
        self._file = opening.identity_of(self.place)
        opening.probe(engine, self.place)
        with opening.in_words(self.place), engine.begin() as connection:
            opening.alone(connection, self._cluster)
            appending.register(connection, self._cluster)
        with opening.in_words(self.place), opening.readers(engine).begin() as connection:
            self._head = appending.head(connection, self._cluster)
            known = not former.seq or trust.stands(connection, self._cluster, former.seq, former.hash)
            self._forget_broken(connection)
        if not known and not fresh:
            self._miss(former)
        self._remember_unheard(engine)

    def _forget_broken(self, connection: Connection) -> None:
        """Another file is in place of one whose chain was broken: it counts for itself, and so does an acceptance."""
        broken = self._condition.missing.broken()
        sound = not broken or chain.verify(queries.links(connection, self._cluster)).first_bad is None
        self._condition.in_another_file(self._head.seq, broken if sound else ())

    def _miss(self, head: appending.Head) -> None:
        """The head as it was known is not there."""
        self._condition.distrust(head.seq, head.hash, head=self._head.seq)

    def _settle_trust(self) -> None:
        """Fine again when nothing is missing (any more), or when a person accepted what is."""
        assert self._engine is not None
        missing = self._condition.missing
        seen = dict(missing.entries)
        with opening.in_words(self.place), self._engine.begin() as connection:
            opening.alone(connection, self._cluster)
            head = appending.head(connection, self._cluster)
            settled = trust.settle(connection, head, seen, missing, self._cluster)
        self._head = settled or head
        if settled is not None:
            self._condition.settle(seen)

    def _commit(self, batch: list[Request]) -> None:
        self._oldest = min(one.queued_at for one in batch)
        try:
            self._refuse_unless_fine()
            written = self._write_patiently(batch)
            self._oldest = None
        except errors.LedgerError as trouble:
            self._fail(trouble)
            requests.answer_all(batch, trouble)
        except errors.Fenced as trouble:
            requests.answer_all(batch, trouble)
        except Exception as trouble:
            self._commit_apart(batch, trouble)
        else:
            for one, done in zip(batch, written, strict=True):
                one.answer(done.receipts[-1] if done.receipts else appending.receipt(self._head))
                self._tell(one, done.entered)
        finally:
            self._oldest = None

    def _write_patiently(self, batch: list[Request]) -> list[Written]:
        """A lock is told after a moment, and waited for `opening.PATIENCE_MS` in all. A cut connection is made anew."""
        began, again = time.monotonic(), 0
        while True:
            try:
                written = self._write(batch)
            except errors.LedgerLocked as trouble:
                self._fail(trouble)
                if self._closing or time.monotonic() - began >= opening.PATIENCE_MS / 1000:
                    raise
            except (errors.LedgerDown, errors.InvalidObject) as trouble:
                again += 1
                if again > AGAIN or not self._worth_again(trouble):
                    raise
            else:
                self._condition.unlocked()
                return written

    def _worth_again(self, trouble: errors.ExuviaError) -> bool:
        """Nothing was entered, and the cause may be over: a cut connection, or a writer of another cluster."""
        if opening.crossed(trouble):
            return True
        if not opening.unheard(self.place, trouble):
            return False
        self._open_trusted()
        return True

    def _commit_apart(self, batch: list[Request], trouble: Exception) -> None:
        """A fact that cannot be entered must not take others with it: each request for itself."""
        if len(batch) > 1:
            for one in batch:
                self._commit([one])
            return
        if not isinstance(trouble, errors.ExuviaError):
            log.error("a fact cannot be entered: %s", trouble, exc_info=trouble)
            trouble = errors.InvalidObject(f"a fact cannot be entered: {type(trouble).__name__}: {trouble}")
        batch[0].answer(trouble)

    def _write(self, batch: list[Request]) -> list[Written]:
        assert self._engine is not None
        writer, check = appending.Writer(cluster=self._cluster, epoch=self._epoch()), self._check_file
        terms = Terms(place=self.place, writer=writer, former=self._head, entered=self._entered, check=check)
        try:
            made = writing.write(self._engine, batch, terms)
        except writing.Behind:
            self._miss(self._head)
            raise errors.LedgerTruncated(self.health().message) from None
        except writing.Unheard as cut:
            made = cut.attempt
            if not self._find_out(cut):
                return self._write(batch)
        self._head, self._entered = made.head, made.left
        return made.written

    def _find_out(self, cut: writing.Unheard) -> bool:
        """Whether what nobody heard of was entered. What cannot be found out in time is found out before the next
        entry; until then it counts as not entered."""
        began = time.monotonic()
        while True:
            try:
                self._open_trusted()
                assert self._engine is not None
                return writing.entered(self._engine, self.place, self._cluster, cut.attempt)
            except errors.LedgerError as trouble:
                self._fail(trouble)
                if self._closing or time.monotonic() - began >= opening.PATIENCE_MS / 1000:
                    self._unheard = cut.attempt
                    raise
                time.sleep(min(RETRY_SECONDS, opening.PATIENCE_MS / 1000))

    def _remember_unheard(self, engine: Engine) -> None:
        """It was told that nothing was entered. Where that was wrong, what is given again is not entered twice."""
        attempt = self._unheard
        if attempt is not None:
            if writing.entered(engine, self.place, self._cluster, attempt):
                self._entered = dict(list(attempt.told().items())[-QUEUED:])
            self._unheard = None

    def _open_trusted(self) -> None:
        self._open()
        if self._condition.missing.entries:
            raise errors.LedgerTruncated(self.health().message)

    def _check_file(self) -> None:
        if not self._same_file():
            raise errors.LedgerDown(f"the ledger's file {self.place} was replaced or removed while it was open")

    def _same_file(self) -> bool:
        return self._file is not None and opening.identity_of(self.place) == self._file

    def _tell(self, request: Request, entered: list[Fact]) -> None:
        if self.on_commit is not None and entered:
            request.call(functools.partial(self.on_commit, entered))

    def _fail(self, trouble: errors.LedgerError) -> None:
        if not isinstance(trouble, errors.LedgerLocked | errors.LedgerTruncated):
            self._dispose()
        self._condition.fail(trouble)

    def _dispose(self) -> None:
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.dispose()
