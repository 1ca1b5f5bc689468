"""Telling vendors which seats came back, beside the looks at pools: a slow vendor holds up no seat and no other one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from exuvia import errors
from exuvia.act import reclaim_hook
from exuvia.act.reclaim_hook import Answer, Reply
from exuvia.app import telling
from exuvia.app.services import Services
from exuvia.decide.seats import entries, owing
from exuvia.decide.seats.metering import moment
from exuvia.model import facts
from exuvia.model.reasons import EventReason
from exuvia.model.seats import Reported, Returned
from exuvia.model.specs.license_pool import LicensePool, ReclaimHook
from exuvia.report.events import Event

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
COUNT_SECONDS = 600.0
AT_ONCE = 8


@dataclass(slots=True)
class Debt:
    """What is owed to the vendor of one pool. `tries` are failed calls of each lease, `due` monotonic moments.
    `paused`: the pool is not served. `silent`: the vendor does not answer, which was said."""

    pool: LicensePool
    used: int = 0
    owed: dict[int, Returned] = field(default_factory=dict)
    tries: dict[int, int] = field(default_factory=dict)
    due: dict[int, float] = field(default_factory=dict)
    counted: float = 0.0
    paused: bool = False
    silent: bool = False
    theirs: int | None = None
    """The vendor's own count, as last told."""


