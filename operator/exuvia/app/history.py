"""A new term takes up the past: first whether every entry that is named outside is still in the ledger (operations.md,
Ledger), then what the ledger holds of it, and then what a former leader did not live to tell."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

from exuvia import errors
from exuvia.app import anchoring, catching_up, operations, recollection, telling, uninstalling, winning
from exuvia.app.catching_up import Meanwhile
from exuvia.app.fleet import Fleet
from exuvia.app.inheriting import Inherited, Named
from exuvia.app.operations import Operation
from exuvia.app.past import Past, begin_counters, read
from exuvia.app.scribe import Late
from exuvia.app.services import Services
from exuvia.decide.quarantine import asking
from exuvia.model import facts
from exuvia.model.facts import Fact, LedgerState
from exuvia.model.specs.quarantine import Quarantine
from exuvia.model.specs.rotation import Rotation, RotationPhase
from exuvia.record import places

log = logging.getLogger(__name__)

PATIENCE = timedelta(seconds=8)
LOOK_SECONDS = 0.5


class History:
    """Loads the past as soon as the ledger can be read, and again when entries were lost."""

    def __init__(self, services: Services, fleet: Fleet) -> None:
        self._services = services
        self._fleet = fleet
        self.loaded = False
        self.guard_seen = False
        self._wanted = True
        self._all_named = False
        self._losses = 0
        self._unread = ""
        self._inherited = Inherited(services)
        services.scribe.overflowed = self.again

    @property
    def compared(self) -> bool:
        """Whether the ledger was found to hold what is known of it outside."""
        return self.loaded and not self._wanted

    def again(self) -> None:
        """Facts were lost: compare everything once more, and tell nothing of machines until then."""
        self._wanted = True
        self._services.chronicle.loaded = False

    async def run(self) -> None:
        """Load, or wait until the ledger is mended; and again after it was not to be trusted."""
        former = LedgerState.FINE
        while True:
            health = self._services.ledger.health()
            state = health.state
            self._inherited.tell(health, uninstalled=uninstalling.through(self._services, self._fleet))
            if self._wanted:
                await self._try()
            elif state is LedgerState.NOT_TRUSTED or health.losses != self._losses:
                self.again()  # a loss may be accepted sooner than anybody looks
            if state is not former:
                former = state
                self._services.view.wake.set()  # what waits for it is planned anew
            await asyncio.sleep(LOOK_SECONDS)

    async def first(self) -> None:
        """Give the ledger a moment to open: a term that begins with its past writes nothing twice."""
        started = self._services.clock.monotonic()
        while not self.loaded and self._services.clock.monotonic() - started < PATIENCE.total_seconds():
            await self._try()
            if self._services.ledger.health().state is LedgerState.NOT_TRUSTED:
                return
            await asyncio.sleep(0.05)

    async def end(self) -> None:
        """With the term, however far it came."""
        await self._inherited.end()

    async def _try(self) -> None:
        health = self._services.ledger.health()
        state, self._losses = health.state, health.losses
        if not self._view_synced():
            return
        if state is LedgerState.NOT_TRUSTED and not self._all_named:
            await self._missing()  # known before a person accepts, not one by one afterwards
        if state is not LedgerState.FINE:
            return
        self._all_named = False
        seen = operations.everything(self._services.view)  # what is won from now on is told by who wins it
        if not await self._trusted() or not await self._services.scribe.flush():
            return
        try:
            meanwhile = await catching_up.ask(self._services)
            past = await self._read(seen, meanwhile)
        except (errors.ClusterError, errors.LedgerError) as trouble:
            self._say_unread(str(trouble))
            return
        self._say_unread("")
        self._wanted = False
        self._take(past, meanwhile, seen)
        self._look_anew()
        self.loaded = self._services.past_known = True

    async def _read(self, seen: Iterable[Operation], meanwhile: Meanwhile) -> Past:
        services = self._services
        return await asyncio.to_thread(
            read,
            places.place(services.settings.ledger),
            services.clock.now(),
            services.leadership.epoch,
            services.settings.cluster_name,
            frozenset(one.uid for one in seen if isinstance(one, Quarantine)),
            meanwhile,
        )

    def _say_unread(self, said: str) -> None:
        """Why the past could not be read, though the ledger is open; logged on change. It is tried again."""
        if said and said != self._unread:
            log.warning("the ledger's history cannot be read: %s", said)
        self._unread = said

    def _look_anew(self) -> None:
        """Machines and pods that were seen while the past was not known are told now."""
        self._services.view.nodes.store.mark_all()
        self._services.view.pods.store.mark_all()

    def _view_synced(self) -> bool:
        return all(one.synced for one in self._services.view.reflectors)

    async def _trusted(self) -> bool:
        """Every entry that is named outside must be there; else a backup was restored, a tail cut, or an empty ledger
        stands in place of a lost one."""
        missing = await self._missing()
        fine = self._services.ledger.health().state is LedgerState.FINE
        return fine and missing == [] and not self._services.past_trouble

    async def _missing(self) -> list[Named] | None:
        """What is missing of all that is named outside. It is told to the ledger at once, so that one acceptance is
        about all of it. None: it cannot be asked now."""
        missing, named = [], await self._named()
        for one in named:
            found = await asyncio.to_thread(self._services.ledger.holds, one.seq, one.hash)
            if found is None:
                return None
            if found is False:
                missing.append(one)
        await asyncio.to_thread(self._distrust, missing)
        self._inherited.looked_for(one.name for one in named)
        self._all_named = bool(missing) and not self._services.past_trouble
        return missing

    def _distrust(self, missing: Iterable[Named]) -> None:
        for one in missing:
            self._services.ledger.distrust(one.seq, one.hash, named_by=one.by)

    async def _named(self) -> list[Named]:
        """Entries that open operations name, those that the last leader missed, and the heads noted outside."""
        entries = [(one, one.status.ledger) for one in operations.under_way(self._services.view)]
        named = [Named(seq=at.seq, hash=at.hash, by=f"{one.KIND} {one.name}") for one, at in entries if at is not None]
        try:
            named += await self._inherited.read()
            noted = await anchoring.ours(self._services.cluster, self._services.settings)
        except errors.ExuviaError as trouble:
            self._doubt(f"what is noted of it outside is not known: {trouble}")
            return named
        self._doubt("")
        return named + [Named(seq=one.seq, hash=one.hash, by=one.place) for one in noted]

    def _doubt(self, said: str) -> None:
        """Why the past is not known; logged on change."""
        if said and said != self._services.past_trouble:
            log.warning("the ledger: %s", said)
        self._services.past_trouble = said

    def _take(self, past: Past, meanwhile: Meanwhile, seen: Sequence[Operation]) -> None:
        services = self._services
        services.chronicle.load(past.alive, past.placed, past.ready_once, past.borne, past.known, past.freed)
        services.chronicle.accepted = past.accepted
        services.judgements.remember(past.verdicts)
        self._fleet.remember_starts(past.starts)
        self.guard_seen = past.guard_seen
        begin_counters(services, past.counts)
        services.recollection.remember(map(recollection.rotation, past.called_off), services.clock.now())
        services.recollection.remember(map(recollection.quarantine, past.released), services.clock.now())
        self._finish(past.unfinished)
        self._tell_late(past, seen)
        self._tell_untold(past, seen)
        catching_up.tell(services, meanwhile, past.known, self._removed())

    def _finish(self, unfinished: list[tuple[int, str]]) -> None:
        """A former leader ended in the middle of these: every intent gets its outcome."""
        said = "the leader ended before it told; what it did is found in the cluster"
        for seq, operation in unfinished:
            self._services.scribe.note(self._outcome(operation, seq, "interrupted", said))

    def _tell_late(self, past: Past, seen: Iterable[Operation]) -> None:
        """What Quarantines did while the ledger was down, where their leader ended before it was mended. `seen`:
        operations as they were before the ledger was read."""
        for one in seen:
            if not isinstance(one, Quarantine) or one.status.started_at is None:
                continue
            if one.uid not in past.started:
                self._intent_late(one, "Start", one.status.started_at)
                start = replace(telling.started(self._services, one), at=one.status.started_at)
                self._services.scribe.note(winning.late(start))
            for step, at in untold(one, past):
                self._intent_late(one, step, at)

    def _intent_late(self, one: Quarantine, step: str, at: datetime) -> None:
        late = Late(winning.late(winning.intent(one, step, one.status.epoch or 0, at)))
        self._services.scribe.note(late)
        self._services.scribe.settle(late, partial(self._outcome, one.uid, result="done", said="entered late"))

    def _tell_untold(self, past: Past, seen: Iterable[Operation]) -> None:
        """Starts of Rotations and ends that a former leader won and did not live to tell."""
        for one in seen:
            begun, over = one.status.started_at, one.status.finished_at
            if isinstance(one, Rotation) and begun is not None and one.uid not in past.started:
                self._services.scribe.note(winning.late(replace(telling.started(self._services, one), at=begun)))
            if not one.open and over is not None and one.uid not in past.ended:
                telling.ended(self._services, one, at=over)

    def _removed(self) -> dict[str, str]:
        """UID of a machine -> the Rotation that removed it, or was about to."""
        phases = (RotationPhase.TERMINATING, RotationPhase.SUCCEEDED)
        rotations = self._services.view.all_rotations()
        return {one.spec.instance.uid: one.uid for one in rotations if one.status.phase in phases}

    def _outcome(self, operation: str, seq: int, result: str, said: str) -> Fact:
        now = self._services.clock.now()
        return facts.outcome(operation=operation, intent=seq, result=result, message=said, at=now)


def untold(one: Quarantine, past: Past) -> Iterator[tuple[str, datetime]]:
    """Steps that wrote to the machine or its pods and have no intent, with the moment at which each began. What an heir
    does is recovery under a brake, and then has none."""
    if one.spec.inherited_from and one.uid in past.started:
        return
    wrote = {asking.MARK, asking.EVICT, asking.LEAVE, asking.HAND_OVER}
    if one.status.workloads:
        wrote.add(asking.FREEZE)
    for step in one.status.steps:
        if step.name in wrote and step.started_at is not None and (one.uid, step.name) not in past.steps:
            yield step.name, step.started_at
