"""The replacement: asked for once, watched until it is good. It serves ReplaceFirst and, in Terminating, DrainFirst.

Only a definite failure counts as an attempt, and the key of a request holds the attempt, so that a crash never
launches twice. What the provider does not know of is asked for again with the same key.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from exuvia.decide import drain
from exuvia.decide.patching import step_of
from exuvia.decide.rotation import asking, claims, cordoning, undoing
from exuvia.decide.rotation.patching import Patch, began, trouble_of, waits, whole
from exuvia.model.actions import RequestMachine
from exuvia.model.blocking import Blocked
from exuvia.model.instances import Instance
from exuvia.model.reasons import BlockedReason, EndReason, EventReason
from exuvia.model.rotation_views import RotationView
from exuvia.model.specs.operation import ReplacementStatus
from exuvia.model.specs.rotation import Rotation, RotationPhase
from exuvia.model.steps import Look, Note, Step

ASK_AGAIN = timedelta(seconds=10)
FLEETING = timedelta(seconds=5)
LOST = ("Failed", "Gone")
COMES = ("Launching", "Running")
COMING = "the machine that was asked for has not joined yet"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pursuit:
    """How far the replacement is: a `step` to make first, or `good`, or why it is not (`trouble`), or what holds it up.

    `unknown`: it could not be looked at, so that no time limit counts."""

    step: Step | None = None
    good: bool = False
    trouble: str = ""
    soaking_until: datetime | None = None
    blocked: Blocked | None = None
    unknown: bool = False
    seen: ReplacementStatus | None = None  # what the status does not say of it yet
    fleeting: bool = False  # it was asked for a moment ago: a moment later there is more to say at once


def request_key(rotation: Rotation) -> str:
    """The key by which the provider knows the request that is under way; "" when there is none."""
    replacement = rotation.status.replacement
    return replacement.request_id if replacement else ""


def key_of(rotation: Rotation) -> str:
    """The idempotency key of the next request: the operation and its attempt."""
    return f"{rotation.uid}-{rotation.status.attempts}"


def replacing(view: RotationView, now: datetime) -> Step | None:
    """The phase Replacing: on to Cordoned once the replacement is good."""
    rotation = view.rotation
    if rotation.status.phase is not RotationPhase.REPLACING:
        return None
    hindrance = _unsupported(view) or asking.self_pinned(view)
    if hindrance is not None:
        return asking.waiting(view, now, hindrance, recheck=asking.LATER)
    found = pursue(view, now)
    if found.step is not None:
        return found.step
    if found.good:
        return _good(view, found, now)
    if late(view, now) and over(found):
        return undoing.undo(view, now, EndReason.REPLACEMENT_FAILED, not_good(view, found.trouble))
    if found.fleeting:
        return Step(recheck_after=asking.MOMENT)
    return asking.waiting(view, now, waiting_for(view, found), patch=noticed(view, found, now))


def _good(view: RotationView, found: Pursuit, now: datetime) -> Step:
    """On to Cordoned, and at once to the marks where nothing holds them."""
    patch = noticed(view, found, now).phase(RotationPhase.CORDONED).blocked(None)
    ready = (_ready(view.rotation),)
    if asking.hold(view, now) is None and Look.NODE not in view.failed:
        return asking.look(view, Look.NODE) or cordoning.marking_step(view, patch, ready)
    return Step(name=str(RotationPhase.CORDONED), status=patch.body, notes=ready)


def noticed(view: RotationView, found: Pursuit, now: datetime) -> Patch:
    """What was newly seen of it, for the status."""
    patch = Patch(view.rotation, now)
    if found.seen is not None:
        patch.set(replacement=whole(found.seen))
        request = step_of(view.rotation.status.steps, asking.REQUEST)
        if found.seen.uid and request is not None and request.finished_at is None:
            patch.ended(asking.REQUEST)
    return patch


def over(found: Pursuit) -> bool:
    """Whether a time limit ends it: not while it is good and watched, news of it, or what cannot be looked at."""
    return found.soaking_until is None and not found.unknown and found.seen is None


def _unsupported(view: RotationView) -> Blocked | None:
    """Why no replacement can come first. One that is under way already needs nobody."""
    if view.rotation.status.replacement is not None:
        return None
    name = view.rotation.spec.instance.name
    if view.provider.problem:
        return Blocked(reason=BlockedReason.PROVIDER_UNKNOWN, message=f"{name}: {view.provider.problem}")
    if not view.provider.adds_first:
        message = (
            f"{name}: provider {asking.provider_name(view)} cannot add a machine first; set "
            "`spec.rotation.strategy: DrainFirst` or another `spec.rotation.provider` and make another Rotation"
        )
        return Blocked(reason=BlockedReason.REPLACEMENT_UNSUPPORTED, message=message)
    return None


def pursue(view: RotationView, now: datetime) -> Pursuit:
    """Ask for it where nothing was asked for, and say how far it is."""
    replacement = view.rotation.status.replacement
    if replacement is None:
        return _first(view, now)
    rival = claims.contested(view)
    if rival is not None:
        return Pursuit(step=_give_way(view, rival, now))
    lacking = asking.look(view, Look.MACHINE)
    if lacking is not None:
        return Pursuit(step=lacking)
    trouble = asking.unreadable(view, Look.MACHINE)
    if trouble is not None:
        return Pursuit(trouble=trouble.message, unknown=True)
    return _again(view, replacement, now) or watch(view, replacement, now)


def _first(view: RotationView, now: datetime) -> Pursuit:
    """The released Quarantine's replacement, one that was left over, or a new one."""
    inherited = _inherited(view) or claims.surplus(view)
    moment = now.replace(microsecond=0)
    if inherited is not None:
        taken = inherited.model_copy(update={"requested_at": moment, "surplus": None})
        patch = Patch(view.rotation, now).blocked(None).set(replacement=whole(taken))
        return Pursuit(step=Step(name=asking.REQUEST, status=patch.body, notes=asking.started(view)))
    return _ask(view, ReplacementStatus(requested_at=moment), now)


