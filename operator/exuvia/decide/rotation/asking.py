"""Questions about one view that several stages ask: what must be looked at, what holds, which settings count."""

from __future__ import annotations

from datetime import datetime, timedelta

from exuvia.decide import drain, optouts
from exuvia.decide.rotation.patching import Patch
from exuvia.model.blocking import Blocked
from exuvia.model.instances import Kind, Reference
from exuvia.model.reasons import BlockedReason, EventReason
from exuvia.model.rotation_views import RotationView
from exuvia.model.specs.common import BlockedStatus
from exuvia.model.specs.operation import FrozenSettings
from exuvia.model.specs.quarantine import Quarantine, QuarantinePhase, ReleaseVerdict
from exuvia.model.specs.rotation import Rotation, RotationPhase
from exuvia.model.specs.security_policy import DrainSettings, RotationSettings, Strategy
from exuvia.model.steps import Look, Note, Step

REQUEST = "Requesting"
MARK = "Marking"
EVICT = "Evicting"
HAND_OVER = "HandingOver"
REMOVE = "Removing"
UNDO = "Undoing"
RESTORE = "Restoring"
GIVE_BACK = "GivingBack"
RETURN = "Returning"
KEEP = "Keeping"
MOMENT = timedelta(seconds=1)
SOON = timedelta(seconds=5)
LATER = timedelta(seconds=30)


def look(view: RotationView, *looks: Look) -> Step | None:
    """The step that asks for what is not fresh yet; None when all of it is. What failed is not asked for again."""
    lacking = frozenset(looks) - view.fresh - frozenset(view.failed)
    return Step(look=lacking) if lacking else None


def unreadable(view: RotationView, *looks: Look) -> Blocked | None:
    """Why nothing may be done: one of these was asked for and could not be read."""
    words = {
        Look.NODE: "its Node",
        Look.PODS: "its pods",
        Look.VOLUMES: "its volumes",
        Look.OTHERS: "other operations",
        Look.MACHINE: "the provider's answer",
    }
    for one in looks:
        if one in view.failed:
            name = view.rotation.spec.instance.name
            message = f"{name}: {words.get(one, str(one))} could not be read: {view.failed[one]}; it is tried again"
            return Blocked(reason=BlockedReason.UNSYNCED, message=message)
    return None


def rotation_settings(view: RotationView) -> RotationSettings:
    """How the machine is replaced: as copied when it started, else the defaults."""
    return frozen(view).rotation or RotationSettings()


def drain_settings(view: RotationView) -> DrainSettings:
    """How its pods leave, likewise."""
    return frozen(view).drain or DrainSettings()


def frozen(view: RotationView) -> FrozenSettings:
    """The frozen settings."""
    return view.rotation.status.settings or FrozenSettings()


def provider_name(view: RotationView) -> str:
    """Who is asked."""
    return view.provider.name or frozen(view).provider


def replaces_first(view: RotationView) -> bool:
    """Whether the replacement comes before the old machine goes."""
    return rotation_settings(view).strategy is Strategy.REPLACE_FIRST


def reference(rotation: Rotation) -> Reference:
    """Which machine is meant."""
    spec = rotation.spec.instance
    return Reference(kind=Kind(spec.kind), name=spec.name, uid=spec.uid, provider_id=spec.provider_id)


def removed(view: RotationView) -> Reference:
    """The same, with the providerID that it has by now, where it had none when the Rotation was made."""
    found = reference(view.rotation)
    if found.provider_id or view.instance is None:
        return found
    return Reference(kind=found.kind, name=found.name, uid=found.uid, provider_id=view.instance.provider_id)


def released(view: RotationView) -> Quarantine | None:
    """The Quarantine of the same machine whose verdict it carries out."""
    return carried_out(view, view.rotation)


def carried_out(view: RotationView, rotation: Rotation) -> Quarantine | None:
    """The Quarantine whose verdict any Rotation of this machine carries out. A bare claim to do so lifts nothing."""
    for one in view.quarantines:
        if one.name == rotation.spec.released_from and one.spec.instance.uid == rotation.spec.instance.uid:
            accepted = one.status.release_accepted
            asked = accepted is not None and accepted.verdict is ReleaseVerdict.ROTATE
            return one if asked or one.status.release_rotation == rotation.name else None
    return None


def quarantines(view: RotationView) -> tuple[Quarantine, ...]:
    """Open Quarantines of the same machine, but the one whose verdict it carries out."""
    uid, carried = view.rotation.spec.instance.uid, released(view)
    return tuple(one for one in view.quarantines if one.open and one.spec.instance.uid == uid and one is not carried)


def quarantined(view: RotationView) -> Quarantine | None:
    """The Quarantine that has the machine: it has started."""
    started = (one for one in quarantines(view) if one.status.phase is not QuarantinePhase.PENDING)
    return min(started, key=lambda one: (one.metadata.creation_timestamp, one.name), default=None)


