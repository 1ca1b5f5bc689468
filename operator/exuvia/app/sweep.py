"""The sweep: what changed is judged again, the fleet is planned anew, and the plan is carried out.

One pass: gather what changed -> judge it -> tell the planner -> plan -> start what may start -> say how things stand.
It may only open operations and grant starts; everything else is `app.advance`.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections.abc import Iterable
from datetime import datetime, timedelta

from exuvia import errors
from exuvia.app import uninstalling
from exuvia.app.advance import Advancer
from exuvia.app.examining import Examiner
from exuvia.app.fleet import LEASES_RETRY, SETTLED_AGE, Fleet
from exuvia.app.heirs import Heirs
from exuvia.app.history import History
from exuvia.app.learning import PATIENCE_SECONDS
from exuvia.app.lease_lists import LeaseLists
from exuvia.app.operations import under_way
from exuvia.app.services import Services
from exuvia.app.starting import Starter
from exuvia.app.statuses import Statuses
from exuvia.app.waking import Waking
from exuvia.decide.brakes import acting
from exuvia.model.instances import Instance
from exuvia.model.planning import Moment, Plan

log = logging.getLogger(__name__)

GAP_SECONDS = 0.005
CHUNK = 100
LONGEST = timedelta(seconds=30)
PATIENCE = timedelta(seconds=PATIENCE_SECONDS)


class Sweep:
    """The fleet-wide loop of one term."""

    def __init__(
        self,
        services: Services,
        fleet: Fleet,
        advancer: Advancer,
        history: History,
        statuses: Statuses,
    ) -> None:
        self._services = services
        self._fleet = fleet
        self._history = history
        self._statuses = statuses
        self._examiner = Examiner(services, fleet)
        self._starter = Starter(services, fleet, advancer)
        self._waking = Waking(services, advancer)
        self._heirs = Heirs(services, advancer.wake_soon)
        self._ripening: list[tuple[datetime, str]] = []
        self._full_at = 0.0
        self._plan = Plan()
        self._brakes = _engaged_before(fleet)
        self._stale: set[str] = set()
        self._edited = False
        self._plan_lacks_leases = False
        self._leases = LeaseLists(services, fleet)

    def begin(self) -> None:
        """Know the policies before any operation is advanced: none may pass for deleted by being unknown."""
        self._stale |= self._policies()

    async def run(self) -> None:
        """Pass after pass, when something changed or its time has come."""
        try:
            await self._passes()
        finally:
            await self._leases.stop()

    async def _passes(self) -> None:
        while True:
            await self._wait()
            self._services.view.wake.clear()
            started = self._services.clock.monotonic()
            try:
                await self._pass()
            except errors.Fenced:
                return
            except errors.ExuviaError as trouble:
                log.warning("sweep: %s", trouble)
                await asyncio.sleep(1.0)
            except Exception:
                log.exception("sweep")
                await asyncio.sleep(1.0)
            self._services.durations.observe(
                "exuvia_sweep_duration_seconds", self._services.clock.monotonic() - started
            )
            await asyncio.sleep(GAP_SECONDS)

    async def _wait(self) -> None:
        now = self._services.clock.now()
        dues = [one for one in (self._plan.next, self._services.judgements.next_due(), self._ripe_at()) if one]
        longest = timedelta(seconds=LEASES_RETRY) if self._plan_lacks_leases else LONGEST
        until = min((longest, *(one - now for one in dues)))
        seconds = max(until, timedelta(0)).total_seconds()
        try:
            await asyncio.wait_for(self._services.view.wake.wait(), max(0.02, seconds))
        except TimeoutError:
            return

    async def _pass(self) -> None:
        services, now = self._services, self._services.clock.now()
        if not (services.view.nodes.synced and services.view.policies.synced):
            return
        self._stale |= self._policies() | self._nodes(now) | services.judgements.due(now) | self._ripe(now)
        self._stale |= services.learnings.take(services.policies)
        wanted = frozenset(self._stale)
        await self._judge(wanted)
        self._waking.of_changes()
        self._tell_planner(wanted)
        self._stale -= wanted  # what a pass that stumbles leaves is judged by the next
        self._wake_after_an_edit()
        await self._plan_and_start()

    def _policies(self) -> set[str]:
        """After an edit every machine is judged again; all of them now and then, so that nothing stays missed."""
        services = self._services
        touched = bool(services.view.policies.store.take_dirty()) | bool(services.view.policies.store.take_gone())
        monotonic = services.clock.monotonic()
        full = monotonic >= self._full_at
        if full:
            self._full_at = monotonic + services.settings.full_sweep.total_seconds()
        edited = (touched or full) and services.policies.refresh(services.view.policies.store)
        if edited:
            services.view.keep_objects(services.policies.needs_objects)
            services.planner.set_policies(services.policies.facts.values())
            self._statuses.policies_changed()
            self._edited = True
        return {one.uid for one in services.view.nodes.store} if edited or full else set()

    def _wake_after_an_edit(self) -> None:
        """Not before every machine was judged anew: till then nobody knows what is wanted."""
        if self._edited:
            self._edited = False
            self._waking.everything()

    def _nodes(self, now: datetime) -> set[str]:
        """Machines that changed; births and deaths are told on the way."""
        store = self._services.view.nodes.store
        dirty = store.take_dirty()
        gone = store.take_gone()
        for last in gone.values():
            self._examiner.died(last)
        self._heirs.forget(gone)
        found, living = set(), []
        for uid, seen in dirty.items():
            instance = store.get(uid)
            if instance is not None:
                self._examiner.changed(uid, seen)
                self._born(instance, now)
                living.append(instance)
            found.add(uid)
        self._heirs.look(living)
        self._waking.of_machines((*gone.values(), *living))
        return found

    def _born(self, instance: Instance, now: datetime) -> None:
        self._examiner.seen(instance)
        if not self._fleet.ready_once(instance, now):
            heapq.heappush(self._ripening, (instance.born + SETTLED_AGE, instance.uid))

    def _ripe_at(self) -> datetime | None:
        return self._ripening[0][0] if self._ripening else None

    def _ripe(self, now: datetime) -> set[str]:
        """Machines that are old enough by now to count as part of the fleet, or that waited to be judged."""
        found = set()
        while self._ripening and self._ripening[0][0] <= now:
            found.add(heapq.heappop(self._ripening)[1])
        return found

    async def _judge(self, uids: Iterable[str]) -> None:
        """In chunks, so that neither a lease nor a running operation waits for a large fleet."""
        living = [uid for uid in uids if self._fleet.instance(uid) is not None]
        for start in range(0, len(living), CHUNK):
            for uid in await self._examiner.examine(living[start : start + CHUNK]):
                heapq.heappush(self._ripening, (self._services.clock.now() + PATIENCE, uid))
            await asyncio.sleep(0)

    def _tell_planner(self, uids: Iterable[str]) -> None:
        now, planner = self._services.clock.now(), self._services.planner
        for uid in (*uids, *self._waking.take_operated()):
            subject = self._fleet.subject(uid, now)
            if subject is None:
                planner.drop_subject(uid)
            else:
                planner.set_subject(subject)

    async def _plan_and_start(self) -> None:
        plan, moment = self._planned()
        self._plan, self._plan_lacks_leases = plan, bool(moment.leases_problem)
        if plan.needs_leases:
            self._leases.begin()
            await self._start(plan)  # what does not depend on them; all is planned and said anew once they are here
            return
        for uid in plan.blocked:
            self._services.reactions.pop(uid, None)  # it waits for a brake, not for us
        self._say_brakes(plan)
        await (self._say_idle(plan, moment) if moment.read_only else self._start(plan))
        self._statuses.planned(plan, moment)

    async def _start(self, plan: Plan) -> None:
        if (plan.openings or plan.grants) and not uninstalling.leaving(self._fleet):
            await self._starter.carry_out(plan)
        await self._starter.say_waiting(plan.waiting)

    async def _say_idle(self, plan: Plan, moment: Moment) -> None:
        """One that only watches begins nothing, and nothing that was begun goes on: each of them says so."""
        said = acting.only_watching(moment)
        begun = (one for one in under_way(self._services.view) if one.status.started_at is not None)
        idle = {one.uid: said for one in begun if said is not None}
        await self._starter.say_waiting({**plan.waiting, **idle})

    def _planned(self) -> tuple[Plan, Moment]:
        moment = self._fleet.moment()
        return self._services.planner.plan(moment, self._services.clock.now()), moment

    def _say_brakes(self, plan: Plan) -> None:
        """A brake that engaged or let go concerns every open operation."""
        engaged = frozenset(one.name for one in plan.brakes if one.state == "Engaged")
        if engaged != self._brakes:
            self._statuses.brakes_changed(plan, self._brakes, engaged)
            self._brakes = engaged
            self._waking.everything()


def _engaged_before(fleet: Fleet) -> frozenset[str]:
    """The brakes that held when FleetGuard's status was written last: only what differs from that is news."""
    guard, _ = fleet.guard()
    brakes = guard.status.brakes if guard is not None else ()
    return frozenset(one.name for one in brakes if one.state == "Engaged")
