"""Licence seats while we lead: every pool is looked at when machines come and go, and each second; what changes is
entered before it is said.

Gather, decide, enter, tell. A grant holds once it is durable: after a crash before that it is not there, and after one
later it is read from the ledger. While the ledger is down nothing is granted or returned; it is made up for afterwards.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator

import msgspec

from exuvia import errors, ports
from exuvia.app import pool_views, seat_ledger, seat_signs, seat_telling
from exuvia.app.deaths import Deaths
from exuvia.app.ended_pools import EndedPools
from exuvia.app.learning import NOT_LOOKED
from exuvia.app.pool_memory import Failure, Known
from exuvia.app.pool_statuses import PoolStatuses
from exuvia.app.reclaiming import Reclaiming
from exuvia.app.services import Services
from exuvia.decide.seats import closing, step
from exuvia.model import facts, resources
from exuvia.model.learnt import SeatSign
from exuvia.model.seat_views import PoolStep
from exuvia.model.seats import Returned
from exuvia.model.specs.license_pool import LicensePool
from exuvia.observe import ours
from exuvia.observe.reflector import Reflector
from exuvia.report.metrics import Sample

log = logging.getLogger(__name__)

PERIOD_SECONDS = 1.0
GATHER_SECONDS = 0.1
FAILED_SECONDS = 30.0


class Seating:
    """Runs with a term."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._known: dict[str, Known] = {}
        self._names: dict[str, str] = {}
        self._there: set[str] = set()
        self._trouble = ""
        self._unserved: dict[str, str] = {}
        self._failed: dict[str, Failure] = {}
        self._ended = EndedPools(services)
        self._down = False
        self._changed = asyncio.Event()
        self.deaths = Deaths(services, self._changed.set)
        self._pools = Reflector(
            services.client, resources.LICENSE_POOLS, ours.reader(LicensePool), services.clock, self._changed.set
        )
        self._statuses = PoolStatuses(services, self._written)
        self.reclaiming = Reclaiming(services)
        services.learnings.seat_of = self.sign

    async def run(self) -> None:
        """For ever."""
        watching = asyncio.create_task(self._pools.run(), name="watch license pools")
        try:
            with self.deaths.heard():
                while True:
                    await self.look(tuple(self._pools.store))
                    await self._either()
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)

    async def look(self, pools: tuple[LicensePool | ours.Unparsable, ...]) -> None:
        """Look at every pool once."""
        whole = self._pools.synced  # asked now: a list comes page by page, and may have come to its end after the look
        self._note_ledger()
        there = {one.uid for one in pools}
        self._forget(there)
        await self._ended.enter()
        unserved = dict[str, str]()
        for pool in pools:
            if why := await self._try(pool):
                unserved[pool.name] = why
        self._note_unserved(unserved)
        if whole:
            await self._ended.find(there)
        self.deaths.forget(one.living for one in self._known.values())

    async def _try(self, pool: LicensePool | ours.Unparsable) -> str:
        """Look at one; why it is not served, or "". Whatever trouble it makes, the next one is looked at; itself again
        when it was edited, or after a while."""
        failed = self._failed.get(pool.uid)
        same = failed is not None and failed.generation == _generation(pool)
        if failed is not None and same and self._services.clock.monotonic() < failed.due:
            return failed.why
        try:
            why = await self._look_at(pool)
        except errors.Fenced:
            raise
        except Exception as trouble:
            return await self._fail(pool, f"{type(trouble).__name__}: {trouble}", "" if failed is None else failed.why)
        self._failed.pop(pool.uid, None)
        return why

    async def _look_at(self, pool: LicensePool | ours.Unparsable) -> str:
        if isinstance(pool, ours.Unparsable):
            await self._statuses.unreadable(pool)
            return self._stand_still(pool, f"LicensePool {pool.name} cannot be read; its status says why")
        if problems := pool_views.not_supported(pool, self._services.settings.reclaim_hosts):
            await self._statuses.refused(pool, problems)
            return self._stand_still(pool, f"LicensePool {pool.name} is not served: {problems[0]}")
        if pool_views.trusted(self._services) and not self._services.ledger_down():
            await self._serve(pool)
        return ""

    def _stand_still(self, pool: LicensePool | ours.Unparsable, why: str) -> str:
        """Its leases stay, and nobody is called for it."""
        self.reclaiming.pause(pool.uid)
        if self._unserved.get(pool.name) != why:
            log.warning("%s", why, extra={"pool": pool.name})
        return why

    async def _fail(self, pool: LicensePool | ours.Unparsable, trouble: str, said: str) -> str:
        """Say it once: in the log and, where that can be, in its status. Its seats are read anew then."""
        why = f"LicensePool {pool.name} cannot be served: {trouble}; other pools are, and it is tried again"
        due = self._services.clock.monotonic() + FAILED_SECONDS
        self._failed[pool.uid] = Failure(generation=_generation(pool), due=due, why=why)
        if why != said:
            log.exception("%s", why, extra={"pool": pool.name})
        if isinstance(pool, LicensePool):
            self._lose(pool)
            await self._statuses.failed(pool, why)
        return why

    def holders(self, pool: str) -> frozenset[str] | None:
        """UIDs of the living instances that hold a seat of the pool of that name; None: it is not served (yet)."""
        known = self._named(pool)
        return None if known is None else frozenset(one.uid for one in known.seats.leases if one.due is None)

    def sign(self, pool: str, uid: str) -> SeatSign:
        """How a machine stands with the pool of that name, by the last look."""
        known = self._named(pool)
        if pool in self._unserved:
            return seat_signs.unknown(self._unserved[pool])
        if known is None:
            return self._why_unknown(pool)
        if self._down:
            return seat_signs.unknown("the ledger cannot be written, so nothing is granted or returned")
        if known.signs is None:
            known.signs = seat_signs.signs(known.seats, known.living)
        return known.signs.get(uid, NOT_LOOKED)

    def samples(self) -> Iterator[Sample]:
        """The gauges of all pools that are served."""
        for uid, known in self._known.items():
            name = self._names[uid]
            demanded = sum(one.due is None for one in known.seats.leases) + known.unmet
            for state, value in {**known.counts.wire(), "demanded": demanded}.items():
                yield Sample(name="exuvia_license_seats", value=value, labels=(name, state))
            highest = known.high_water
            for metric, most in ((seat_telling.HIGHEST, highest.used), (seat_telling.HIGHEST_DEMAND, highest.demanded)):
                yield Sample(name=metric, value=most, labels=(name, "month"))

    def _named(self, pool: str) -> Known | None:
        uid = next((uid for uid, name in self._names.items() if name == pool), None)
        return self._known.get(uid) if uid is not None else None

    def _why_unknown(self, pool: str) -> SeatSign:
        if self._trouble:
            return seat_signs.unknown(f"the ledger cannot be read: {self._trouble}")
        if self._pools.synced and self._pools.store.named(pool) is None:
            return seat_signs.unknown(f"there is no LicensePool {pool}")
        return NOT_LOOKED

    def _note_ledger(self) -> None:
        down = self._services.ledger_down()
        if down is not self._down:
            self._down = down
            for uid in self._known:
                self._changed_for(self._names[uid], self._living())

    def _note_unserved(self, unserved: dict[str, str]) -> None:
        former, self._unserved = self._unserved, unserved
        for name in {*former, *unserved}:
            if former.get(name) != unserved.get(name):
                self._changed_for(name, self._living())

    def _living(self) -> set[str]:
        return {one.uid for one in self._services.view.nodes.store}

    def _changed_for(self, pool: str, uids: Iterable[str]) -> None:
        """Rules that ask for a seat of the pool judge these machines anew."""
        if uids and pool in self._services.policies.seat_pools:
            self._services.learnings.seats_changed(pool, uids)
            self._services.view.wake.set()

    async def _either(self) -> None:
        """Until a pool was edited or a machine came or went, and a moment passed, so that many make one look; or a
        second has passed."""
        try:
            await asyncio.wait_for(self._changed.wait(), PERIOD_SECONDS)
        except TimeoutError:
            return
        await asyncio.sleep(GATHER_SECONDS)
        self._changed.clear()

    def _written(self, body: ports.Body) -> None:
        self._pools.overlay(msgspec.Raw(msgspec.json.encode(body)))

    def _forget(self, pools: set[str]) -> None:
        for uid in set(self._known) - pools:
            known, name = self._known.pop(uid), self._names.pop(uid)
            self._there.discard(uid)
            self._changed_for(name, self._living())
            self._ended.add(uid, name, known.seats, self.reclaiming.forget(uid))
        if self._there - pools - self._known.keys():
            self._ended.seek()
        self._there = pools
        self._failed = {uid: one for uid, one in self._failed.items() if uid in pools}

    async def _serve(self, pool: LicensePool) -> None:
        """One look at one pool. Trouble with the ledger leaves it as it was, to be read anew."""
        try:
            known = self._known.get(pool.uid) or await self._recall(pool)
            done, living = self._ask(pool, known)
            at = facts.microseconds(self._services.clock.now())
            untold = closing.untold(self.reclaiming.unhooked(pool), at, closing.UNHOOKED)
            await seat_ledger.enter(self._services, pool.name, pool.uid, (*done.told, *untold))
            self._trouble = ""
        except errors.LedgerError as trouble:
            self._lose(pool)
            if str(trouble) != self._trouble:
                self._trouble = str(trouble)
                log.warning("seats of pool %s wait for the ledger: %s", pool.name, trouble, extra={"pool": pool.name})
            return
        seat_telling.count(self._services, pool, known, done)
        seat_telling.tell(self._services, pool, done, known.names | living)
        self._keep(pool, known, done, living)
        returned = (one for one in done.told if isinstance(one, Returned))
        self.reclaiming.owe(pool, returned, used=done.counts.used)
        await self._statuses.write(pool, done, theirs=self.reclaiming.theirs(pool.uid))

    def _lose(self, pool: LicensePool) -> None:
        """What its seats are is not known until the ledger is read anew."""
        if self._known.pop(pool.uid, None) is not None:
            self._changed_for(pool.name, self._living())

    async def _recall(self, pool: LicensePool) -> Known:
        """From the ledger, at the start of a term or after trouble."""
        settings, now = self._services.settings, self._services.clock.now()
        at = facts.microseconds(now)
        found = await asyncio.to_thread(seat_ledger.remembered, settings, pool.uid, at)
        self.reclaiming.owe(pool, found.owed, used=len(found.seats.leases))
        seat_telling.begin(self._services, pool, found.spent)
        return Known(
            seats=found.seats,
            counts=pool.status.seats,
            high_water=pool.status.high_water,
            looked=self._services.clock.monotonic(),
            names=dict(found.names),
        )

    def _ask(self, pool: LicensePool, known: Known) -> tuple[PoolStep, dict[str, str]]:
        now = self._services.clock.now()
        living = {one.uid: one.name for one in self._services.view.nodes.store}
        deaths = self.deaths.of(known.living, living)
        last = (known.counts, known.high_water)
        return step(pool_views.view_of(self._services, pool, known.seats, deaths, last), now), living

    def _keep(self, pool: LicensePool, known: Known, done: PoolStep, living: dict[str, str]) -> None:
        holders = {one.uid for one in done.seats.leases}
        names = {uid: name for uid, name in known.names.items() if uid in holders}
        self._names[pool.uid] = pool.name
        self._changed_for(pool.name, seat_signs.concerned(done.told) | (living.keys() - known.living))
        self._known[pool.uid] = Known(
            seats=done.seats,
            counts=done.counts,
            high_water=done.high_water,
            looked=self._services.clock.monotonic(),
            unmet=done.unmet,
            living=frozenset(living),
            names=names | living,
        )


def _generation(pool: LicensePool | ours.Unparsable) -> int:
    return pool.metadata.generation if isinstance(pool, LicensePool) else 0