class Reclaiming:
    """Runs with a term. Owes nothing that the ledger does not say is owed."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._debts: dict[str, Debt] = {}
        self._calling: dict[str, asyncio.Task[None]] = {}

    def owe(self, pool: LicensePool, returned: Iterable[Returned], *, used: int) -> None:
        """The pool was looked at, or read from the ledger: as it is now, what came back, how many seats are used."""
        owed = {one.lease.order: one for one in returned if one.owed}
        if pool.spec.reclaim.webhook is None and pool.uid not in self._debts and not owed:
            return
        debt = self._debts.setdefault(pool.uid, Debt(pool=pool, counted=self._services.clock.monotonic()))
        debt.pool, debt.used, debt.paused = pool, used, False
        debt.owed |= owed

    def pause(self, uid: str) -> None:
        """The pool is not served as it is written now: nobody is called by how it was written before."""
        if uid in self._debts:
            self._debts[uid].paused = True

    def unhooked(self, pool: LicensePool) -> tuple[Returned, ...]:
        """What the vendor was not told of and never will be, for the pool has no hook any more."""
        return () if pool.spec.reclaim.webhook is not None else self.forget(pool.uid)

    def forget(self, uid: str) -> tuple[Returned, ...]:
        """The pool is gone. What its vendor was not told of."""
        debt = self._debts.pop(uid, None)
        if debt is None:
            return ()
        owed = tuple(debt.owed.values())
        debt.owed.clear()  # by whoever is called now, too
        return owed

    def theirs(self, uid: str) -> int | None:
        """The vendor's own count of a pool, as last told; None: it told none."""
        debt = self._debts.get(uid)
        return None if debt is None else debt.theirs

    async def run(self) -> None:
        """For ever."""
        async with aiohttp.ClientSession() as session:
            try:
                while True:
                    self.look(session)
                    await asyncio.sleep(LOOK_SECONDS)
            finally:
                for call in self._calling.values():
                    call.cancel()
                await asyncio.gather(*self._calling.values(), return_exceptions=True)

    def look(self, session: aiohttp.ClientSession) -> None:
        """Begin the calls that are due, those of each pool by themselves; none while exuvia only watches, or while the
        ledger cannot keep what comes of them: what is owed stays owed."""
        for uid in [uid for uid, call in self._calling.items() if call.done()]:
            self._calling.pop(uid).result()
        if self._services.settings.read_only or self._services.ledger_down():
            return
        for uid, debt in self._debts.items():
            hook = debt.pool.spec.reclaim.webhook
            if hook is not None and not debt.paused and uid not in self._calling:
                self._calling[uid] = asyncio.create_task(self._serve(session, debt, hook))

    async def _serve(self, session: aiohttp.ClientSession, debt: Debt, hook: ReclaimHook) -> None:
        """One pool. Whatever trouble it makes, the vendors of the others are called."""
        now = self._services.clock.monotonic()
        due = [one for one in debt.owed if debt.due.get(one, 0.0) <= now][:AT_ONCE]
        calls = (self._tell(session, debt, hook, one) for one in due)
        for order, trouble in zip(due, await asyncio.gather(*calls, return_exceptions=True), strict=True):
            self._stumble(debt, order, trouble)
        if now - debt.counted >= COUNT_SECONDS:
            debt.counted = now
            (trouble,) = await asyncio.gather(self._ask(session, debt, hook), return_exceptions=True)
            self._stumble(debt, None, trouble)

    def _stumble(self, debt: Debt, order: int | None, trouble: BaseException | None) -> None:
        """Say what ended a call; one that told of a return is made again later."""
        if trouble is None:
            return
        if isinstance(trouble, errors.Fenced) or not isinstance(trouble, Exception):
            raise trouble
        said = f"{type(trouble).__name__}: {trouble}"
        name = debt.pool.name
        log.error("a call to the vendor of pool %s: %s", name, said, exc_info=trouble, extra={"pool": name})
        if order is not None:
            self._later(debt, order, f"could not be called: {said}")

    async def _tell(self, session: aiohttp.ClientSession, debt: Debt, hook: ReclaimHook, order: int) -> None:
        returned = debt.owed.get(order)
        if returned is None:
            return
        call = owing.reclaim(debt.pool.name, debt.pool.uid, returned, dry_run=hook.dry_run)
        answer = await self._post(session, hook, call)
        if answer.used is not None:
            debt.theirs = answer.used
        if order not in debt.owed:
            return  # the pool, or its hook, went meanwhile, and that is what was entered of it
        if answer.reply is Reply.AGAIN:
            self._later(debt, order, f"does not answer: {answer.said}")
            return
        debt.silent = False
        outcome = "dry-run" if hook.dry_run and answer.reply is Reply.DONE else str(answer.reply)
        del debt.owed[order]  # so that whoever forgets the pool now enters nothing else of it
        if not await self._enter(debt.pool, returned, outcome):
            debt.owed[order] = returned
            self._later(debt, order, f"answered {outcome}, which could not be entered in the ledger")
            return
        for kept in (debt.owed, debt.tries, debt.due):
            kept.pop(order, None)
        if answer.reply is Reply.REFUSED:
            self._say_refused(debt.pool, returned, answer)

    async def _ask(self, session: aiohttp.ClientSession, debt: Debt, hook: ReclaimHook) -> None:
        """How many seats the vendor counts."""
        at = facts.microseconds(self._services.clock.now())
        answer = await self._post(session, hook, owing.count(debt.pool.name, debt.pool.uid, debt.used, at))
        debt.theirs = answer.used if answer.reply is Reply.DONE else debt.theirs

    async def _post(self, session: aiohttp.ClientSession, hook: ReclaimHook, call: owing.Call) -> Answer:
        self._services.leadership.check()
        token = await asyncio.to_thread(_token, self._services.settings.reclaim_token_file)
        return await reclaim_hook.post(session, hook, call.key, call.body, token=token)

    def _later(self, debt: Debt, order: int, why: str) -> None:
        debt.tries[order] = tries = debt.tries.get(order, 0) + 1
        wait = owing.wait_after(tries).total_seconds()
        debt.due[order] = self._services.clock.monotonic() + wait
        if not debt.silent:
            debt.silent = True
            log.warning(
                "the vendor of pool %s %s; it is told again until it does",
                debt.pool.name,
                why,
                extra={"pool": debt.pool.name},
            )

    async def _enter(self, pool: LicensePool, returned: Returned, outcome: str) -> bool:
        """Whether what came of it is durable; else the same call is made again later."""
        at = facts.microseconds(self._services.clock.now())
        done = Reported(at=at, uid=returned.lease.uid, order=returned.lease.order, outcome=outcome)
        try:
            await self._services.ledger.append(facts.seat(entries.body(done, pool=pool.name, uid=pool.uid), moment(at)))
        except errors.LedgerError:
            return False
        return True

    def _say_refused(self, pool: LicensePool, returned: Returned, answer: Answer) -> None:
        text = (
            f"the vendor refused to take a seat of LicensePool {pool.name} back ({answer.said}); give it back in the "
            "vendor's console, and correct spec.reclaim.webhook"
        )
        about = telling.ours(LicensePool.KIND, pool.name, pool.uid)
        self._services.events.say(Event(regarding=about, reason=EventReason.SEAT_RECLAIMED, note=text, warning=True))
        log.warning("machine %s: %s", returned.lease.uid, text, extra={"pool": pool.name})


def _token(file: str) -> str:
    """What the vendor knows us by; "" where no file was named or it cannot be read."""
    if not file:
        return ""
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as trouble:
        log.warning("the token file of the reclaim hook cannot be read: %s", trouble)
        return ""