def gone(view: RotationView) -> bool:
    """Whether the machine is surely not there (as far as the view goes; ask for `Look.NODE` before acting on it)."""
    return view.instance_known and view.instance is None and Look.NODE not in view.failed


def on_own_machine(view: RotationView) -> bool:
    """Whether exuvia itself runs on the machine."""
    return bool(view.own.node_name) and view.own.node_name == view.rotation.spec.instance.name


def hold(view: RotationView, now: datetime) -> Blocked | None:
    """Why no disruptive write may be made now."""
    name = view.rotation.spec.instance.name
    if view.ledger_down:
        message = f"{name}: the ledger cannot be written, so nothing disruptive is done; see `exuvia doctor`"
        return Blocked(reason=BlockedReason.LEDGER_DOWN, message=message)
    if view.hold is not None:
        return view.hold
    if not view.instance_known:
        message = f"{name}: the view of machines cannot be trusted yet"
        return Blocked(reason=BlockedReason.UNSYNCED, message=message)
    waiting = next(iter(quarantines(view)), None)
    if waiting is not None:
        message = f"{name}: Quarantine {waiting.name} of the same machine is open, and comes first"
        return Blocked(reason=BlockedReason.QUARANTINED, message=message)
    if view.instance is None or released(view) is not None:
        return None
    return optouts.node_opt_out(view.instance, now)


def self_pinned(view: RotationView) -> Blocked | None:
    """Whether exuvia cannot leave the machine."""
    if not on_own_machine(view) or not view.own.pinned:
        return None
    message = (
        f"{view.rotation.spec.instance.name} is exuvia's own machine and {view.own.pinned} ties it there; put the "
        "ledger on a volume that can move, or move exuvia by hand"
    )
    return Blocked(reason=BlockedReason.SELF_PINNED, message=message)


def waiting(
    view: RotationView,
    now: datetime,
    blocked: Blocked | None,
    *,
    patch: Patch | None = None,
    recheck: timedelta = SOON,
    event: str = "",
) -> Step:
    """Nothing is done now; the status says why. An Event is written when the reason is a new one. `event`: its text,
    where the message holds changing numbers."""
    patch = patch or Patch(view.rotation, now)
    patch.blocked(blocked)
    notes: tuple[Note, ...] = ()
    former = view.rotation.status.blocked
    if blocked is not None and _news(blocked, former):
        notes = (Note(reason=blocked_event(view), text=event or blocked.message, warning=True),)
    if blocked is not None and blocked.next is not None and blocked.next > now:
        recheck = min(recheck, max(timedelta(seconds=1), blocked.next - now))
    return Step(status=patch.body, blocked=blocked, notes=notes, recheck_after=recheck)


def _news(blocked: Blocked, former: BlockedStatus | None) -> bool:
    """Whether somebody should know of it. That a replacement takes its time is no trouble."""
    if blocked.reason is BlockedReason.WAITING_FOR_REPLACEMENT:
        return False
    return former is None or former.reason != blocked.reason


def blocked_event(view: RotationView) -> EventReason:
    """A drain that is held up says so by a reason of its own."""
    draining = view.rotation.status.phase in (RotationPhase.DRAINING, RotationPhase.DRAINED)
    return EventReason.DRAIN_BLOCKED if draining else EventReason.ROTATION_BLOCKED


def situation(view: RotationView) -> drain.Situation:
    """What the drain of this machine knows beside its pods."""
    status = view.rotation.status.drain
    quarantine = released(view)
    return drain.Situation(
        settings=drain_settings(view),
        tainted_at=status.cordoned_at if status else None,
        unreachable=view.instance is not None and drain.is_unreachable(view.instance),
        deadline=force_at(view),
        own=view.own,
        daemon_sets=view.daemon_sets,
        budgets=view.budgets,
        regardless=frozenset(one.uid for one in quarantine.status.workloads) if quarantine else frozenset(),
    )


def drain_deadline(view: RotationView) -> datetime | None:
    """When the drain's time is over; paused time does not count. None: it has not begun."""
    status = view.rotation.status.drain
    if status is None or status.started_at is None:
        return None
    return status.started_at + drain_settings(view).timeout + timedelta(seconds=status.paused_seconds)


def force_at(view: RotationView) -> datetime | None:
    """The deadline, where it is one that Force keeps."""
    return drain_deadline(view) if str(drain_settings(view).on_timeout) == "Force" else None


def started(view: RotationView) -> tuple[Note, ...]:
    """Said once, with the first thing that a Rotation does."""
    rotation = view.rotation
    if rotation.status.replacement is not None or rotation.status.before is not None:
        return ()
    cause = f"policy {rotation.spec.policy.name}" if rotation.spec.policy else "on request"
    text = f"{rotation.spec.instance.name} is being replaced by Rotation {rotation.name} ({cause})"
    return (Note(reason=EventReason.ROTATION_STARTED, text=text),)
