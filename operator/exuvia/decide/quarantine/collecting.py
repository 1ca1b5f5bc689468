"""Evidence: when it is collected, what the collectors get, and what their answer means.

It waits for nothing but the marks: what cannot be isolated, or may not be now, is still recorded. It is tried again
with back-off for as long as the machine is held.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from exuvia.decide.patching import stamp, step_of
from exuvia.decide.quarantine import asking, handing_over, marking, passing
from exuvia.decide.quarantine.patching import EXUVIA, Patch
from exuvia.model.evidence import Collected, CollectorOrder, CollectorResult, DiskState, EvidenceOrder, ItemResult
from exuvia.model.quarantine_views import Noted, QuarantineView
from exuvia.model.reasons import EventReason
from exuvia.model.specs.quarantine import EvidenceItem, EvidenceStatus, Quarantine, QuarantinePhase
from exuvia.model.specs.security_policy import Collector, CollectorType, Requirement
from exuvia.model.steps import Look, Note, Step

FIRST_RETRY = timedelta(minutes=1)
LAST_RETRY = timedelta(minutes=30)
_ITEMS = 64


def collect(view: QuarantineView, now: datetime) -> Step | None:
    """Start a run of the collectors, unless one is under way, it is sealed, or the next try is later."""
    quarantine = view.quarantine
    evidence = quarantine.status.evidence
    if view.collecting or asking.is_sealed(quarantine) or asking.never_marked(quarantine):
        return None
    if evidence is not None and evidence.next_attempt is not None and now < evidence.next_attempt:
        return None
    if view.instance is None and not asking.gone(view):
        return None
    if asking.gone(view) and Look.NODE not in view.fresh:
        return asking.look(view, Look.NODE)
    patch = Patch(quarantine, now).phase(QuarantinePhase.COLLECTING).began(asking.COLLECT)
    if evidence is None or evidence.started_at is None:
        patch.set(evidence={"startedAt": stamp(now)})
    return Step(name=asking.COLLECT, status=patch.body, collect=True)


def _moment(now: datetime) -> datetime:
    return now.replace(microsecond=0)


def order(view: QuarantineView) -> EvidenceOrder:
    """What the collectors, and the snapshot before the first marks, must know."""
    quarantine = view.quarantine
    settings = asking.settings_of(quarantine).evidence
    draft = handing_over.must_preserve(view)
    wanted = [one for one in settings.collectors if not draft or one.type is CollectorType.API_OBJECTS]
    return EvidenceOrder(
        quarantine=quarantine.name,
        uid=quarantine.uid,
        instance=marking.reference(quarantine.spec.instance),
        collectors=tuple(_ordered(one) for one in wanted),
        seal_incomplete=settings.requirement is Requirement.BEST_EFFORT
        or asking.gone(view)
        or passing.passing_on(view),
        draft_only=draft,
        timeout=settings.timeout,
        isolated_at=asking.marked_at(quarantine),
        about=_about(quarantine),
    )


def _ordered(one: Collector) -> CollectorOrder:
    return CollectorOrder(name=one.name, type=str(one.type), since=one.pod_logs.since if one.pod_logs else None)


def _about(quarantine: Quarantine) -> Mapping[str, str]:
    spec, settings = quarantine.spec, quarantine.status.settings
    known = {
        "policy": spec.policy.name if spec.policy else "",
        "policyUID": spec.policy.uid if spec.policy else "",
        "rule": spec.rule or "",
        "reason": spec.reason or "",
        "requestedBy": spec.requested_by or "",
        "inheritedFrom": spec.inherited_from or "",
        "machineID": settings.machine_id if settings else "",
    }
    return {key: value for key, value in known.items() if value}


def note_evidence(view: QuarantineView, collected: Collected, now: datetime) -> Noted:
    """What a run of the collectors means for the status."""
    if not view.quarantine.open:
        return Noted()
    if not collected.sealed and _drafted(view.quarantine):
        return _preserved(view.quarantine, collected, now)
    return _sealed(view, collected, now) if collected.sealed else _not_sealed(view, collected, now)


def _drafted(quarantine: Quarantine) -> bool:
    """Whether the run that ended was the one before our own pod leaves: the later one of both to begin."""
    steps = quarantine.status.steps
    draft, run = step_of(steps, asking.PRESERVE), step_of(steps, asking.COLLECT)
    if draft is None or draft.finished_at is not None or draft.started_at is None:
        return False
    return run is None or run.started_at is None or run.started_at < draft.started_at


def _preserved(quarantine: Quarantine, collected: Collected, now: datetime) -> Noted:
    said = f"not all of it: {collected.message}" if collected.message else "all of them"
    patch = Patch(quarantine, now).ended(asking.PRESERVE)
    patch.custody(EXUVIA, f"API objects were put on the disk before exuvia leaves this machine; {said}")
    return Noted(status=patch.body)


def _sealed(view: QuarantineView, collected: Collected, now: datetime) -> Noted:
    quarantine = view.quarantine
    missing = f"; without {collected.message}" if collected.message else ""
    patch = Patch(quarantine, now).phase(QuarantinePhase.SEALED)
    patch.set(evidence=_wire(quarantine, collected, attempts=_attempts(quarantine) + 1, next_attempt=None))
    patch.condition("EvidenceSealed", True, "Incomplete" if collected.message else "Sealed", collected.message)
    patch.ended(asking.COLLECT).ended(asking.SEALED)
    patch.custody(EXUVIA, f"evidence sealed in {collected.manifest}, SHA-256 {collected.digest}{missing}")
    text = f"evidence of {quarantine.spec.instance.name} is sealed in {collected.manifest}{missing}"
    notes = (*_captured(quarantine, collected), Note(reason=EventReason.EVIDENCE_SEALED, text=text))
    return Noted(status=patch.body, notes=notes)


def _not_sealed(view: QuarantineView, collected: Collected, now: datetime) -> Noted:
    """Held without a seal: it says what is missing, and tries again."""
    quarantine = view.quarantine
    attempts = _attempts(quarantine) + 1
    wait = min(FIRST_RETRY * 2 ** min(attempts - 1, 10), LAST_RETRY)
    why = collected.message or "the collectors did not end"
    patch = Patch(quarantine, now).phase(QuarantinePhase.HELD)
    if quarantine.status.held_since is None:
        patch.set(heldSince=now)
    patch.set(evidence=_wire(quarantine, collected, attempts=attempts, next_attempt=_moment(now) + wait))
    patch.condition("EvidenceSealed", False, "Missing", why)
    if attempts == 1:
        patch.custody(EXUVIA, f"evidence is not complete: {why}; it is tried again")
    text = f"evidence of {quarantine.spec.instance.name} is not complete: {why}; it is tried again"
    failed = Note(reason=EventReason.EVIDENCE_CAPTURE_FAILED, text=text, warning=True)
    return Noted(status=patch.body, notes=(*_captured(quarantine, collected), failed), recheck_after=wait)


def _captured(quarantine: Quarantine, collected: Collected) -> tuple[Note, ...]:
    """One Event a collector that succeeded now and had not before."""
    evidence = quarantine.status.evidence
    had = {one.collector for one in evidence.items if one.result in _GOOD} if evidence else set()
    new = [one for one in collected.items if one.result in _GOOD and one.collector not in had]
    return tuple(Note(reason=EventReason.EVIDENCE_CAPTURED, text=f"collector {one.collector} is done") for one in new)


_GOOD = (ItemResult.CAPTURED, ItemResult.TRUNCATED)


def _attempts(quarantine: Quarantine) -> int:
    return quarantine.status.evidence.attempts if quarantine.status.evidence else 0


def _wire(
    quarantine: Quarantine, collected: Collected, *, attempts: int, next_attempt: datetime | None
) -> dict[str, Any]:
    """For a merge patch: what is not set is taken away."""
    former = quarantine.status.evidence
    new = EvidenceStatus(
        manifest=collected.manifest if collected.sealed else "",
        digest=collected.digest if collected.sealed else "",
        bytes=collected.bytes,
        items=tuple(_item(one) for one in collected.items[:_ITEMS]),
        attempts=attempts,
        next_attempt=next_attempt,
        started_at=former.started_at if former else None,
    )
    return new.model_dump(mode="json", by_alias=True)


def _item(one: CollectorResult) -> EvidenceItem:
    return EvidenceItem(collector=one.collector, result=str(one.result), digest=one.digest, message=one.message[:1000])


def unsound(view: QuarantineView) -> str:
    """Why sealed evidence cannot be trusted any more, as it was just read; "" while it is what was sealed."""
    evidence, disk = view.quarantine.status.evidence, view.evidence
    if evidence is None or disk is None:
        return "it was not read"
    if disk.state is not DiskState.SOUND:
        problems = "; ".join(disk.problems[:3])
        return f"the evidence on the disk is {disk.state}" + (f": {problems}" if problems else "")
    return "" if disk.digest == evidence.digest else "the manifest on the disk is not the one that was sealed"


def unseal(view: QuarantineView, why: str, now: datetime) -> Step:
    """Evidence that was sealed and is not sound any more is no evidence: it is collected again."""
    patch = Patch(view.quarantine, now)
    patch.set(evidence={"digest": "", "manifest": "", "attempts": 0, "nextAttempt": None})
    patch.condition("EvidenceSealed", False, "Damaged", why)
    patch.custody(EXUVIA, f"{why}; it is collected again")
    text = f"evidence of {view.quarantine.spec.instance.name} is not sound: {why}; it is collected again"
    note = Note(reason=EventReason.EVIDENCE_CAPTURE_FAILED, text=text, warning=True)
    return Step(name=asking.SEALED, status=patch.body, notes=(note,))


def hold(view: QuarantineView, now: datetime) -> Step | None:
    """From Sealed on it is held: a person decides, or the hold time."""
    quarantine = view.quarantine
    if quarantine.status.phase is not QuarantinePhase.SEALED or view.collecting:
        return None
    patch = Patch(quarantine, now).phase(QuarantinePhase.HELD).ended(asking.HELD)
    if quarantine.status.held_since is None:
        patch.set(heldSince=now)
    return Step(name=asking.HELD, status=patch.body)
