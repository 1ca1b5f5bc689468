"""Saying how things stand in the status of policies and of FleetGuard: on change only, and gathered for a moment, so
that a busy fleet makes no storm of writes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from typing import Any

from exuvia import errors
from exuvia.app import counting, posture, telling
from exuvia.app.fleet import Fleet
from exuvia.app.services import Services
from exuvia.model import facts, resources
from exuvia.model.planning import Moment, Plan
from exuvia.model.problems import Problem
from exuvia.model.reasons import EventReason
from exuvia.model.specs.common import BlockedStatus, Resource
from exuvia.model.specs.security_policy import InstanceCounts, SecurityPolicy
from exuvia.observe.ours import Unparsable
from exuvia.report.conditions import Said, merged
from exuvia.report.events import Event, ObjectReference

log = logging.getLogger(__name__)

GATHER_SECONDS = 0.5
REFRESH_SECONDS = 300.0


class Statuses:
    """Writes statuses in the background."""

    def __init__(self, services: Services, fleet: Fleet) -> None:
        self._services = services
        self._fleet = fleet
        self._dirty = asyncio.Event()
        self._invalid: set[tuple[str, int]] = set()
        self.plan = Plan()
        self.standings: dict[str, counting.Standing] = {}
        self._planned = False

    def planned(self, plan: Plan, moment: Moment) -> None:
        """A pass ended with this plan."""
        del moment
        self.plan = plan
        self._planned = True
        self._dirty.set()

    def policies_changed(self) -> None:
        """Policies were edited: problems are evented once a generation."""
        policies = self._services.policies
        for name, problems in policies.problems.items():
            found = policies.objects.get(name)
            key = (name, found.metadata.generation if found else 0)
            if key not in self._invalid:
                self._invalid.add(key)
                self._say_invalid(name, found.uid if found else policies.unparsable[name].uid, problems)
        self._dirty.set()

    def brakes_changed(self, plan: Plan, before: Iterable[str], engaged: Iterable[str]) -> None:
        """Brakes engaged or let go: an Event and a fact each."""
        by_name = {one.name: one for one in plan.brakes}
        guard, _ = self._fleet.guard()
        for name in sorted(set(before) ^ set(engaged)):
            on = name in set(engaged)
            reason = by_name[name].reason if name in by_name else ""
            self._services.scribe.note(facts.brake(name=name, engaged=on, reason=reason, at=self._services.clock.now()))
            log.info(
                "brake %s %s%s", name, "holds" if on else "lets go", f": {reason}" if on else "", extra={"brake": name}
            )
            if guard is not None:
                said = EventReason.BRAKE_ENGAGED if on else EventReason.BRAKE_RELEASED
                text = f"brake {name} {'holds starts: ' + reason if on else 'lets go'}"
                self._say(telling.ours("FleetGuard", guard.name, guard.uid), said, text, warning=on)

    async def run(self) -> None:
        """Write what changed, for ever."""
        while True:
            try:
                await asyncio.wait_for(self._dirty.wait(), REFRESH_SECONDS)
            except TimeoutError:
                pass
            await asyncio.sleep(GATHER_SECONDS)
            self._dirty.clear()
            if self._planned:
                await self.write()

    async def write(self) -> None:
        """Write every status that is not as it should be."""
        self.standings = counting.standings(self._services, self._fleet, self.plan)
        for policy in self._services.view.policies.store:
            if not isinstance(policy, SecurityPolicy):
                await self._say_unreadable(policy)
            elif self._judged(policy):
                await self._guarded(resources.SECURITY_POLICIES, policy, self._policy_status(policy))
        guard, _ = self._fleet.guard()
        if guard is not None:
            await self._guarded(resources.FLEET_GUARDS, guard, self._guard_status())

    async def _guarded(self, resource: resources.Resource, target: Resource, wanted: dict[str, Any]) -> None:
        try:
            await self._patch(resource, target, wanted)
        except errors.Fenced:
            return
        except (errors.Conflict, errors.NotFound):
            self._dirty.set()
        except errors.ClusterError as trouble:
            log.warning("status of %s %s: %s", target.KIND, target.name, trouble)
            self._dirty.set()

    async def _patch(self, resource: resources.Resource, target: Any, wanted: dict[str, Any]) -> None:
        existing = target.status.wire()
        said = wanted.pop("conditions")
        now = self._services.clock.now()
        generation = target.metadata.generation
        wanted |= {
            "observedGeneration": generation,
            "conditions": merged(existing.get("conditions", ()), said, generation=generation, now=now),
        }
        changed = {key: value for key, value in wanted.items() if _differs(existing.get(key), value)}
        if not changed:
            return
        body = {
            "metadata": {"uid": target.uid, "resourceVersion": target.metadata.resource_version},
            "status": changed,
        }
        answer = await self._services.cluster.merge_patch(resource, target.name, body, subresource="status")
        self._services.view.overlay(resource, answer)

    def _judged(self, policy: SecurityPolicy) -> bool:
        """Whether it is the very generation that was judged: of a later one nothing is said yet."""
        known = self._services.policies.objects.get(policy.name)
        return known is not None and (known.uid, known.metadata.generation) == (policy.uid, policy.metadata.generation)

    async def _say_unreadable(self, policy: Unparsable) -> None:
        """A policy that does not parse says so itself; its status is written whole, for nothing of it can be read."""
        said = self._services.policies.problems.get(policy.name)
        status = policy.body.get("status")
        existing = status.get("conditions") or () if isinstance(status, dict) else ()
        if not said or any(one.get("message") == _invalid(said)[0].message for one in existing):
            return
        written = policy.body.get("metadata")
        generation = int(written.get("generation") or 0) if isinstance(written, dict) else 0
        conditions = merged((), _invalid(said), generation=generation, now=self._services.clock.now())
        meta = {"uid": policy.uid, "resourceVersion": policy.resource_version}
        body = {"metadata": meta, "status": {"conditions": conditions}}
        resource = resources.SECURITY_POLICIES
        try:
            answer = await self._services.cluster.merge_patch(resource, policy.name, body, subresource="status")
            self._services.view.overlay(resource, answer)
        except errors.ClusterError as trouble:
            log.warning("status of policy %s: %s", policy.name, trouble)

    def _policy_status(self, policy: SecurityPolicy) -> dict[str, Any]:
        problems = self._services.policies.problems.get(policy.name)
        if problems:
            return {
                "conditions": _invalid(problems),
                "instances": None,
                "actions": None,
                "blocked": None,
                "rules": None,
            }
        standing = self.standings.get(policy.name) or counting.Standing()
        counts = counting.instances(self._services, policy.name)
        now = self._services.clock.now()
        blocked = _kept_since(policy.status.blocked, counting.grouped(standing.waits, now), now)
        return {
            "conditions": _valid(counts, suspended=policy.spec.suspend),
            "instances": counts.wire(),
            "actions": counting.actions(standing).wire(),
            "blocked": [one.wire() for one in blocked] or None,
            "rules": [one.wire() for one in counting.rules(self._services, policy.name)],
            "disruptionsAllowed": self._allowed(policy.name),
        }

    def _allowed(self, policy: str) -> int | None:
        found = [count for (name, _), count in self.plan.allowed.items() if name == policy]
        return max(0, min(found)) if found else None

    def _guard_status(self) -> dict[str, Any]:
        plan = self.plan
        paused = any(one.name == "pause" and one.state == "Engaged" for one in plan.brakes)
        return {
            "conditions": posture.said(self._fleet.guard()[0], read_only=self._services.settings.read_only),
            "brakes": [one.wire() for one in plan.brakes],
            "storm": plan.storm.wire() if plan.storm else None,
            "haltedPools": [one.wire() for one in plan.halted] or None,
            "paused": paused,
            "disrupted": plan.fleet_disrupted,
            "allowed": max(0, plan.fleet_allowed),
        }

    def _say_invalid(self, name: str, uid: str, problems: Iterable[Problem]) -> None:
        text = f"policy {name} cannot be used: " + "; ".join(str(one) for one in problems)
        log.warning("%s", text[:1000], extra={"policy": name})
        self._say(telling.ours("SecurityPolicy", name, uid), EventReason.POLICY_INVALID, text[:1000], warning=True)

    def _say(self, about: ObjectReference, reason: EventReason, text: str, *, warning: bool) -> None:
        self._services.events.say(Event(regarding=about, reason=reason, note=text, warning=warning))


def _valid(counts: InstanceCounts, *, suspended: bool) -> list[Said]:
    if counts.violating:
        said = "1 machine violates it" if counts.violating == 1 else f"{counts.violating} machines violate it"
        compliant = Said(type="Compliant", status=False, reason="Violations", message=said)
    elif counts.unknown:
        said = f"{counts.unknown} machine{'' if counts.unknown == 1 else 's'} cannot be judged"
        compliant = Said(type="Compliant", status=None, reason="Unknown", message=said)
    else:
        compliant = Said(type="Compliant", status=True, reason="Compliant", message="no machine violates it")
    ready = "Suspended" if suspended else "Evaluated"
    return [
        Said(type="Ready", status=True, reason=ready, message="every selected machine was judged"),
        compliant,
        Said(type="Reconciling", status=False, reason="Judged"),
        Said(type="Stalled", status=False, reason=ready),
    ]


def _invalid(problems: Iterable[Problem]) -> list[Said]:
    some = tuple(problems)
    reason = "NotSupported" if any(one.reason == "NotSupported" for one in some) else "InvalidSpec"
    message = "\n".join(str(one) for one in some)
    return [
        Said(type="Ready", status=False, reason=reason, message=message),
        Said(type="Compliant", status=None, reason=reason, message="the policy is not evaluated"),
        Said(type="Reconciling", status=False, reason=reason),
        Said(type="Stalled", status=True, reason=reason, message=message),
    ]


def _kept_since(former: Iterable[BlockedStatus], now: Iterable[BlockedStatus], moment: Any) -> list[BlockedStatus]:
    """A reason that goes on keeps its `since`."""
    known = {one.reason: one.since for one in former}
    stamp = moment.replace(microsecond=0)
    return [one.model_copy(update={"since": known.get(one.reason) or stamp}) for one in now]


def _differs(existing: object, wanted: object) -> bool:
    if isinstance(existing, Mapping) and isinstance(wanted, Mapping):
        return dict(existing) != dict(wanted)
    if wanted is None:
        return existing not in (None, [], {}, ())
    return existing != wanted
