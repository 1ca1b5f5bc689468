"""Release: a decision is accepted, and carried out. Return gives the machine back; Rotate has it replaced.

A Rotation is only asked for when the evidence was read again just now and is what was sealed, or when a person
accepted in writing that it is destroyed without.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from exuvia.decide import inheritance
from exuvia.decide.quarantine import asking, collecting
from exuvia.decide.quarantine.patching import EXUVIA, Patch, finished, waits
from exuvia.model import marks
from exuvia.model.actions import CreateOperation
from exuvia.model.quarantine_views import QuarantineView
from exuvia.model.reasons import EventReason
from exuvia.model.specs import operation as specs
from exuvia.model.specs.quarantine import Quarantine, Release, ReleaseVerdict
from exuvia.model.specs.rotation import Rotation, RotationPhase, RotationSpec
from exuvia.model.specs.security_policy import OnHoldExpired
from exuvia.model.steps import Look, Note, Step

LAPSED = "Lapsed"
DAY = timedelta(hours=24)


def accept(view: QuarantineView, now: datetime) -> Step | None:
    """Take up the release that stands in the spec. Return at once; Rotate only when the evidence is safe."""
    release = view.quarantine.spec.release
    if release is None or view.quarantine.status.release_accepted is not None or lapsed(view.quarantine):
        return None
    if release.verdict is ReleaseVerdict.ROTATE and not release.destroy_unsealed:
        lacking = _evidence(view, now)
        if lacking is not None or not safe(view):
            return lacking
    return _accepted(view, release, now)


def _evidence(view: QuarantineView, now: datetime) -> Step | None:
    """Reads sealed evidence again, and takes the seal off when it is not sound."""
    if not asking.is_sealed(view.quarantine) or asking.unreadable(view, Look.EVIDENCE):
        return None
    lacking = asking.look(view, Look.EVIDENCE)
    if lacking:
        return lacking
    why = collecting.unsound(view)
    return collecting.unseal(view, why, now) if why else None


def safe(view: QuarantineView) -> bool:
    """Whether the evidence was read in this very round and is what was sealed."""
    return asking.is_sealed(view.quarantine) and Look.EVIDENCE in view.fresh and not collecting.unsound(view)


def _accepted(view: QuarantineView, release: Release, now: datetime) -> Step:
    reason = f": {release.reason}" if release.reason else ""
    patch = Patch(view.quarantine, now).ended(asking.RELEASE).blocked(None)
    patch.set(releaseAccepted=release.wire()).custody(release.by, f"release {release.verdict}{reason}")
    if release.verdict is ReleaseVerdict.ROTATE and release.destroy_unsealed and not asking.is_sealed(view.quarantine):
        patch.custody(release.by, "accepted that the machine is destroyed before its evidence is sealed")
    patch.condition("Released", False, "Accepted", f"{release.verdict}, by {release.by}")
    return Step(name=asking.RELEASE, status=patch.body)


def lapsed(quarantine: Quarantine) -> bool:
    """Whether the release that stands in the spec was tried, and its Rotation did not succeed. A rewritten one counts
    anew."""
    said = next((one for one in quarantine.status.conditions if one.type == "Released"), None)
    if said is None or said.reason != LAPSED:
        return False
    return said.observed_generation >= quarantine.metadata.generation


def expired(view: QuarantineView, now: datetime) -> Step | None:
    """The hold time is over: rotated by itself where its policy says so and still enforces; else an Event a day."""
    quarantine = view.quarantine
    status = quarantine.status
    if status.held_since is None or status.release_accepted is not None or view.instance is None:
        return None
    if now < status.held_since + asking.settings_of(quarantine).hold_time:
        return None
    if status.reminded_at is not None and now < status.reminded_at + DAY:
        return None
    if _rotates_itself(view):
        lacking = _evidence(view, now)
        if lacking is not None:
            return lacking
        if safe(view):
            release = Release(by=EXUVIA, reason="the hold time is over", verdict=ReleaseVerdict.ROTATE)
            return _accepted(view, release, now)
    return _remind(view, now)


def _rotates_itself(view: QuarantineView) -> bool:
    wanted = asking.settings_of(view.quarantine).on_hold_expired is OnHoldExpired.ROTATE
    return wanted and view.policy_enforces and view.quarantine.spec.release is None


def _remind(view: QuarantineView, now: datetime) -> Step:
    name = view.quarantine.name
    text = (
        f"the hold time of {view.quarantine.spec.instance.name} is over; a person must decide: "
        f"exuvia release {name} with verdict Return or Rotate"
    )
    patch = Patch(view.quarantine, now).set(remindedAt=now)
    note = Note(reason=EventReason.QUARANTINE_HOLD_EXPIRING, text=text, warning=True)
    return Step(name=asking.REMIND, status=patch.body, notes=(note,))


def rotate(view: QuarantineView, now: datetime) -> Step | None:
    """Have the Rotation made, and wait for it. When it ends and the machine is there still, the release lapses."""
    if not asking.rotating(view.quarantine) or view.instance is None:
        return None
    rotation = carrier(view)
    if rotation is not None:
        return _ended(view, rotation, now)
    if asking.unreadable(view, Look.OTHERS, Look.NODE) or waits(view.quarantine, asking.ROTATE, now):
        return None
    lacking = asking.look(view, Look.OTHERS, Look.NODE)
    if lacking or rival(view) is not None:
        return lacking
    name = view.quarantine.status.release_rotation
    if name and finished(view.quarantine, asking.ROTATE) and asking.release_rotation(view) is None:
        return _lapse(view, f"Rotation {name} was removed", now)
    accepted = view.quarantine.status.release_accepted
    if accepted is None or not accepted.destroy_unsealed:
        lacking = _evidence(view, now)
        if lacking is not None or not safe(view):
            return lacking
    return _create(view, now)


def carrier(view: QuarantineView) -> Rotation | None:
    """The Rotation that carries out this release; one of the same name that somebody else made does not."""
    found = asking.release_rotation(view)
    return found if found is not None and found.spec.released_from == view.quarantine.name else None


def rival(view: QuarantineView) -> Rotation | None:
    """An open Rotation of the same machine that is not ours and that started: of two the older stays, so ours would end
    at once. One that only waits gives way to ours."""
    if carrier(view) is not None:
        return None
    started = (one for one in view.rotations if one.open and one.status.phase is not RotationPhase.PENDING)
    return next(started, None)


def _ended(view: QuarantineView, rotation: Rotation, now: datetime) -> Step | None:
    if rotation.open or rotation.status.phase is RotationPhase.SUCCEEDED:
        return None
    reason = rotation.status.reason or "no reason given"
    return _lapse(view, f"Rotation {rotation.name} ended {rotation.status.phase} ({reason})", now)


def _create(view: QuarantineView, now: datetime) -> Step:
    quarantine = view.quarantine
    instance = quarantine.spec.instance
    name = quarantine.status.release_rotation or ""
    names = [one.name for one in view.rotations]
    if not name or name in names:
        name = inheritance.operation_name(instance.name, instance.uid, names)
    spec = RotationSpec(
        instance=instance,
        policy=quarantine.spec.policy,
        rule=quarantine.spec.rule,
        severity=quarantine.spec.severity,
        reason=f"released from Quarantine {quarantine.name}"[:1024],
        requested_by=marks.SERVICE_ACCOUNT_USER,
        released_from=quarantine.name,
    )
    action = CreateOperation(kind="Rotation", name=name, body=specs.body(name, spec, marks.FINALIZER))
    patch = Patch(quarantine, now).set(releaseRotation=name).began(asking.ROTATE)
    if name != quarantine.status.release_rotation:  # else it is tried again, and that was said
        patch.custody(EXUVIA, f"Rotation {name} carries out the release")
    return Step(name=asking.ROTATE, status=patch.body, actions=(action,))


def _lapse(view: QuarantineView, why: str, now: datetime) -> Step:
    """The machine stays held. The same release is not tried again by itself; one that was rewritten meanwhile is."""
    quarantine = view.quarantine
    tried, written = quarantine.status.release_accepted, quarantine.spec.release
    rewritten = written is not None and written != tried
    patch = Patch(quarantine, now).set(releaseAccepted=None, releaseRotation=None, remindedAt=now)
    patch.condition("Released", False, "Held" if rewritten else LAPSED, f"the release lapsed: {why}")
    patch.custody(EXUVIA, f"the release lapsed: {why}")
    text = f"the release of {quarantine.spec.instance.name} lapsed: {why}; it stays held; write spec.release anew"
    note = Note(reason=EventReason.ROTATION_FAILED, text=text, warning=True)
    return Step(name=asking.RELEASE, status=patch.body, notes=(note,))
