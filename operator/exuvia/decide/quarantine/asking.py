"""Questions about one view that several stages ask: what must be looked at, which pods there are, what was recorded."""

from __future__ import annotations

from datetime import datetime

from exuvia.decide import freezing, inheritance
from exuvia.decide.freezing import Treatment
from exuvia.decide.inheritance import Inheritance
from exuvia.model.pods import Pod
from exuvia.model.quarantine_views import QuarantineView
from exuvia.model.specs.quarantine import Quarantine, ReleaseVerdict
from exuvia.model.specs.rotation import Rotation
from exuvia.model.specs.security_policy import Isolation, QuarantineSettings, Workloads
from exuvia.model.steps import Look, Step

MARK = "Isolating"
GUARD = "Guarding"
FREEZE = "Freezing"
FREEZE_MORE = "FreezingMore"
GUARD_PODS = "GuardingPods"
PRESERVE = "Preserving"
HAND_OVER = "HandingOver"
COLLECT = "Collecting"
SEALED = "Sealed"
HELD = "Held"
EVICT = "Evicting"
CAPACITY = "Capacity"
REMIND = "HoldExpired"
ROTATE = "Rotating"
RELEASE = "Releasing"
RESTORE = "Restoring"
UNLABEL = "Unlabelling"
LEAVE = "Leaving"
REOPEN = "Reopening"
PRESENCE = "Presence"
REFUSE = "DeletionRefused"
STATE = "Stating"
PASS_ON = "PassingOn"
END = "Released"


def unreadable(view: QuarantineView, *looks: Look) -> bool:
    """Whether one of these was asked for and could not be read: nothing is done on what is not known."""
    return any(look in view.failed for look in looks)


def look(view: QuarantineView, *looks: Look) -> Step | None:
    """The step that asks for what is not fresh yet; None when all of it is."""
    lacking = frozenset(looks) - view.fresh
    return Step(look=lacking) if lacking else None


def settings_of(quarantine: Quarantine) -> QuarantineSettings:
    """How this machine is frozen: as copied when it started, else the defaults."""
    frozen = quarantine.status.settings
    return frozen.quarantine if frozen and frozen.quarantine else QuarantineSettings()


def network_asked(quarantine: Quarantine) -> bool:
    """Whether pods are cut off by network policies."""
    return Isolation.NETWORK_POLICY in settings_of(quarantine).isolation


def workloads_of(quarantine: Quarantine) -> Workloads:
    """What happens to the pods."""
    return settings_of(quarantine).workloads


def is_sealed(quarantine: Quarantine) -> bool:
    """Whether its evidence was sealed, by its own status."""
    return quarantine.status.evidence is not None and bool(quarantine.status.evidence.digest)


def marked_at(quarantine: Quarantine) -> datetime | None:
    """Since when our marks are on the machine."""
    found = next((one for one in quarantine.status.steps if one.name == MARK), None)
    return found.finished_at if found else None


def treatments(view: QuarantineView) -> tuple[tuple[Pod, Treatment], ...]:
    """Every pod of the machine with its treatment: the recorded one, else the one that it deserves now."""
    recorded = recorded_treatments(view)
    workloads, since = workloads_of(view.quarantine), marked_at(view.quarantine)
    return tuple((pod, _given(pod, recorded, workloads, view, since)) for pod in view.pods or ())


def _given(
    pod: Pod, recorded: dict[str, Treatment], workloads: Workloads, view: QuarantineView, since: datetime | None
) -> Treatment:
    if view.own.is_own(pod) or pod.finished:
        return Treatment.LEFT_ALONE
    found = recorded.get(pod.uid)
    return found if found is not None else freezing.treatment(pod, workloads, view.own, since)


def recorded_treatments(view: QuarantineView) -> dict[str, Treatment]:
    """Pod UID -> treatment, as this Quarantine recorded it, or its former (a frozen pod has no owner any more)."""
    former = former_of(view)
    lists = (former.status.workloads if former else (), view.quarantine.status.workloads)
    known = set(Treatment)
    return {one.uid: Treatment(one.treatment) for some in lists for one in some if one.treatment in known}


def former_of(view: QuarantineView) -> Quarantine | None:
    """The Quarantine that this one inherited from, while it is there."""
    name = view.quarantine.spec.inherited_from
    return next((one for one in view.quarantines if name and one.name == name), None)


def proven_former(view: QuarantineView) -> Quarantine | None:
    """The same, only where it has started and its machine is surely this one: a bare claim starts nothing."""
    former = former_of(view)
    if former is None or former.status.started_at is None or view.instance is None:
        return None
    found = inheritance.judge(view.instance, (former,), (view.instance, *view.instances))
    return former if isinstance(found, Inheritance) else None


def returning(quarantine: Quarantine) -> bool:
    """Whether a release with verdict Return was accepted."""
    accepted = quarantine.status.release_accepted
    return accepted is not None and accepted.verdict is ReleaseVerdict.RETURN


def rotating(quarantine: Quarantine) -> bool:
    """Whether a release with verdict Rotate was accepted and did not lapse."""
    accepted = quarantine.status.release_accepted
    return accepted is not None and accepted.verdict is ReleaseVerdict.ROTATE


def release_rotation(view: QuarantineView) -> Rotation | None:
    """The Rotation that carries out the release, where it is known."""
    name = view.quarantine.status.release_rotation
    return next((one for one in view.rotations if name and one.name == name), None)


def never_marked(quarantine: Quarantine) -> bool:
    """Whether it was released before it touched the machine."""
    return quarantine.status.before is None and quarantine.status.release_accepted is not None


def on_own_machine(view: QuarantineView) -> bool:
    """Whether exuvia itself runs on the machine."""
    return bool(view.own.node_name) and view.own.node_name == view.quarantine.spec.instance.name


def gone(view: QuarantineView) -> bool:
    """Whether the machine is surely not there."""
    return view.instance_known and view.instance is None and not unreadable(view, Look.NODE)
