"""Examining machines: births and deaths are told, rules are asked, and what they say anew is recorded and evented."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from exuvia.app import telling
from exuvia.app.expressions import Answers, Subject
from exuvia.app.fleet import Fleet
from exuvia.app.judging import Change, worst
from exuvia.app.services import Services
from exuvia.app.sightings import DELAY
from exuvia.evaluate import judge
from exuvia.evaluate.expressions import instance_seen
from exuvia.evaluate.policies import CompiledPolicy
from exuvia.model import facts
from exuvia.model.facts import DeathReason
from exuvia.model.findings import Assessment, Finding, Result, Verdict
from exuvia.model.instances import Instance
from exuvia.model.reasons import EventReason
from exuvia.model.specs.rotation import RotationPhase
from exuvia.report.events import Event


class Examiner:
    """One machine or a chunk of them at a time."""

    def __init__(self, services: Services, fleet: Fleet) -> None:
        self._services = services
        self._fleet = fleet
        self._seen: dict[str, float] = {}

    def changed(self, uid: str, seen: float) -> None:
        """A machine changed at that monotonic moment: what is found of it now is answered from then on."""
        self._seen[uid] = seen

    def seen(self, instance: Instance) -> None:
        """A machine as it is now; a new one is counted."""
        if self._services.chronicle.seen(instance):
            self._services.tallies.add("exuvia_instance_births_total", str(instance.kind), instance.pool)

    def died(self, last: Instance) -> None:
        """A machine is gone: by our own hand, by a person's, by whose marks say so, or nobody knows."""
        services = self._services
        since, heir = self._missed_since(last.uid), self._heir(last)
        reason, by = self._cause(last, since)
        services.judgements.drop(last.uid)
        services.reactions.pop(last.uid, None)
        self._seen.pop(last.uid, None)
        unscanned = services.learnings.scanner is not None and last.uid not in services.learnings.scanned
        services.learnings.drop(last.uid)
        if services.chronicle.gone(last, reason, by, since, heir, scanned=not unscanned):
            services.tallies.add("exuvia_instance_deaths_total", str(last.kind), last.pool, str(reason))
            lived = (services.clock.now() - last.born).total_seconds()
            services.durations.observe("exuvia_instance_lifetime_seconds", lived)
            if unscanned:
                services.tallies.add("exuvia_instances_unscanned_at_death_total", last.pool)

    def _missed_since(self, uid: str) -> datetime | None:
        """When it was known to be there, of one that a new list missed; None where its end was watched."""
        heard = self._services.view.nodes.lost.pop(uid, None)
        return None if heard is None else heard - DELAY

    def _heir(self, last: Instance) -> datetime | None:
        """When another machine was born that bears its name now."""
        found = self._services.view.nodes.store.named(last.name)
        return found.born if found is not None and found.uid != last.uid else None

    async def examine(self, uids: Sequence[str]) -> list[str]:
        """Ask every rule about these machines and tell what changed. Returns those to be asked about a moment later."""
        services, now = self._services, self._services.clock.now()
        compiled = tuple(services.policies.compiled.values())
        found = (one for one in map(self._fleet.instance, uids) if one is not None)
        learnt = [services.learnings.of(one, services.policies) for one in found]
        late = {one.uid for one in learnt if self._waits(one)}
        machines = [one for one in learnt if one.uid not in late]
        answers = await self._expressions(compiled, machines, now)
        for machine in machines:
            judgement = judge.judge_all(compiled, machine, answers.get(machine.uid, {}), now)
            seen = self._seen.pop(machine.uid, None)
            for change in services.judgements.put(judgement):
                self._changed(machine, change)
                self._note_reaction(machine.uid, change, seen)
        return sorted(late)

    def _waits(self, machine: Instance) -> bool:
        """One that was judged before is judged by what is known, though that be less."""
        services = self._services
        waits = services.learnings.waits(machine, services.clock.monotonic())
        return waits and machine.uid not in services.judgements.by_uid

    async def _expressions(
        self, compiled: Iterable[CompiledPolicy], machines: Iterable[Instance], now: datetime
    ) -> Answers:
        wanted = [one for one in compiled if one.expressions]
        if not wanted:
            return {}
        subjects = [
            Subject(uid=one.uid, object=body, instance=instance_seen(one))
            for one in machines
            if (body := self._services.view.object_of(one.uid)) is not None
        ]
        return await self._services.evaluator.evaluate(wanted, subjects, now)

    def _note_reaction(self, uid: str, change: Change, seen: float | None) -> None:
        """From the fact that made it violate, or from now where time alone did, to our answer."""
        if change.now is not None and change.now.verdict is Verdict.VIOLATING:
            self._services.reactions[uid] = self._services.clock.monotonic() if seen is None else seen

    def _cause(self, last: Instance, since: datetime | None) -> tuple[DeathReason, str]:
        for one in self._services.view.all_rotations():
            ours = one.status.phase in (RotationPhase.TERMINATING, RotationPhase.SUCCEEDED)
            if one.spec.instance.uid == last.uid and ours:
                return DeathReason.EXUVIA, one.uid
        return self._services.chronicle.reason_of(last, since)

    def _changed(self, machine: Instance, change: Change) -> None:
        policy = self._services.policies.facts.get(change.policy)
        policy_uid = policy.uid if policy else ""
        self._services.scribe.note(_fact(machine.uid, change, policy_uid, self._services.clock.now()))
        said = _said(machine, change)
        if said is None or policy is None:
            return
        reason, text = said
        self._services.events.say(
            Event(
                regarding=telling.node(machine.name, machine.uid),
                related=telling.ours("SecurityPolicy", change.policy, policy_uid),
                reason=reason,
                note=text,
                warning=reason is EventReason.VIOLATION_FOUND,
            )
        )


def _fact(uid: str, change: Change, policy_uid: str, at: Any) -> facts.Fact:
    assessment = change.now
    return facts.verdict(
        uid=uid,
        policy=change.policy,
        policy_uid=policy_uid,
        result=str(assessment.verdict) if assessment else "",
        severity=str(worst(assessment)) if assessment else "",
        rules=",".join(one.rule for one in _bad(assessment))[:512] if assessment else "",
        at=at,
    )


def _bad(assessment: Assessment) -> list[Finding]:
    return [one for one in assessment.findings if one.result in (Result.FAIL, Result.ERROR)]


def _said(machine: Instance, change: Change) -> tuple[EventReason, str] | None:
    if change.now is not None and change.now.verdict is Verdict.VIOLATING:
        rules = "; ".join(f"{one.rule}: {one.message}" for one in change.now.failing)
        return EventReason.VIOLATION_FOUND, f"{machine.name} violates policy {change.policy}: {rules}"[:1000]
    healed = change.now is not None and change.now.verdict is Verdict.COMPLIANT
    if change.former is Verdict.VIOLATING and healed:
        return EventReason.COMPLIANCE_RESTORED, f"{machine.name} complies with policy {change.policy} again"
    return None