def _ask(view: RotationView, replacement: ReplacementStatus, now: datetime) -> Pursuit:
    held = asking.hold(view, now)
    if held is not None:
        return Pursuit(trouble=held.message, blocked=held)
    return Pursuit(step=_request(view, replacement, now))


def _inherited(view: RotationView) -> ReplacementStatus | None:
    quarantine = asking.released(view)
    capacity = quarantine.status.capacity if quarantine else None
    replacement = capacity.replacement if capacity else None
    return replacement if replacement and (replacement.request_id or replacement.uid) else None


def _request(view: RotationView, replacement: ReplacementStatus, now: datetime) -> Step:
    rotation = view.rotation
    key = replacement.request_id or key_of(rotation)
    new = replacement.model_copy(update={"request_id": key})
    patch = Patch(rotation, now).began(asking.REQUEST).set(replacement=whole(new))
    patch.blocked(_waits(view, COMING))
    action = RequestMachine(
        provider=asking.provider_name(view),
        pool=asking.frozen(view).pool,
        key=key,
        like=asking.reference(rotation),
    )
    return Step(name=asking.REQUEST, status=patch.body, actions=(action,), disruptive=True, notes=asking.started(view))


def _give_way(view: RotationView, rival: Rotation, now: datetime) -> Step:
    """The older one keeps the machine; this one looks for another."""
    message = f"Rotation {rival.name} is older and has the same replacement; another one is looked for"
    patch = Patch(view.rotation, now).set(replacement=None).ended(asking.REQUEST, message)
    return Step(name=asking.REQUEST, status=patch.body)


def _again(view: RotationView, replacement: ReplacementStatus, now: datetime) -> Pursuit | None:
    """A request that never got there, or that failed for good, is made (anew). None: it is under way."""
    rotation, facts = view.rotation, view.capacity
    state = facts.machine_state if facts else ""
    if replacement.request_id and state in LOST:
        return Pursuit(step=_lost(view, replacement, facts.message if facts else "", now))
    if replacement.uid or (replacement.request_id and state in COMES) or _problem(view):
        return None
    asked = began(rotation, asking.REQUEST)
    if asked is not None and (now < asked + ASK_AGAIN or waits(rotation, asking.REQUEST, now)):
        return None
    return _ask(view, replacement, now)


def _problem(view: RotationView) -> bool:
    return bool(view.provider.problem) or not view.provider.brings_replacement


def _lost(view: RotationView, replacement: ReplacementStatus, message: str, now: datetime) -> Step:
    """Definite: it will not come. The next request is a new attempt; the time limit goes on."""
    rotation = view.rotation
    patch = Patch(rotation, now).failed(asking.REQUEST, "", f"the machine did not come: {message or 'it is gone'}")
    patch.set(attempts=rotation.status.attempts + 1, replacement=whole(emptied(replacement)))
    return Step(name=asking.REQUEST, status=patch.body)


def emptied(replacement: ReplacementStatus) -> ReplacementStatus:
    """Nothing is under way any more; since when one is waited for stays."""
    return ReplacementStatus(requested_at=replacement.requested_at)


