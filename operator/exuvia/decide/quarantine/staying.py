"""What keeps a Quarantine open, whatever happens to its machine or to its own object.

A machine that is gone stays recorded until a person, or the hold time, ends it. A deletion is refused until a release.
"""

from __future__ import annotations

from datetime import datetime

from exuvia.decide import freezing
from exuvia.decide.patching import step_of
from exuvia.decide.quarantine import asking, ending, isolating
from exuvia.decide.quarantine.patching import EXUVIA, Patch, finished
from exuvia.model.quarantine_views import QuarantineView
from exuvia.model.reasons import EndReason, EventReason
from exuvia.model.specs.quarantine import ProtectionStatus
from exuvia.model.steps import Look, Note, Step

_PROTECTED = ("karpenter", "cluster-autoscaler", "cluster-api")


def presence(view: QuarantineView, now: datetime) -> Step | None:
    """Whether the machine is there. Gone, it ends by a release, or after the hold time once its evidence is sealed."""
    quarantine = view.quarantine
    if view.instance is not None:
        return _back(view, now) if quarantine.status.gone_since is not None else None
    if not asking.gone(view):
        return None
    lacking = asking.look(view, Look.NODE)
    if lacking:
        return lacking
    if quarantine.status.gone_since is None:
        return _left(view, now)
    return _over(view, quarantine.status.gone_since, now)


def _left(view: QuarantineView, now: datetime) -> Step:
    name = view.quarantine.spec.instance.name
    message = f"{name} (UID {view.quarantine.spec.instance.uid}) is not there any more"
    patch = Patch(view.quarantine, now).set(goneSince=now)
    patch.condition("InstancePresent", False, "Gone", message).custody(EXUVIA, message)
    return Step(name=asking.PRESENCE, status=patch.body)


def _back(view: QuarantineView, now: datetime) -> Step:
    patch = Patch(view.quarantine, now).set(goneSince=None).condition("InstancePresent", True, "Present")
    return Step(name=asking.PRESENCE, status=patch.custody(EXUVIA, "the machine is there again").body)


def _over(view: QuarantineView, since: datetime, now: datetime) -> Step | None:
    name = view.quarantine.spec.instance.name
    accepted = view.quarantine.status.release_accepted
    if accepted is not None:
        by, how = accepted.by, f"released ({accepted.verdict}) by {accepted.by}"
        return ending.end(view, now, EndReason.RELEASED, f"{name} is gone; {how}", by=by)
    sealed = asking.is_sealed(view.quarantine) and not view.collecting
    if not sealed or now < since + asking.settings_of(view.quarantine).hold_time:
        return None
    return ending.end(view, now, EndReason.INSTANCE_GONE, f"{name} is gone and did not come back")


def refuse_deletion(view: QuarantineView, now: datetime) -> Step | None:
    """Somebody deletes the Quarantine itself: it stays, and says once to whoever looks."""
    quarantine = view.quarantine
    refused = step_of(quarantine.status.steps, asking.REFUSE)
    if not quarantine.deleting or quarantine.spec.release is not None or refused is not None:
        return None
    text = f"the deletion of {quarantine.name} is refused until it is released: exuvia release {quarantine.name}"
    patch = Patch(quarantine, now).ended(asking.REFUSE).custody(EXUVIA, text)
    note = Note(reason=EventReason.QUARANTINE_TAMPERED, text=text, warning=True)
    return Step(name=asking.REFUSE, status=patch.body, notes=(note,))


def open_namespaces(view: QuarantineView, now: datetime) -> Step | None:
    """Take our network policy away where the last pod that it cut off is gone."""
    quarantine = view.quarantine
    if not isolating.active(view) or view.pods is None or not finished(quarantine, asking.FREEZE):
        return None
    if set(quarantine.status.namespaces) <= _needed(view) or asking.unreadable(view, Look.PODS):
        return None
    lacking = asking.look(view, Look.PODS)
    if lacking:
        return lacking
    found = ending.open_network(view, now, keep=frozenset(_needed(view)))
    if found is not None:
        return found if found.look or found.actions else None
    kept = sorted(set(quarantine.status.namespaces) & _needed(view))
    return Step(name=asking.REOPEN, status=Patch(quarantine, now).set(namespaces=kept).ended(asking.REOPEN).body)


def _needed(view: QuarantineView) -> set[str]:
    return {pod.namespace for pod, given in asking.treatments(view) if freezing.cut_off(pod, given)}


def protection(view: QuarantineView, now: datetime) -> Step | None:
    """Whether our marks keep each other controller of machines, that was seen here, from destroying the evidence."""
    if not isolating.active(view) or not isolating.marked(view):
        return None
    found = tuple(_protection(one) for one in sorted(set(view.controllers))[:16])
    if found == view.quarantine.status.protection:
        return None
    patch = Patch(view.quarantine, now).set(protection=[one.wire() for one in found])
    return Step(name=asking.STATE, status=patch.body)


def _protection(controller: str) -> ProtectionStatus:
    heeds = any(one in controller.lower().replace("_", "-") for one in _PROTECTED)
    return ProtectionStatus(controller=controller[:128], state="Protected" if heeds else "Unprotected")
