"""Telling what happened to an operation: Events for people, facts for the ledger, counts for the metrics."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from exuvia.app import journal
from exuvia.app.operations import Operation
from exuvia.app.services import Services
from exuvia.model import facts, resources
from exuvia.model.actions import MarkInstance, MarkSet, Outcome, OutcomeKind
from exuvia.model.evidence import Collected
from exuvia.model.facts import Fact
from exuvia.model.specs.quarantine import Quarantine
from exuvia.model.specs.rotation import Rotation
from exuvia.model.specs.security_policy import Action
from exuvia.model.steps import Note
from exuvia.report.events import Event, ObjectReference

log = logging.getLogger(__name__)


def node(name: str, uid: str) -> ObjectReference:
    """The Node that an Event is about."""
    return ObjectReference(api_version="v1", kind="Node", name=name, uid=uid)


def ours(kind: str, name: str, uid: str) -> ObjectReference:
    """One of our own objects."""
    return ObjectReference(api_version=resources.ROTATIONS.api_version, kind=kind, name=name, uid=uid)


def notes(services: Services, operation: Operation, said: Iterable[Note]) -> None:
    """Events about the machine of an operation, or about the operation where it has none."""
    instance = operation.spec.instance
    machine, own = node(instance.name, instance.uid), ours(operation.KIND, operation.name, operation.uid)
    for one in said:
        services.events.say(
            Event(
                regarding=own if one.of_operation else machine,
                related=None if one.of_operation else own,
                reason=one.reason,
                note=one.text,
                warning=one.warning,
            )
        )


def started(services: Services, operation: Operation) -> Fact:
    """The fact that an operation left Pending."""
    return _fact(services, operation, "started", "")


def ended(services: Services, operation: Operation, at: datetime | None = None) -> None:
    """An operation is over (since `at`, or now): a fact, and the counters that say history."""
    status, over = operation.status, at or services.clock.now()
    fact = _fact(services, operation, "ended", f"{status.phase}/{status.reason}")
    services.scribe.note(replace(fact, at=over))
    seconds = (over - (status.started_at or operation.metadata.creation_timestamp)).total_seconds()
    if isinstance(operation, Rotation):
        services.tallies.add("exuvia_rotations_total", policy_of(operation), str(status.phase))
        services.durations.observe("exuvia_rotation_duration_seconds", seconds, "total")
    else:
        services.durations.observe("exuvia_quarantine_duration_seconds", seconds)


def progress(services: Services, before: Operation, after: Operation) -> None:
    """What one status write brought: another phase and the time the former took, custody, sealed evidence."""
    journal.moved(before, after)
    if isinstance(before, Rotation) and isinstance(after, Rotation) and before.status.phase != after.status.phase:
        _phase(services, before)
    if isinstance(before, Quarantine) and isinstance(after, Quarantine):
        _custody(services, before, after)
        _sealed(services, before, after)


def outcomes(services: Services, operation: Operation, step: str, said: Iterable[Outcome]) -> None:
    """What was done, and how fast a machine was isolated."""
    some = tuple(said)
    journal.acted(operation, step, some)
    for one in some:
        match one.action:
            case MarkInstance(instance=instance, marks=MarkSet.QUARANTINED) if one.kind is OutcomeKind.DONE:
                reacted(services, instance.uid, Action.QUARANTINE)
            case _:
                pass


def reacted(services: Services, uid: str, action: Action) -> None:
    """A fact was answered: the Rotation started, or the machine is isolated."""
    seen = services.reactions.pop(uid, None)
    if seen is not None:
        services.durations.observe("exuvia_reaction_seconds", services.clock.monotonic() - seen, str(action))


def collected(services: Services, quarantine: Quarantine, said: Collected) -> None:
    """Evidence by collector and result."""
    state = "sealed" if said.sealed else "not sealed yet"
    fields = {"operation": quarantine.name, "kind": quarantine.KIND, "action": "collect", "result": state}
    log.info("Quarantine %s: evidence was collected: %s", quarantine.name, state, extra=fields)
    for one in said.items:
        services.tallies.add("exuvia_evidence_captures_total", one.collector, str(one.result))
        services.tallies.add("exuvia_evidence_bytes_total", one.collector, by=float(one.bytes))


def policy_of(operation: Operation) -> str:
    """The name of the policy that wanted it; "" for a manual one."""
    return operation.spec.policy.name if operation.spec.policy else ""


def _phase(services: Services, before: Rotation) -> None:
    step = next((one for one in before.status.steps if one.name == before.status.phase), None)
    if step is not None and step.started_at is not None:
        seconds = (services.clock.now() - step.started_at).total_seconds()
        services.durations.observe("exuvia_rotation_duration_seconds", seconds, str(before.status.phase))


def _custody(services: Services, before: Quarantine, after: Quarantine) -> None:
    known = set(before.status.custody)
    for one in after.status.custody:
        if one not in known:
            services.scribe.note(facts.custody(operation=after.uid, by=one.by, what=one.what, at=one.at))
            log.info("Quarantine %s: %s, by %s", after.name, one.what, one.by, extra={"operation": after.name})


def _sealed(services: Services, before: Quarantine, after: Quarantine) -> None:
    had = before.status.evidence.digest if before.status.evidence else ""
    now = after.status.evidence
    if now is None or not now.digest or now.digest == had:
        return
    services.scribe.note(
        facts.evidence(
            operation=after.uid,
            instance=after.spec.instance.uid,
            digest=now.digest,
            path=now.manifest,
            at=services.clock.now(),
        )
    )


def _fact(services: Services, operation: Operation, event: str, result: str) -> Fact:
    settings = operation.status.settings
    release = operation.status.release_accepted or operation.spec.release if isinstance(operation, Quarantine) else None
    decided = release if event == "ended" else None
    return facts.operation(
        uid=operation.uid,
        kind=operation.KIND,
        name=operation.name,
        event=event,
        instance=operation.spec.instance.uid,
        policy=policy_of(operation),
        rule=operation.spec.rule or "",
        pool=settings.pool if settings else "",
        result=result,
        by=operation.spec.requested_by or "",
        at=services.clock.now(),
        verdict=str(decided.verdict) if decided else "",
        released_by=decided.by if decided else "",
    )
