"""A replacement that was launched for nothing is given back: cordoned, settled, seen empty, removed. Else it is kept,
named as left over, and the pool's next Rotation takes it.

No brake holds it, so nothing here asks for one; its writes are entered as intents all the same.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from exuvia.decide import drain
from exuvia.decide.patching import step_of
from exuvia.decide.rotation import asking, claims, marking
from exuvia.decide.rotation.patching import Patch, began, finished, trouble_of, waits, whole
from exuvia.model import marks
from exuvia.model.actions import RemoveMachine
from exuvia.model.instances import Instance, Reference
from exuvia.model.pods import Pod
from exuvia.model.reasons import EventReason
from exuvia.model.rotation_views import RotationView
from exuvia.model.specs.common import BeforeStatus
from exuvia.model.specs.operation import ReplacementStatus
from exuvia.model.steps import Look, Note, Step

GIVE_UP = timedelta(minutes=10)
SECOND = timedelta(seconds=1)  # what a time of a step may be too early by
_NEVER_CAME = ("", "Unknown", "Failed", "Gone")


def give_back(view: RotationView, now: datetime) -> Step | None:
    """The next step of giving it back; None when there is nothing (more) to give back."""
    replacement = view.rotation.status.replacement
    if replacement is None or replacement.surplus or not (replacement.request_id or replacement.uid):
        return None
    if finished(view.rotation, asking.RETURN) or claims.contested(view) or _quarantines(view, replacement):
        return None
    lacking = asking.look(view, Look.MACHINE)
    if lacking is not None:
        return lacking
    node = _node(view, replacement)
    if node is None:
        return _without_node(view, replacement, now)
    why = _kept_because(view, replacement, node, now)
    return _keep(view, replacement, node, why, now) if why else _return(view, node, now)


def _quarantines(view: RotationView, replacement: ReplacementStatus) -> bool:
    """Whether it belongs to the Quarantine whose verdict is carried out: that one goes on, and keeps it."""
    quarantine = asking.released(view)
    capacity = quarantine.status.capacity if quarantine else None
    theirs = capacity.replacement if capacity else None
    return theirs is not None and (theirs.uid, theirs.request_id) == (replacement.uid, replacement.request_id)


def _node(view: RotationView, replacement: ReplacementStatus) -> Instance | None:
    node = view.capacity.node if view.capacity else None
    if node is not None and (not replacement.uid or node.uid == replacement.uid):
        return node
    return next((one for one in view.candidates if one.uid and one.uid == replacement.uid), None)


def _without_node(view: RotationView, replacement: ReplacementStatus, now: datetime) -> Step | None:
    """It may still come: then it is left over. What never was, or is gone, needs nothing."""
    state = view.capacity.machine_state if view.capacity else ""
    if state in _NEVER_CAME and Look.MACHINE not in view.failed:
        return None
    return _keep(view, replacement, None, "its machine has not joined yet", now)


def _kept_because(view: RotationView, replacement: ReplacementStatus, node: Instance, now: datetime) -> str:
    """Why it is not removed, or ""."""
    if not replacement.request_id:
        return "exuvia did not ask for it"
    if view.ledger_down:
        return "the ledger cannot be written"
    if view.replacement_pods is None or Look.MACHINE in view.failed:
        return "what runs on it is not known"
    if not all(_harmless(pod) for pod in view.replacement_pods):
        return "pods run on it"
    if node.unschedulable and began(view.rotation, asking.GIVE_BACK) is None:
        return "somebody cordoned it"
    since = began(view.rotation, asking.UNDO)
    if since is not None and now >= since + GIVE_UP:
        return "it could not be removed"
    return ""


def _harmless(pod: Pod) -> bool:
    """Whether nothing is lost with it."""
    daemon = pod.owner is not None and pod.owner.kind == "DaemonSet"
    return pod.finished or pod.mirror or pod.owned_by_node or daemon


def _return(view: RotationView, node: Instance, now: datetime) -> Step:
    rotation, target = view.rotation, _reference(node)
    if waits(rotation, asking.GIVE_BACK, now):
        return asking.waiting(view, now, trouble_of(rotation, asking.GIVE_BACK))
    if marking.missing(node, rotation.name) and not finished(rotation, asking.GIVE_BACK):
        patch = Patch(rotation, now).began(asking.GIVE_BACK)
        return Step(name=asking.GIVE_BACK, status=patch.body, actions=(marking.mark(view, target),), disruptive=True)
    cordoned = step_of(rotation.status.steps, asking.GIVE_BACK)
    if cordoned is None or cordoned.finished_at is None:
        return Step(name=asking.GIVE_BACK, status=Patch(rotation, now).ended(asking.GIVE_BACK).body)
    settled = cordoned.finished_at + SECOND + drain.SETTLE
    if now < settled:
        return Step(recheck_after=settled - now)
    if waits(rotation, asking.RETURN, now):
        return asking.waiting(view, now, trouble_of(rotation, asking.RETURN))
    action = RemoveMachine(provider=asking.provider_name(view), pool=asking.frozen(view).pool, instance=target)
    patch = Patch(rotation, now).began(asking.RETURN)
    return Step(name=asking.RETURN, status=patch.body, actions=(action,), disruptive=True)


def _keep(
    view: RotationView, replacement: ReplacementStatus, node: Instance | None, why: str, now: datetime
) -> Step | None:
    """Left over: named, and free for the pool's next Rotation. Marks that were put on it for nothing come off."""
    rotation = view.rotation
    if node is not None and began(rotation, asking.GIVE_BACK) is not None and not _unmarked(view, node, now):
        action = marking.unmark(_reference(node), BeforeStatus())
        return Step(name=asking.KEEP, status=Patch(rotation, now).began(asking.KEEP).body, actions=(action,))
    kept = replacement.model_copy(update={"surplus": True})
    patch = Patch(rotation, now).set(replacement=whole(kept)).ended(asking.KEEP, f"kept: {why}")
    name = replacement.name or replacement.provider_id or replacement.request_id
    text = f"{name} was launched to replace {rotation.spec.instance.name} and is not needed: {why}; it is kept"
    note = Note(reason=EventReason.SURPLUS_INSTANCE, text=f"{text}, and the pool's next Rotation takes it")
    return Step(name=asking.KEEP, status=patch.body, notes=(note,))


def _unmarked(view: RotationView, node: Instance, now: datetime) -> bool:
    """Whether our marks are off it, or it is useless to try again now."""
    return node.taint(marks.ROTATING_TAINT) is None or waits(view.rotation, asking.KEEP, now)


def _reference(node: Instance) -> Reference:
    return Reference(kind=node.kind, name=node.name, uid=node.uid, provider_id=node.provider_id)
