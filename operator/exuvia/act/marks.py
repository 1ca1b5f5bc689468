"""Our marks on a machine: put on and taken off, each in one merge patch of the Node with UID and resourceVersion.

Taints are an atomic list: it is read first and written whole, so that those of others stay. Restoring touches only what
holds what we wrote.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from exuvia import errors, ports
from exuvia.act.answers import outcome_of
from exuvia.model import marks, resources
from exuvia.model.actions import Before, MarkInstance, MarkSet, Outcome, OutcomeKind, RestoreInstance
from exuvia.model.permissions import Duty, Permission

PERMISSIONS = (
    Permission(duty=Duty.ROTATE, resource="nodes", verbs=("get", "patch")),
    Permission(duty=Duty.QUARANTINE, resource="nodes", verbs=("get", "patch")),
)
WRITTEN = "true"  # the value of every mark of ours where only its presence counts
TAINTS = {MarkSet.ROTATING: marks.ROTATING_TAINT, MarkSet.QUARANTINED: marks.QUARANTINED_TAINT}
STATES = {MarkSet.ROTATING: marks.STATE_ROTATING, MarkSet.QUARANTINED: marks.STATE_QUARANTINED}
_TRIES = 4

Body = Mapping[str, Any]
Change = dict[str, Any]
"""A merge patch without its preconditions; empty when nothing is to be done."""


async def mark_instance(cluster: ports.Cluster, action: MarkInstance, *, dry_run: bool = False) -> Outcome:
    """Put the whole mark set on. What is there already is not written again; a machine that is gone is `Already`."""
    return await _write(cluster, action, lambda node: marking(node, action), dry_run)


async def restore_instance(cluster: ports.Cluster, action: RestoreInstance, *, dry_run: bool = False) -> Outcome:
    """Take the mark set off and put back what `before` says. A cordon that was there before us stays."""
    return await _write(cluster, action, lambda node: restoring(node, action), dry_run)


async def _write(
    cluster: ports.Cluster,
    action: MarkInstance | RestoreInstance,
    change_for: Callable[[Body], Change],
    dry_run: bool,
) -> Outcome:
    """Read, patch; when somebody wrote in between, read again."""
    outcome = Outcome(action=action, kind=OutcomeKind.FAILED)
    for _ in range(_TRIES):
        outcome = await _try(cluster, action, change_for, dry_run)
        if outcome.code != 409:
            break
    return outcome


async def _try(
    cluster: ports.Cluster,
    action: MarkInstance | RestoreInstance,
    change_for: Callable[[Body], Change],
    dry_run: bool,
) -> Outcome:
    name, uid = action.instance.name, action.instance.uid
    gone = Outcome(action=action, kind=OutcomeKind.ALREADY, message=f"node {name} ({uid}) is gone")
    try:
        node = await cluster.get(resources.NODES, name)
        if node is None or node["metadata"]["uid"] != uid:
            return gone
        change = change_for(node)
        if not change:
            return Outcome(action=action, kind=OutcomeKind.ALREADY)
        await cluster.merge_patch(resources.NODES, name, _guarded(node, change), dry_run=dry_run)
    except errors.NotFound:
        return gone
    except errors.ClusterError as trouble:
        return outcome_of(action, trouble, f"marks of node {name}")
    return Outcome(action=action, kind=OutcomeKind.DONE, code=200, message=_told(change))


def _guarded(node: Body, change: Change) -> dict[str, Any]:
    metadata = node["metadata"]
    preconditions = {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
    return {**change, "metadata": {**preconditions, **change.get("metadata", {})}}


def _told(change: Change) -> str:
    """What was written, for the ledger: field names, no values of others."""
    metadata = change.get("metadata", {})
    return ", ".join([*change.get("spec", {}), *metadata.get("labels", {}), *metadata.get("annotations", {})])


def marking(node: Body, action: MarkInstance) -> Change:
    """What is missing of the mark set on this node."""
    labels, annotations, spec = _labels(node), _annotations(node), _spec(node)
    taint = "Taint" in action.isolation
    excluded = "LoadBalancerExclusion" not in action.isolation or marks.EXCLUDE_LOAD_BALANCERS_LABEL in labels
    wanted = {marks.STATE_LABEL: STATES[action.marks]}
    wanted |= {} if excluded else {marks.EXCLUDE_LOAD_BALANCERS_LABEL: WRITTEN}
    noted = {marks.OPERATION_ANNOTATION: action.operation}
    if action.marks is MarkSet.QUARANTINED:
        wanted[marks.KUBELET_PROOF_LABEL] = WRITTEN
        noted |= dict.fromkeys(marks.FOREIGN_OPT_OUTS, WRITTEN)
    return _change(
        labels=_differing(labels, wanted),
        annotations=_differing(annotations, noted),
        spec={
            **({} if spec.get("unschedulable") else {"unschedulable": True}),
            **(_taints_with(spec, TAINTS[action.marks]) if taint else {}),
        },
    )


def restoring(node: Body, action: RestoreInstance) -> Change:
    """What must be taken off this node, or put back. Under a quarantine a Rotation takes off only what is its alone:
    cordon, exclusion and opt-outs hold the machine (safety.md, 10)."""
    held = action.marks is MarkSet.ROTATING and _quarantined(node)
    labels, annotations, spec = _labels(node), _annotations(node), _spec(node)
    wanted = _restored_labels(labels, action.marks, action.before, held=held)
    noted = {} if held else _restored_annotations(annotations, action.marks, action.before)
    uncordon = bool(spec.get("unschedulable")) and not action.before.unschedulable and not held
    return _change(
        labels=_differing(labels, wanted),
        annotations=_differing(annotations, noted),
        spec={
            **({"unschedulable": None} if uncordon else {}),
            **_taints_without(spec, _own_taints(action.marks, action.before)),
        },
    )


def _restored_labels(
    labels: Mapping[str, str], mark_set: MarkSet, before: Before, *, held: bool
) -> dict[str, str | None]:
    states = (marks.STATE_ROTATING, marks.STATE_QUARANTINED)
    ours = states if mark_set is MarkSet.QUARANTINED else (marks.STATE_ROTATING,)
    wanted: dict[str, str | None] = {}
    if labels.get(marks.STATE_LABEL) in ours:
        wanted[marks.STATE_LABEL] = marks.STATE_QUARANTINED if held else before.labels.get(marks.STATE_LABEL)
    shared = [] if held else [marks.EXCLUDE_LOAD_BALANCERS_LABEL]
    proof = [marks.KUBELET_PROOF_LABEL] if mark_set is MarkSet.QUARANTINED else []
    return wanted | {key: before.labels.get(key) for key in (*shared, *proof) if labels.get(key) == WRITTEN}


def _restored_annotations(annotations: Mapping[str, str], mark_set: MarkSet, before: Before) -> dict[str, str | None]:
    opt_outs = marks.FOREIGN_OPT_OUTS if mark_set is MarkSet.QUARANTINED else ()
    wanted = {key: before.annotations.get(key) for key in opt_outs if annotations.get(key) == WRITTEN}
    return wanted | {marks.OPERATION_ANNOTATION: before.annotations.get(marks.OPERATION_ANNOTATION)}


def _own_taints(mark_set: MarkSet, before: Before) -> set[str]:
    """A quarantine may have taken a Rotation over, whose taint goes with its own."""
    ours = set(TAINTS.values()) if mark_set is MarkSet.QUARANTINED else {TAINTS[mark_set]}
    return ours - set(before.taints)


def _quarantined(node: Body) -> bool:
    labels = _labels(node)
    return (
        marks.KUBELET_PROOF_LABEL in labels
        or labels.get(marks.STATE_LABEL) == marks.STATE_QUARANTINED
        or any(one.get("key") == marks.QUARANTINED_TAINT for one in _spec(node).get("taints") or ())
    )


def _taints_with(spec: Mapping[str, Any], key: str) -> dict[str, Any]:
    """The whole list with ours; one of our key with another effect is replaced."""
    taints = list(spec.get("taints") or ())
    ours = [one for one in taints if one.get("key") == key]
    if [one.get("effect") for one in ours] == [marks.TAINT_EFFECT]:
        return {}
    others = [one for one in taints if one.get("key") != key]
    return {"taints": [*others, {"key": key, "effect": marks.TAINT_EFFECT}]}


def _taints_without(spec: Mapping[str, Any], keys: set[str]) -> dict[str, Any]:
    taints = list(spec.get("taints") or ())
    others = [one for one in taints if one.get("key") not in keys]
    return {} if len(others) == len(taints) else {"taints": others or None}


def _differing(have: Mapping[str, str], wanted: Mapping[str, str | None]) -> dict[str, str | None]:
    return {key: value for key, value in wanted.items() if have.get(key) != value}


def _change(
    *, labels: Mapping[str, str | None], annotations: Mapping[str, str | None], spec: Mapping[str, Any]
) -> Change:
    metadata = {key: dict(value) for key, value in (("labels", labels), ("annotations", annotations)) if value}
    return {key: dict(value) for key, value in (("metadata", metadata), ("spec", spec)) if value}


def _labels(node: Body) -> Mapping[str, str]:
    return node["metadata"].get("labels") or {}


def _annotations(node: Body) -> Mapping[str, str]:
    return node["metadata"].get("annotations") or {}


def _spec(node: Body) -> Mapping[str, Any]:
    return node.get("spec") or {}