def watch(view: RotationView, replacement: ReplacementStatus, now: datetime) -> Pursuit:
    """How far a machine is that is there, or is to come."""
    node = node_of(view, replacement)
    trouble = _lacks(view, replacement, node)
    seen = _seen(view, replacement, node)
    if trouble:
        seen = seen.model_copy(update={"good_since": None})
    elif seen.good_since is None:
        seen = seen.model_copy(update={"good_since": drain.whole_second(now)})
    news = seen if seen != replacement else None
    if trouble or seen.good_since is None:
        return Pursuit(trouble=trouble, seen=news, fleeting=_fleeting(replacement, node, now))
    until = seen.good_since + asking.rotation_settings(view).soak_time
    if now < until:
        return Pursuit(trouble=f"{seen.name} is ready and is watched for a while", soaking_until=until, seen=news)
    return Pursuit(good=True, seen=news)


def _fleeting(replacement: ReplacementStatus, node: Instance | None, now: datetime) -> bool:
    """Whether it was asked for a moment ago and has not joined: what is seen of it now is overtaken soon, and the key
    of the request finds it again after any crash. A Node that joined is named at once, so that nobody counts it among
    the machines that were there before."""
    if replacement.uid or not replacement.request_id or replacement.good_since is not None:
        return False
    asked = replacement.requested_at
    return node is None and asked is not None and now < asked + FLEETING


def node_of(view: RotationView, replacement: ReplacementStatus) -> Instance | None:
    """The replacement's Node, where there is one."""
    node = view.capacity.node if view.capacity else None
    if node is not None and (not replacement.uid or node.uid == replacement.uid):
        return node
    return next((one for one in view.candidates if one.uid and one.uid == replacement.uid), None)


def _lacks(view: RotationView, replacement: ReplacementStatus, node: Instance | None) -> str:
    """What the replacement lacks to be good, or ""."""
    old, pool = view.rotation.spec.instance, asking.frozen(view).pool
    if node is None or node.uid == old.uid:
        return _coming(view, replacement)
    if node.deleting or not node.ready:
        return f"{node.name} is not ready"
    if node.unschedulable:
        return f"{node.name} is cordoned"
    if node.pool != pool:
        return f"{node.name} is of pool {node.pool or '(none)'}, not of {pool or '(none)'}"
    failing = _failing(view, node)
    return f"{node.name} fails {failing}" if failing else ""


def _failing(view: RotationView, node: Instance) -> str:
    told = view.capacity.failing if view.capacity and view.capacity.node and view.capacity.node.uid == node.uid else ""
    return told or view.failing.get(node.uid, "")


def _coming(view: RotationView, replacement: ReplacementStatus) -> str:
    blocked = trouble_of(view.rotation, asking.REQUEST)
    if blocked is not None:
        return blocked.message
    facts = view.capacity
    if facts is not None and facts.machine_state in COMES:
        return COMING
    return f"{replacement.name} is not there" if replacement.name else "no new machine has joined yet"


def _seen(view: RotationView, replacement: ReplacementStatus, node: Instance | None) -> ReplacementStatus:
    told = view.capacity.provider_id if view.capacity and not replacement.uid else ""
    if node is None or node.uid == view.rotation.spec.instance.uid:
        return replacement.model_copy(update={"provider_id": told or replacement.provider_id})
    provider_id = node.provider_id or told or replacement.provider_id
    return replacement.model_copy(update={"name": node.name, "uid": node.uid, "provider_id": provider_id})


def late(view: RotationView, now: datetime) -> bool:
    """Whether it was waited for long enough."""
    replacement = view.rotation.status.replacement
    asked = replacement.requested_at if replacement else None
    return asked is not None and now >= asked + asking.rotation_settings(view).replacement_timeout


def waiting_for(view: RotationView, found: Pursuit) -> Blocked:
    """Why nothing happens while it comes."""
    if found.blocked is not None:
        return found.blocked
    retry = trouble_of(view.rotation, asking.REQUEST)
    return _waits(view, found.trouble, found.soaking_until or (retry.next if retry else None))


def _waits(view: RotationView, trouble: str, next_try: datetime | None = None) -> Blocked:
    message = f"{view.rotation.spec.instance.name} waits for its replacement: {trouble}"
    return Blocked(reason=BlockedReason.WAITING_FOR_REPLACEMENT, message=message, next=next_try)


def not_good(view: RotationView, trouble: str) -> str:
    """For the end: what was wrong with it, and what that means."""
    name, replacement = view.rotation.spec.instance.name, view.rotation.status.replacement
    node = node_of(view, replacement) if replacement else None
    if node is not None and node.ready and _failing(view, node):
        return f"{name}: the pool brings back what exuvia removes: {trouble}; mend the pool's image or template"
    return f"{name}: no good replacement came in time: {trouble}"


def _ready(rotation: Rotation) -> Note:
    replacement = rotation.status.replacement
    name = replacement.name if replacement else "?"
    text = f"{name} is ready to take over from {rotation.spec.instance.name}; that one is drained next"
    return Note(reason=EventReason.REPLACEMENT_READY, text=text)
