"""Our marks on the machine: which are missing, what stood there before, and what is needed to put it back."""

from __future__ import annotations

from collections.abc import Mapping

from exuvia.model import marks
from exuvia.model.actions import Before, MarkInstance, MarkSet, RestoreInstance
from exuvia.model.instances import Instance, Kind, Reference
from exuvia.model.quarantine_views import QuarantineView
from exuvia.model.reasons import EndReason
from exuvia.model.specs.common import BeforeStatus, InstanceReference
from exuvia.model.specs.quarantine import Quarantine
from exuvia.model.specs.rotation import Rotation, RotationPhase
from exuvia.model.specs.security_policy import Isolation, QuarantineSettings

OWN_LABELS = (marks.STATE_LABEL, marks.KUBELET_PROOF_LABEL)
SHARED_LABELS = (marks.EXCLUDE_LOAD_BALANCERS_LABEL,)
OWN_ANNOTATIONS = (marks.OPERATION_ANNOTATION,)
SHARED_ANNOTATIONS = marks.FOREIGN_OPT_OUTS
ANNOTATION_LIMIT = 1024  # what the status has room for: a machine must not escape by a long annotation


def missing_marks(instance: Instance, name: str, isolation: tuple[Isolation, ...], *, rotating: bool) -> list[str]:
    """What of our marks is not on the machine, in words. `rotating`: a Rotation of ours works on it as well, so that
    state and operation may be the Rotation's."""
    found = [] if instance.unschedulable else ["unschedulable"]
    if Isolation.TAINT in isolation:
        taint = next((one for one in instance.taints if one.key == marks.QUARANTINED_TAINT), None)
        if taint is None or taint.effect != marks.TAINT_EFFECT:
            found.append(f"taint {marks.QUARANTINED_TAINT}")
    if marks.KUBELET_PROOF_LABEL not in instance.labels:
        found.append(f"label {marks.KUBELET_PROOF_LABEL}")
    excluded = marks.EXCLUDE_LOAD_BALANCERS_LABEL in instance.labels
    if Isolation.LOAD_BALANCER_EXCLUSION in isolation and not excluded:
        found.append(f"label {marks.EXCLUDE_LOAD_BALANCERS_LABEL}")
    found += [f"annotation {one}" for one in SHARED_ANNOTATIONS if not _protects(instance.annotations.get(one))]
    if not rotating:
        found += _own_words(instance, name)
    return found


def _own_words(instance: Instance, name: str) -> list[str]:
    found = []
    if instance.labels.get(marks.STATE_LABEL) != marks.STATE_QUARANTINED:
        found.append(f"label {marks.STATE_LABEL}")
    if instance.annotations.get(marks.OPERATION_ANNOTATION) != name:
        found.append(f"annotation {marks.OPERATION_ANNOTATION}")
    return found


def _protects(value: str | None) -> bool:
    return value in ("true", "")


def bears_marks(instance: Instance) -> bool:
    """Whether anything that only a quarantine sets is on the machine."""
    return (
        instance.taint(marks.QUARANTINED_TAINT) is not None
        or marks.KUBELET_PROOF_LABEL in instance.labels
        or instance.labels.get(marks.STATE_LABEL) == marks.STATE_QUARANTINED
    )


def before_for(view: QuarantineView, instance: Instance) -> BeforeStatus:
    """What stood there before any mark of ours: what a Rotation that is taken over recorded (or another Quarantine of
    the same machine), else what stands there now without our own."""
    inherited = next((one.status.before for one in _predecessors(view) if one.status.before), None)
    return inherited if inherited is not None else before_of(instance)


def before_of(instance: Instance) -> BeforeStatus:
    """What stands there now where our marks go. Absent keys are not in it; marks that only exuvia sets never are."""
    return BeforeStatus(
        unschedulable=instance.unschedulable,
        labels={key: instance.labels[key] for key in SHARED_LABELS if key in instance.labels},
        annotations={
            key: instance.annotations[key][:ANNOTATION_LIMIT]
            for key in SHARED_ANNOTATIONS
            if key in instance.annotations
        },
    )


def taken_over(view: QuarantineView) -> Rotation | None:
    """The Rotation of the same machine whose marks and replacement pass to the Quarantine: the latest that has begun
    and is open, or that this Quarantine superseded."""
    fit = [one for one in view.rotations if _passes(one, view.quarantine)]
    return max(fit, key=lambda one: (one.metadata.creation_timestamp, one.name), default=None)


def _passes(rotation: Rotation, quarantine: Quarantine) -> bool:
    """One that an earlier Quarantine superseded says nothing of how the machine was since."""
    if rotation.open:
        return rotation.status.phase is not RotationPhase.PENDING
    started, ended = quarantine.status.started_at, rotation.status.finished_at
    superseded = rotation.status.reason == EndReason.SUPERSEDED_BY_QUARANTINE
    return superseded and started is not None and ended is not None and ended >= started


def _predecessors(view: QuarantineView) -> list[Rotation | Quarantine]:
    uid = view.quarantine.spec.instance.uid
    rotation = taken_over(view)
    others = [one for one in view.quarantines if one.spec.instance.uid == uid and one.open]
    return [*([rotation] if rotation else []), *others]


def wire_before(before: BeforeStatus) -> dict[str, object]:
    """For a merge patch: absent keys are left out, because null would mean to remove them."""
    return {
        "unschedulable": before.unschedulable,
        "labels": _present(before.labels),
        "annotations": _present(before.annotations),
        "taints": list(before.taints),
    }


def _present(values: Mapping[str, str | None]) -> dict[str, str]:
    return {key: value for key, value in values.items() if value is not None}


def reference(instance: InstanceReference) -> Reference:
    """Which machine is meant."""
    return Reference(kind=Kind(instance.kind), name=instance.name, uid=instance.uid, provider_id=instance.provider_id)


def mark(quarantine: Quarantine, settings: QuarantineSettings) -> MarkInstance:
    """Put all marks on, in one patch."""
    return MarkInstance(
        instance=reference(quarantine.spec.instance),
        marks=MarkSet.QUARANTINED,
        operation=quarantine.name,
        isolation=tuple(str(one) for one in settings.isolation if one is not Isolation.NETWORK_POLICY),
    )


def restore(quarantine: Quarantine) -> RestoreInstance:
    """Take our marks off and put back what was there: a key that was not recorded was absent."""
    before = quarantine.status.before or BeforeStatus()
    return RestoreInstance(
        instance=reference(quarantine.spec.instance),
        marks=MarkSet.QUARANTINED,
        before=Before(
            unschedulable=before.unschedulable,
            labels={key: before.labels.get(key) for key in (*OWN_LABELS, *SHARED_LABELS)},
            annotations={key: before.annotations.get(key) for key in (*OWN_ANNOTATIONS, *SHARED_ANNOTATIONS)},
            taints=before.taints,
        ),
    )
