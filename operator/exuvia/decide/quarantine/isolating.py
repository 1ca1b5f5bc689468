"""Cutting the machine off: the marks in one patch, then the pods, then their network; and guarding all of it.

What is missing is found by looking at the machine and its pods, never by an earlier note, so a crash anywhere is
harmless. What was done once and is missing now was undone by somebody: that is put back whatever brake holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from exuvia.decide import freezing
from exuvia.decide.freezing import Treatment
from exuvia.decide.quarantine import asking, capacity, marking
from exuvia.decide.quarantine.patching import EXUVIA, Patch, finished, just_began, under_way, waits
from exuvia.model.actions import Action, DenyNetwork, LabelPod, PodTarget
from exuvia.model.instances import Instance
from exuvia.model.pods import Pod
from exuvia.model.quarantine_views import NetworkPolicyFacts, QuarantineView
from exuvia.model.reasons import BlockedReason, EventReason
from exuvia.model.specs.quarantine import Quarantine, QuarantinePhase, WorkloadStatus
from exuvia.model.specs.rotation import RotationPhase
from exuvia.model.steps import Look, Note, Step

WORKLOAD_LIMIT = 512
NAMESPACE_LIMIT = 256
LABEL_LIMIT = 64
LABEL_CHARACTERS = 1500  # a pod: who gives a pod many and long labels must not make the status too large to write
ENFORCEMENT = "whether the network plugin enforces policies cannot be known from here"


def active(view: QuarantineView) -> bool:
    """Whether the machine is there to be cut off, and the Quarantine is under way."""
    quarantine = view.quarantine
    started = quarantine.status.phase is not QuarantinePhase.PENDING
    return started and view.instance is not None and view.instance_known and not asking.never_marked(quarantine)


def marks_held(view: QuarantineView) -> bool:
    """Whether a brake holds the first marks. Our clock may be wrong: marks and evidence go on; and marking an heir is
    recovery (operations.md)."""
    if view.hold is None or view.hold.reason is BlockedReason.CLOCK_SKEW:
        return False
    return asking.proven_former(view) is None


def marked(view: QuarantineView) -> bool:
    """Whether our marks were on the machine once: then missing ones were taken off by somebody."""
    return finished(view.quarantine, asking.MARK)


def mark(view: QuarantineView, now: datetime) -> Step | None:
    """All marks in one patch; guarded ever after."""
    if not active(view) or view.instance is None or waits(view.quarantine, asking.MARK, now):
        return None
    missing = missing_marks(view, view.instance)
    if not missing:
        return None if marked(view) else _landed(view, now)
    if marked(view):
        return _put_back(view, missing, now)
    if marks_held(view) or asking.unreadable(view, Look.NODE, Look.OTHERS):
        return None
    return asking.look(view, Look.NODE, Look.OTHERS) or _first_marks(view, view.instance, now)


def missing_marks(view: QuarantineView, instance: Instance) -> list[str]:
    """What of our marks is not there. The Rotation of a release may put its own words in their place."""
    isolation = asking.settings_of(view.quarantine).isolation
    busy = any(one.open and one.status.phase is not RotationPhase.PENDING for one in view.rotations)
    return marking.missing_marks(instance, view.quarantine.name, isolation, rotating=busy and marked(view))


def _first_marks(view: QuarantineView, instance: Instance, now: datetime) -> Step:
    quarantine = view.quarantine
    patch = Patch(quarantine, now).began(asking.MARK)
    if quarantine.status.before is None:
        patch.set(before=marking.wire_before(marking.before_for(view, instance)))
        patch.condition("InstancePresent", True, "Present")
        if not asking.is_sealed(quarantine):  # a Node that could not be read does not keep evidence waiting
            patch.condition("EvidenceSealed", False, "NotYet")
        patch.condition("Isolated", False, "Isolating").condition("Released", False, "Held")
    request = capacity.first(view, patch, now)
    actions: tuple[Action, ...] = (marking.mark(quarantine, asking.settings_of(quarantine)), *request)
    free = view.hold is None or view.hold.reason is BlockedReason.CLOCK_SKEW
    return Step(name=asking.MARK, status=patch.body, actions=actions, snapshot=True, disruptive=free)


def _landed(view: QuarantineView, now: datetime) -> Step:
    """The marks are there and nobody noted it (a crash in between)."""
    patch = Patch(view.quarantine, now).ended(asking.MARK)
    if view.quarantine.status.before is None and view.instance is not None:
        patch.set(before=marking.wire_before(marking.before_for(view, view.instance)))
    return Step(name=asking.MARK, status=patch.body)


def _put_back(view: QuarantineView, missing: list[str], now: datetime) -> Step | None:
    if asking.unreadable(view, Look.NODE) or just_began(view.quarantine, asking.GUARD, now):
        return None
    lacking = asking.look(view, Look.NODE)
    if lacking:
        return lacking
    quarantine = view.quarantine
    gone = ", ".join(missing)
    patch = Patch(quarantine, now).began(asking.GUARD).custody(EXUVIA, f"somebody took off {gone}; put back")
    note = Note(reason=EventReason.QUARANTINE_TAMPERED, text=f"somebody took off {gone}; it was put back", warning=True)
    action = marking.mark(quarantine, asking.settings_of(quarantine))
    disruptive = view.hold is None  # under a brake it is recovery, that nothing holds
    return Step(name=asking.GUARD, status=patch.body, actions=(action,), disruptive=disruptive, notes=(note,))


def freeze(view: QuarantineView, now: datetime) -> Step | None:
    """Give every pod its treatment and every namespace its policy; then say how well the machine is cut off."""
    if not active(view) or not marked(view) or waits(view.quarantine, asking.FREEZE, now):
        return None
    if view.hold is not None and _under_way(view):
        return None
    looks = _looks(view)
    if asking.unreadable(view, *looks):
        return None
    if not finished(view.quarantine, asking.FREEZE) or _outstanding(view):
        return asking.look(view, *looks) or _freeze(view, now)
    return _say_isolation(view, now)


def network(view: QuarantineView, now: datetime) -> Step | None:
    """Nobody tells us of network policies that come and go: they are read whenever nothing else is to be done."""
    del now
    read = Look.NETWORK_POLICIES in view.fresh or asking.unreadable(view, Look.NETWORK_POLICIES)
    if read or not active(view) or not finished(view.quarantine, asking.FREEZE):
        return None
    return asking.look(view, Look.NETWORK_POLICIES) if view.quarantine.status.namespaces else None


def _looks(view: QuarantineView) -> tuple[Look, ...]:
    return (Look.PODS, Look.NETWORK_POLICIES) if asking.network_asked(view.quarantine) else (Look.PODS,)


def _outstanding(view: QuarantineView) -> tuple[Action, ...]:
    """What would be written now. Under a brake only what was undone by somebody."""
    new = frozenset() if view.hold is None else frozenset(_new_pods(view))
    labels = [_label(pod, given, view.quarantine) for pod, given in asking.treatments(view) if pod.uid not in new]
    return (*(one for one in labels if one is not None), *_denials(view, new))


def _new_pods(view: QuarantineView) -> set[str]:
    recorded = asking.recorded_treatments(view)
    return {pod.uid for pod in view.pods or () if pod.uid not in recorded}


def _label(pod: Pod, given: Treatment, quarantine: Quarantine) -> LabelPod | None:
    changes = freezing.label_changes(pod, given, quarantine.uid)
    return LabelPod(pod=target(pod), labels=changes) if changes else None


def _denials(view: QuarantineView, new: frozenset[str]) -> tuple[DenyNetwork, ...]:
    """One policy a namespace with pods to cut off; what is not known to be missing is not asked for."""
    if not asking.network_asked(view.quarantine) or view.network_policies is None:
        return ()
    denied = {one.namespace for one in view.network_policies if one.quarantine == view.quarantine.uid}
    wanted = {
        pod.namespace for pod, given in asking.treatments(view) if pod.uid not in new and freezing.cut_off(pod, given)
    }
    return tuple(deny(view.quarantine, namespace) for namespace in sorted(wanted - denied))


def deny(quarantine: Quarantine, namespace: str) -> DenyNetwork:
    """Our policy in one namespace, named by the UID."""
    return DenyNetwork(
        namespace=namespace,
        name=f"exuvia-{quarantine.uid}",
        quarantine_uid=quarantine.uid,
        quarantine_name=quarantine.name,
    )


def target(pod: Pod) -> PodTarget:
    """Which pod is meant."""
    return PodTarget(namespace=pod.namespace, name=pod.name, uid=pod.uid)


def _under_way(view: QuarantineView) -> bool:
    """Whether some of it was never done: then what is missing was not undone by anybody."""
    first = not finished(view.quarantine, asking.FREEZE)
    return first or under_way(view.quarantine, asking.FREEZE_MORE)


def _freeze(view: QuarantineView, now: datetime) -> Step | None:
    quarantine = view.quarantine
    actions = _outstanding(view)
    patch = Patch(quarantine, now)
    _record(patch, view)
    if not actions:
        return Step(name=asking.FREEZE, status=patch.ended(asking.FREEZE).body)
    if any(just_began(quarantine, one, now) for one in (asking.FREEZE, asking.FREEZE_MORE, asking.GUARD_PODS)):
        return None
    if not finished(quarantine, asking.FREEZE):
        return Step(name=asking.FREEZE, status=patch.began(asking.FREEZE).body, actions=actions, disruptive=True)
    undone = () if _under_way(view) else _undone(view, actions)
    if undone:
        patch.began(asking.GUARD_PODS)
        patch.custody(EXUVIA, f"somebody undid the isolation of {_few(undone)}; put back")
        _say_undone(patch, undone)
    if len(undone) < len(actions):
        patch.began(asking.FREEZE_MORE)
    notes = tuple(_tampered(undone)) if undone else ()
    return Step(name=asking.FREEZE, status=patch.body, actions=actions, disruptive=view.hold is None, notes=notes)


def _say_undone(patch: Patch, undone: tuple[str, ...]) -> None:
    """Until it was seen to be put back, nobody may take the machine for isolated."""
    because = f"somebody undid the isolation of {_few(undone)}; it is being put back"
    patch.set(isolation={"state": "Partial", "because": [because]}).condition("Isolated", False, "Partial", because)


def _undone(view: QuarantineView, actions: Iterable[Action]) -> tuple[str, ...]:
    """Which of these put back what somebody undid, in words."""
    recorded = asking.recorded_treatments(view)
    pods = [one for one in actions if isinstance(one, LabelPod) and one.pod.uid in recorded]
    known = set(view.quarantine.status.namespaces)
    policies = [one for one in actions if isinstance(one, DenyNetwork) and one.namespace in known]
    return (
        *(f"pod {one.pod.namespace}/{one.pod.name}" for one in pods),
        *(f"namespace {one.namespace}" for one in policies),
    )


def _tampered(undone: tuple[str, ...]) -> Iterable[Note]:
    text = f"somebody undid the isolation of {_few(undone)}; it was put back"
    yield Note(reason=EventReason.QUARANTINE_TAMPERED, text=text, warning=True)


def _few(words: tuple[str, ...]) -> str:
    return ", ".join(words[:5]) + (" and more" if len(words) > 5 else "")


def _record(patch: Patch, view: QuarantineView) -> None:
    """The treatment of each pod and the labels it had, before any is changed; and where our policies are."""
    recorded = {one.uid: one for one in view.quarantine.status.workloads}
    everyone = asking.treatments(view)
    given: list[tuple[Pod, Treatment]] = [one for one in everyone if one[1] is not Treatment.LEFT_ALONE]
    new = [(pod, what) for pod, what in given if pod.uid not in recorded and not _held_back(view)]
    if new:
        frozen = [pod for pod, what in new if what is Treatment.FROZEN]
        broken = freezing.broken_budgets(frozen, view.budgets)
        entries = [*recorded.values(), *(_entry(pod, what, broken.get(pod.uid)) for pod, what in new)]
        present = {pod.uid for pod in view.pods or ()}
        kept = entries if len(entries) <= WORKLOAD_LIMIT else [one for one in entries if one.uid in present]
        patch.set(workloads=[one.wire() for one in kept[:WORKLOAD_LIMIT]])
    _record_namespaces(patch, view, given)


def _held_back(view: QuarantineView) -> bool:
    return view.hold is not None


def _record_namespaces(patch: Patch, view: QuarantineView, given: list[tuple[Pod, Treatment]]) -> None:
    if not asking.network_asked(view.quarantine):
        return
    known = set(view.quarantine.status.namespaces)
    wanted = known | {pod.namespace for pod, what in given if freezing.cut_off(pod, what)}
    if wanted != known and view.hold is None:
        patch.set(namespaces=sorted(wanted)[:NAMESPACE_LIMIT])


def _entry(pod: Pod, given: Treatment, broken: str | None) -> WorkloadStatus:
    labels = _bounded(pod.labels)
    return WorkloadStatus(pod=pod.key, uid=pod.uid, treatment=str(given), labels=labels, broken_pdb=broken)


def _bounded(labels: Mapping[str, str]) -> dict[str, str]:
    """As many labels as the status has room for; they are a record, nothing is restored from them."""
    kept: dict[str, str] = {}
    room = LABEL_CHARACTERS
    for key, value in sorted(labels.items())[:LABEL_LIMIT]:
        room -= len(key) + len(value)
        if room < 0:
            break
        kept[key] = value
    return kept


def _say_isolation(view: QuarantineView, now: datetime) -> Step | None:
    """Once everything was written: how well it worked, and what keeps it from being better."""
    network, policies = asking.network_asked(view.quarantine), _policies(view)
    if network and policies is None:
        return None if view.quarantine.status.isolation else asking.look(view, Look.NETWORK_POLICIES)
    if view.pods is None:
        return None
    found = freezing.isolation(asking.treatments(view), policies or (), view.quarantine.uid, network=network)
    if found == view.quarantine.status.isolation:
        return None
    first = view.quarantine.status.isolation is None
    message = "; ".join((*found.because[:5], *_broken(view.quarantine), ENFORCEMENT))
    patch = Patch(view.quarantine, now).set(isolation={"state": found.state, "because": list(found.because)})
    patch.condition("Isolated", found.state == "Isolated", found.state, message)
    if first:
        patch.custody(EXUVIA, f"isolated: {found.state}")
    return Step(name=asking.FREEZE, status=patch.body, notes=(_isolated(view, found.state),) if first else ())


def _policies(view: QuarantineView) -> tuple[NetworkPolicyFacts, ...] | None:
    """The network policies, None where they are not known. Where no pod can be cut off by one (all use the host's
    network, say) nobody reads them, and none matters."""
    if view.network_policies is None and view.pods is not None:
        needed = any(freezing.cut_off(pod, given) for pod, given in asking.treatments(view))
        return None if needed else ()
    return view.network_policies


def _broken(quarantine: Quarantine) -> tuple[str, ...]:
    names = sorted({one.broken_pdb for one in quarantine.status.workloads if one.broken_pdb})
    return (f"freezing broke PodDisruptionBudget {', '.join(names)}",) if names else ()


def _isolated(view: QuarantineView, state: str) -> Note:
    name = view.quarantine.spec.instance.name
    text = f"{name} is quarantined by {view.quarantine.name}; isolation: {state}; evidence is collected next"
    return Note(reason=EventReason.QUARANTINED, text=text, warning=True)
