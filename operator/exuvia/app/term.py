"""One term of leadership: everything that acts, from winning the lease until it is lost or given back.

The composition root of what acts. A term begins by stamping its epoch on every open operation, takes its past from the
ledger, and then sweeps and advances; at the end it lets nothing run on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from exuvia import errors, ports
from exuvia.act.evidence import Custodian
from exuvia.act.hands import Hands
from exuvia.app import place, uninstalling
from exuvia.app.advance import Advancer
from exuvia.app.anchoring import Anchoring
from exuvia.app.checking import Checking
from exuvia.app.chronicle import Chronicle
from exuvia.app.expressions import Evaluator
from exuvia.app.fencing import FencedCluster
from exuvia.app.findings import Findings
from exuvia.app.fleet import Fleet
from exuvia.app.guarding import Guarding
from exuvia.app.handlers import Handlers
from exuvia.app.history import History
from exuvia.app.judging import Judgements
from exuvia.app.lasting import Lasting
from exuvia.app.leader import Leadership
from exuvia.app.networks import Networks
from exuvia.app.policies import Policies
from exuvia.app.retention import Retention
from exuvia.app.risks import Risks
from exuvia.app.scribe import Scribe
from exuvia.app.seating import Seating
from exuvia.app.services import Services
from exuvia.app.settings import Settings
from exuvia.app.sightings import Sightings
from exuvia.app.stamping import stamp
from exuvia.app.statuses import Statuses
from exuvia.app.sweep import Sweep
from exuvia.app.uninstalling import Uninstalling
from exuvia.decide.planner import Planner
from exuvia.kube import credentials
from exuvia.kube.client import Client
from exuvia.model.quarantine_views import OwnPlace
from exuvia.observe.cluster_view import ClusterView
from exuvia.record import places
from exuvia.record.ledger import Ledger
from exuvia.report.events import Recorder
from exuvia.report.metrics import Durations, Tallies

log = logging.getLogger(__name__)

STUMBLED_SECONDS = 1.0
SYNC_SECONDS = 15.0
Loop = Callable[[], Coroutine[Any, Any, None]]


class Term:
    """Acts from `run` on until leadership ends."""

    def __init__(
        self,
        settings: Settings,
        clock: ports.Clock,
        client: Client,
        leadership: Leadership,
        view: ClusterView,
        durations: Durations,
        providers: Mapping[str, ports.Provider],
    ) -> None:
        ledger = Ledger(places.place(settings.ledger), cluster=settings.cluster_name, epoch=lambda: leadership.epoch)
        cluster = FencedCluster(client, leadership)
        scribe = Scribe(ledger)
        self.services = Services(
            settings=settings,
            clock=clock,
            client=client,
            cluster=cluster,
            leadership=leadership,
            view=view,
            ledger=ledger,
            scribe=scribe,
            chronicle=Chronicle(scribe.note, clock.now),
            events=Recorder(cluster, clock, settings.pod_name or settings.identity),
            tallies=Tallies(),
            durations=durations,
            providers=providers,
            hands=Hands(cluster, providers),
            custodian=Custodian(client, clock, settings.evidence_dir, ledger_head=ledger.head),
            evaluator=Evaluator(clock),
            policies=Policies(read_only=settings.read_only),
            judgements=Judgements(clock.monotonic),
            planner=Planner(),
            own=_own_place(settings),
        )
        self.fleet = Fleet(self.services)
        self.statuses = Statuses(self.services, self.fleet)
        self._advancer = Advancer(self.services, self.fleet)
        self._history = History(self.services, self.fleet)
        self._sweep = Sweep(self.services, self.fleet, self._advancer, self._history, self.statuses)
        self._anchoring = Anchoring(self.services, self._may_anchor)
        self.seating = Seating(self.services)
        self.risks = Risks(self.services)
        self._epoch = leadership.epoch
        ledger.on_commit = self._committed
        self.services.hands.on_eviction = self._evicted
        self.services.tallies.begin("exuvia_ledger_verify_failures_total", (), 0)

    async def run(self) -> None:
        """Until leadership ends, or the task is cancelled. Then everything is ended and what is queued is written."""
        self.services.ledger.start()
        writers = [asyncio.create_task(self._kept(one)) for one in (self.services.scribe.run, self.services.events.run)]
        handlers: Handlers | None = None
        try:
            await self._synced()
            if not self.services.settings.read_only:
                await stamp(self.services)
            await self._history.first()
            self._forget_changes()
            self._sweep.begin()
            await self._find_own_place()
            handlers = Handlers(partial(credentials.of, self.services.client), self._seen)
            handlers.start()
            await self._together()
        finally:
            await self._end(handlers, writers)

    def _may_anchor(self) -> bool:
        return self._history.compared and not uninstalling.leaving(self.fleet)

    async def _find_own_place(self) -> None:
        services = self.services
        services.own = replace(services.own, pinned=await place.pinned(services.client, services.settings))

    async def _together(self) -> None:
        loops: tuple[Loop, ...] = (
            self.statuses.run,
            self._sweep.run,
            Guarding(self.services, self.fleet, self._history).run,
            Uninstalling(self.services, self.fleet).run,
            Retention(self.services, self.statuses).run,
            Checking(self.services).run,
            self._history.run,
            self._anchoring.run,
            Networks(self.services, self._advancer.wake_soon).run,
            self.seating.run,
            self.risks.run,
            self.risks.run_reports,
            Lasting(self.services).run,
            Findings(self.services).run,
            Sightings(self.services).run,
            self.seating.reclaiming.run,
        )
        tasks = [asyncio.create_task(self._kept(one)) for one in loops]
        try:
            await self._until_lost()
            log.info("this replica does not lead any more")
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _kept(self, loop: Loop) -> None:
        """Run it for ever: one that stumbles over what nobody thought of is said, and goes on."""
        while True:
            try:
                await loop()
            except errors.Fenced:
                if self._over():
                    return
            except Exception:
                log.exception("%s stumbled and goes on", getattr(loop, "__qualname__", loop))
            await asyncio.sleep(STUMBLED_SECONDS)

    async def _until_lost(self) -> None:
        while not self._over():  # noqa: ASYNC110  leading ends by time, nobody sets an event
            await asyncio.sleep(0.1)

    def _over(self) -> bool:
        """Leading ends by time; and one that was lost and won again at once is another term, with another epoch."""
        leadership = self.services.leadership
        return not leadership.leads() or leadership.epoch != self._epoch

    async def _synced(self) -> None:
        """Nothing is begun on half a picture of machines and of what is in flight. What else cannot be read (pods, say)
        is waited for a while only: brakes hold every disruption meanwhile, and the status must say so."""
        started, view = self.services.clock.monotonic(), self.services.view
        needed = (view.nodes, view.policies, view.guards, view.rotations, view.quarantines)
        while not all(one.synced for one in view.reflectors):
            self.services.leadership.check()
            patient = self.services.clock.monotonic() - started < SYNC_SECONDS
            if not patient and all(one.synced for one in needed):
                log.warning("begun without all of the cluster: %s", ", ".join(view.view().missing))
                return
            await asyncio.sleep(0.05)

    def _forget_changes(self) -> None:
        """A former term took the changes of the view; for this one everything is new."""
        for one in self.services.view.reflectors:
            one.store.mark_all()

    def _seen(self, kind: str, uid: str, version: str) -> None:
        if kind in self._advancer.lines:
            self._advancer.changed(kind, uid, version)
        else:
            self.services.view.wake.set()

    def _committed(self, facts: Any) -> None:
        for fact in facts:
            self.services.tallies.add("exuvia_ledger_records_total", str(fact.kind))
        self.risks.committed(facts)

    def _evicted(self, code: int) -> None:
        self.services.tallies.add("exuvia_eviction_requests_total", str(code))

    async def _end(self, handlers: Handlers | None, writers: list[asyncio.Task[None]]) -> None:
        """Runners first, then what they left to write while the lease still holds."""
        await self._advancer.stop()
        await self._history.end()
        if handlers is not None:
            await handlers.stop()
        if self.services.leadership.leads():
            await asyncio.gather(self.services.scribe.flush(), self.services.events.flush())
            await self._anchoring.write()
        for one in writers:
            one.cancel()
        await asyncio.gather(*writers, return_exceptions=True)
        await self.services.evaluator.close()
        await asyncio.to_thread(self.services.ledger.close)


def _own_place(settings: Settings) -> OwnPlace:
    return OwnPlace(
        pod_uid=settings.pod_uid,
        node_name=settings.node_name,
        namespace=settings.pod_namespace or settings.namespace,
        pinned=settings.pinned,
    )
