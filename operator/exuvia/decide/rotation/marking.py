"""Our marks on the machine: which are missing, what stood there before, and what is needed to put it back."""

from __future__ import annotations

from exuvia.decide.rotation import asking
from exuvia.model import marks
from exuvia.model.actions import Before, MarkInstance, MarkSet, RestoreInstance
from exuvia.model.instances import Instance, Reference
from exuvia.model.reasons import EndReason
from exuvia.model.rotation_views import RotationView
from exuvia.model.specs.common import BeforeStatus

LABELS = (marks.STATE_LABEL, marks.EXCLUDE_LOAD_BALANCERS_LABEL)
SHARED_LABELS = (marks.EXCLUDE_LOAD_BALANCERS_LABEL,)
ANNOTATIONS = (marks.OPERATION_ANNOTATION,)


def missing(instance: Instance, name: str) -> list[str]:
    """What of our marks is not on the machine, in words. `name`: of the operation."""
    found = [] if instance.unschedulable else ["unschedulable"]
    taint = instance.taint(marks.ROTATING_TAINT)
    if taint is None or taint.effect != marks.TAINT_EFFECT:
        found.append(f"taint {marks.ROTATING_TAINT}")
    if instance.labels.get(marks.STATE_LABEL) != marks.STATE_ROTATING:
        found.append(f"label {marks.STATE_LABEL}")
    if marks.EXCLUDE_LOAD_BALANCERS_LABEL not in instance.labels:
        found.append(f"label {marks.EXCLUDE_LOAD_BALANCERS_LABEL}")
    if instance.annotations.get(marks.OPERATION_ANNOTATION) != name:
        found.append(f"annotation {marks.OPERATION_ANNOTATION}")
    return found


def any_on(instance: Instance, name: str) -> bool:
    """Whether any mark is on the machine that only we set. Where none is, a cordon is somebody else's."""
    return (
        instance.taint(marks.ROTATING_TAINT) is not None
        or instance.labels.get(marks.STATE_LABEL) == marks.STATE_ROTATING
        or instance.annotations.get(marks.OPERATION_ANNOTATION) == name
    )


def before_for(view: RotationView, instance: Instance) -> BeforeStatus:
    """What stood there before any mark of ours: what the released Quarantine recorded, or an earlier Rotation that left
    its marks standing, else what stands there now."""
    quarantine = asking.released(view)
    if quarantine is not None and quarantine.status.before is not None:
        return quarantine.status.before
    left = _left_standing(view) if instance.taint(marks.ROTATING_TAINT) else None
    return left or before_of(instance)


def before_of(instance: Instance) -> BeforeStatus:
    """What stands there now where our marks go. Absent keys are not in it; marks that only exuvia sets never are."""
    return BeforeStatus(
        unschedulable=instance.unschedulable,
        labels={key: instance.labels[key] for key in SHARED_LABELS if key in instance.labels},
    )


def _left_standing(view: RotationView) -> BeforeStatus | None:
    """What the last Rotation of this machine recorded that ended with its marks on (`onFailure: Hold`)."""
    uid = view.rotation.spec.instance.uid
    ended = [
        one
        for one in view.rotations
        if one.spec.instance.uid == uid
        and not one.open
        and not one.status.restored
        and one.status.reason != EndReason.SUPERSEDED_BY_QUARANTINE
        and one.status.before is not None
    ]
    last = max(ended, key=lambda one: (one.metadata.creation_timestamp, one.name), default=None)
    return last.status.before if last else None


def wire_before(before: BeforeStatus) -> dict[str, object]:
    """For a merge patch: absent keys are left out, because null would mean to remove them."""
    return {
        "unschedulable": before.unschedulable,
        "labels": {key: value for key, value in before.labels.items() if value is not None},
        "annotations": {key: value for key, value in before.annotations.items() if value is not None},
        "taints": list(before.taints),
    }


def mark(view: RotationView, instance: Reference | None = None) -> MarkInstance:
    """Put all marks on, in one patch: on the machine, or on another one (a replacement that is given back)."""
    target = instance or asking.reference(view.rotation)
    return MarkInstance(instance=target, marks=MarkSet.ROTATING, operation=view.rotation.name)


def restore(view: RotationView) -> RestoreInstance:
    """Take our marks off and put back what was there: a key that was not recorded was absent."""
    before = view.rotation.status.before or BeforeStatus()
    return unmark(asking.reference(view.rotation), before)


def unmark(instance: Reference, before: BeforeStatus) -> RestoreInstance:
    """The same for any machine."""
    return RestoreInstance(
        instance=instance,
        marks=MarkSet.ROTATING,
        before=Before(
            unschedulable=before.unschedulable,
            labels={key: before.labels.get(key) for key in LABELS},
            annotations={key: before.annotations.get(key) for key in ANNOTATIONS},
            taints=before.taints,
        ),
    )
