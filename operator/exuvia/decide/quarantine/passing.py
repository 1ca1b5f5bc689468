"""The same machine under a new object: the heir is made, and once it bears the marks this one ends."""

from __future__ import annotations

from datetime import datetime

from exuvia.decide import inheritance
from exuvia.decide.inheritance import Inheritance, Suspicion
from exuvia.decide.quarantine import asking, ending, marking
from exuvia.decide.quarantine.patching import EXUVIA, Patch, finished, waits
from exuvia.model.instances import Instance
from exuvia.model.quarantine_views import QuarantineView
from exuvia.model.reasons import EndReason, EventReason
from exuvia.model.specs.quarantine import Quarantine
from exuvia.model.steps import Look, Note, Step

SUSPICIONS = 8  # told of one machine: an autoscaler may launch cloned images all day


def successors(view: QuarantineView) -> tuple[Instance, ...]:
    """Live machines that are this one under a new object, oldest first."""
    own = view.quarantine.spec.instance.uid
    live = (*view.instances, *((view.instance,) if view.instance else ()))
    found = [
        one
        for one in view.instances
        if one.uid != own and isinstance(inheritance.judge(one, (view.quarantine,), live), Inheritance)
    ]
    return tuple(sorted(found, key=lambda one: (one.born, one.name)))


def heirs(view: QuarantineView) -> tuple[Quarantine, ...]:
    """The Quarantines of the machine's new objects, whoever made them."""
    uids = {one.uid for one in successors(view)}
    return tuple(
        one
        for one in view.quarantines
        if one.uid != view.quarantine.uid
        and (one.spec.inherited_from == view.quarantine.name or (one.open and one.spec.instance.uid in uids))
    )


def create_heir(view: QuarantineView, now: datetime) -> Step | None:
    """A new object of this machine without a Quarantine gets one. Recovery: no brake holds it."""
    held = {one.spec.instance.uid for one in heirs(view)}
    newborn = next((one for one in successors(view) if one.uid not in held), None)
    if newborn is None or asking.returning(view.quarantine):
        return None
    if asking.unreadable(view, Look.OTHERS) or waits(view.quarantine, asking.PASS_ON, now):
        return None
    lacking = asking.look(view, Look.OTHERS)
    if lacking:
        return lacking
    action = inheritance.heir(newborn, view.quarantine, [one.name for one in view.quarantines])
    patch = Patch(view.quarantine, now).began(asking.PASS_ON)
    patch.custody(EXUVIA, f"the machine came back as {newborn.name} (UID {newborn.uid}): {action.name} goes on")
    return Step(name=asking.PASS_ON, status=patch.body, actions=(action,))


def suspicious(view: QuarantineView, now: datetime) -> Step | None:
    """A new machine has the machineID of this one, which proves nothing: it is told once, and nothing follows."""
    quarantine = view.quarantine
    began, said = quarantine.status.started_at, {one.what for one in quarantine.status.custody}
    live = (*view.instances, *((view.instance,) if view.instance else ()))
    new = [one for one in view.instances if began is not None and one.born >= began]
    answers = (inheritance.judge(one, (quarantine,), live) for one in sorted(new, key=lambda one: (one.born, one.name)))
    found = [one.message for one in answers if isinstance(one, Suspicion)][:SUSPICIONS]
    message = next((one for one in found if one not in said), None)
    if message is None:
        return None
    note = Note(reason=EventReason.MACHINE_ID_SHARED, text=message, warning=True)
    return Step(name=asking.STATE, status=Patch(quarantine, now).custody(EXUVIA, message).body, notes=(note,))


def passed_on(view: QuarantineView, now: datetime) -> Step | None:
    """Ends once the heir bears the marks and has frozen the pods, and what this one has is sealed."""
    heir = next((one for one in heirs(view) if _holds(view, one)), None)
    if heir is None or view.collecting or not asking.is_sealed(view.quarantine):
        return None
    message = f"{heir.name} holds the machine under its new object {heir.spec.instance.name}"
    return ending.end(view, now, EndReason.PASSED_ON, message)


def passing_on(view: QuarantineView) -> bool:
    """Whether the heir holds the machine already, so that what this one has is to be sealed as it is."""
    return any(_holds(view, one) for one in heirs(view))


def _holds(view: QuarantineView, heir: Quarantine) -> bool:
    instance = next((one for one in view.instances if one.uid == heir.spec.instance.uid), None)
    marked = instance is not None and marking.bears_marks(instance)
    return heir.open and marked and finished(heir, asking.FREEZE)
