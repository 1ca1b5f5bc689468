"""The ledger's writer: one thread, group commit, nothing acknowledged before it is durable.

Each transaction checks that the file is still the same one, compares the epoch, reads the head of the chain anew, and
adds its entries. Trouble is told by `health()`; the thread goes on trying, so mending the file is enough.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, Engine, desc, insert, select, update
from sqlalchemy.exc import DBAPIError

from exuvia import errors
from exuvia.model.facts import Fact, FactKind, LedgerHealth, LedgerState, Receipt, microseconds
from exuvia.record import chain, opening, projecting, tables

log = logging.getLogger(__name__)

GROUP = 512
QUEUED = 4096
RETRY_SECONDS = 2.0


@dataclass(slots=True)
class _Request:
    facts: tuple[Fact, ...]
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[Receipt]
    queued_at: float


class Ledger:
    """Appends facts for one cluster under one epoch. `start` and `close` it."""

    def __init__(self, path: Path, *, cluster: str = "", epoch: Callable[[], int]) -> None:
        self.path = path
        self._cluster = cluster
        self._epoch = epoch
        self._queue: queue.Queue[_Request | None] = queue.Queue(QUEUED)
        self._engine: Engine | None = None
        self._file: tuple[int, int] | None = None
        self._head: tuple[int, bytes] = (0, chain.GENESIS)
        self._health = LedgerHealth(state=LedgerState.DOWN, message="not opened yet", since=datetime.now(UTC))
        self._distrusted: tuple[int, bytes] | None = None
        self._distrusted_from = 0
        self._oldest: float | None = None
        self._thread = threading.Thread(target=self._work, name="ledger", daemon=True)
        self.on_commit: Callable[[Sequence[Fact]], None] | None = None

    def start(self) -> None:
        """Begin to work; opening goes on in the background, see `health`."""
        self._thread.start()

    def close(self) -> None:
        """Write what is queued and stop."""
        self._queue.put(None)
        self._thread.join(timeout=15)

    def health(self) -> LedgerHealth:
        """How it is now; never blocks."""
        return self._health

    def lag(self) -> float:
        """Seconds that the oldest waiting fact has waited."""
        oldest = self._oldest
        return 0.0 if oldest is None else time.monotonic() - oldest

    async def append(self, *entries: Fact) -> Receipt:
        """Durable when it returns. `LedgerError` or `Fenced`: nothing of it was written."""
        if self._health.state in (LedgerState.DOWN, LedgerState.NOT_TRUSTED):
            kind = errors.LedgerTruncated if self._health.state is LedgerState.NOT_TRUSTED else errors.LedgerDown
            raise kind(self._health.message)
        loop = asyncio.get_running_loop()
        request = _Request(facts=entries, loop=loop, done=loop.create_future(), queued_at=time.monotonic())
        while True:
            try:
                self._queue.put_nowait(request)
                break
            except queue.Full:
                await asyncio.sleep(0.01)
        return await request.done

    def distrust(self, seq: int, hash_: str) -> None:
        """An entry that must be here is missing. Nothing is appended before a person accepts (`ledger accept`)."""
        self._distrusted = (seq, bytes.fromhex(hash_))
        self._distrusted_from = self._head[0]
        self._set(
            LedgerState.NOT_TRUSTED,
            f"the ledger misses entry {seq}: a restored backup or a cut tail. "
            "Restore the right file, or run `exuvia ledger accept --reason TEXT`.",
        )

    def holds(self, seq: int, hash_: str) -> bool | None:
        """Whether the entry of that number has that hash; None while the ledger cannot be read."""
        if self._engine is None:
            return None
        try:
            with self._engine.begin() as connection:
                found = connection.scalar(select(tables.entries.c.hash).where(tables.entries.c.seq == seq))
        except DBAPIError:
            return None
        return found is not None and bytes(found).hex() == hash_

    def _work(self) -> None:
        while True:
            self._ensure_open()
            batch = self._take()
            if batch is None:
                break
            if batch:
                self._commit(batch)
        if self._engine is not None:
            self._engine.dispose()

    def _take(self) -> list[_Request] | None:
        """What waits, up to a group; [] after a while without work; None to stop."""
        try:
            first = self._queue.get(timeout=RETRY_SECONDS if self._health.state is not LedgerState.FINE else 5.0)
        except queue.Empty:
            return []
        batch = [first]
        while len(batch) < GROUP:
            try:
                batch.append(self._queue.get_nowait())
            except queue.Empty:
                break
        wanted = [one for one in batch if one is not None]
        if len(wanted) == len(batch):
            return wanted
        if not wanted:
            return None
        self._queue.put(None)  # write these first, stop with the next round
        return wanted

    def _ensure_open(self) -> None:
        """Open, or open again after trouble; look for a person's acceptance while the file is not trusted."""
        if self._engine is not None and self._health.state is LedgerState.FINE and self._same_file():
            return
        try:
            if self._engine is None or not self._same_file():
                self._open()
            self._settle_trust()
        except errors.LedgerError as trouble:
            self._fail(trouble)

    def _open(self) -> None:
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None
        former, fresh = self._head, self._file is None
        self._engine = opening.open_for_writing(self.path)
        self._file = _file_identity(self.path)
        try:
            with self._engine.begin() as connection:
                self._head = _head(connection)
                known = former[0] == 0 or _hash_at(connection, former[0]) == former[1]
        except DBAPIError as trouble:
            raise opening.explained(self.path, trouble) from trouble
        if not known and not fresh:
            self.distrust(former[0], former[1].hex())

    def _settle_trust(self) -> None:
        if self._distrusted is None:
            self._set(LedgerState.FINE, "")
            return
        seq, hash_ = self._distrusted
        assert self._engine is not None
        with self._engine.begin() as connection:
            self._head = _head(connection)
            found = _hash_at(connection, seq) == hash_
            accepted = connection.scalar(
                select(tables.entries.c.seq)
                .where(tables.entries.c.kind == FactKind.ACCEPTED, tables.entries.c.seq > self._distrusted_from)
                .limit(1)
            )
        if found or accepted is not None:
            self._distrusted = None
            self._set(LedgerState.FINE, "")

    def _commit(self, batch: list[_Request]) -> None:
        self._oldest = min(one.queued_at for one in batch)
        try:
            if self._health.state is not LedgerState.FINE or self._engine is None:
                raise errors.LedgerDown(self._health.message or "the ledger is not open")
            receipts = self._write(batch)
        except errors.ExuviaError as trouble:
            if isinstance(trouble, errors.LedgerError):
                self._fail(trouble)
            for one in batch:
                _settle(one, trouble)
        else:
            for one, receipt in zip(batch, receipts, strict=True):
                _settle(one, receipt)
                if self.on_commit is not None:
                    one.loop.call_soon_threadsafe(self.on_commit, one.facts)
        finally:
            self._oldest = None

    def _write(self, batch: list[_Request]) -> list[Receipt]:
        assert self._engine is not None
        if not self._same_file():
            raise errors.LedgerDown("the ledger's file was replaced while it was open")
        try:
            with self._engine.begin() as connection:
                self._fence(connection)
                head = _head(connection)
                receipts = []
                for one in batch:
                    for fact in one.facts:
                        head = self._add(connection, head, fact)
                    receipts.append(Receipt(seq=head[0], hash=head[1].hex()))
        except DBAPIError as trouble:
            raise opening.explained(self.path, trouble) from trouble
        self._head = head
        return receipts

    def _fence(self, connection: Connection) -> None:
        """A newer leader wrote already: we must not (safety.md, 9)."""
        table, ours = tables.leadership, self._epoch()
        theirs = connection.scalar(select(table.c.epoch).where(table.c.cluster == self._cluster))
        if theirs is None:
            connection.execute(insert(table).values(cluster=self._cluster, epoch=ours))
        elif theirs > ours:
            raise errors.Fenced(f"the ledger was written under epoch {theirs}, ours is {ours}")
        elif theirs < ours:
            connection.execute(update(table).where(table.c.cluster == self._cluster).values(epoch=ours))

    def _add(self, connection: Connection, head: tuple[int, bytes], fact: Fact) -> tuple[int, bytes]:
        recorded = microseconds(datetime.now(UTC))
        entry = {
            "type": fact.kind.value,
            "at": microseconds(fact.at),
            "recorded": recorded,
            "cluster": self._cluster,
            "epoch": self._epoch(),
            "body": dict(fact.body),
        }
        canonical = chain.canonical(entry)
        reason = projecting.refusal(connection, fact)
        if reason:
            connection.execute(
                insert(tables.dead_letters).values(recorded=recorded, reason=reason, body=canonical.decode())
            )
            return head
        seq, hash_ = head[0] + 1, chain.next_hash(head[1], canonical)
        connection.execute(
            insert(tables.entries).values(
                seq=seq,
                hash=hash_,
                kind=fact.kind.value,
                recorded=recorded,
                epoch=self._epoch(),
                body=canonical.decode(),
            )
        )
        projecting.project(connection, seq, fact)
        return seq, hash_

    def _same_file(self) -> bool:
        return self._file is not None and _file_identity(self.path) == self._file

    def _fail(self, trouble: errors.LedgerError) -> None:
        if isinstance(trouble, errors.LedgerLocked):
            self._set(LedgerState.LOCKED, str(trouble))
            return
        if self._engine is not None and not isinstance(trouble, errors.LedgerTruncated):
            self._engine.dispose()
            self._engine = None
        if self._health.state is not LedgerState.NOT_TRUSTED:
            self._set(LedgerState.DOWN, str(trouble))

    def _set(self, state: LedgerState, message: str) -> None:
        if (state, message) == (self._health.state, self._health.message):
            return
        if state is LedgerState.FINE:
            log.info("ledger is fine")
        else:
            log.warning("ledger: %s", message)
        self._health = LedgerHealth(state=state, message=message, since=datetime.now(UTC))


def _settle(request: _Request, result: Receipt | Exception) -> None:
    def settle() -> None:
        if request.done.done():
            return
        if isinstance(result, Exception):
            request.done.set_exception(result)
        else:
            request.done.set_result(result)

    request.loop.call_soon_threadsafe(settle)


def _file_identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _head(connection: Connection) -> tuple[int, bytes]:
    table = tables.entries
    row = connection.execute(select(table.c.seq, table.c.hash).order_by(desc(table.c.seq)).limit(1)).first()
    return (0, chain.GENESIS) if row is None else (int(row.seq), bytes(row.hash))


def _hash_at(connection: Connection, seq: int) -> bytes | None:
    found = connection.scalar(select(tables.entries.c.hash).where(tables.entries.c.seq == seq))
    return None if found is None else bytes(found)
