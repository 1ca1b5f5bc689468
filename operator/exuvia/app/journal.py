"""The log's lines about what is done: one an action, one a phase, none for what was only looked at.

Message for people; the same as fields for machines: `kind`, `operation`, `step`, `action`, `target`, `uid`, `result`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import assert_never

from exuvia.app.operations import Operation
from exuvia.model.actions import (
    Action,
    AllowNetwork,
    CreateOperation,
    DeletePod,
    DenyNetwork,
    EvictPod,
    LabelPod,
    MarkInstance,
    Outcome,
    OutcomeKind,
    RemoveMachine,
    RequestMachine,
    RestoreInstance,
)

log = logging.getLogger(__name__)


def acted(operation: Operation, step: str, outcomes: Iterable[Outcome]) -> None:
    """What came of each action of a step. What was so already was not done: it is told with `--verbose` only."""
    for one in outcomes:
        verb, target, uid = words(one.action)
        said = f"{operation.KIND} {operation.name}: {verb} {target}: {one.kind}"
        why = one.message or one.reason
        fields = {"step": step, "action": verb, "target": target, "uid": uid, "result": str(one.kind)}
        log.log(_level(one.kind), f"{said} ({why})" if why else said, extra=_about(operation) | fields)


def moved(before: Operation, after: Operation) -> None:
    """An operation went into another phase; at its end with the reason."""
    former, phase = str(before.status.phase), str(after.status.phase)
    if former == phase:
        return
    reason = f" ({after.status.reason})" if not after.open and after.status.reason else ""
    fields = {"former": former, "phase": phase, "reason": after.status.reason or ""}
    machine = after.spec.instance.name
    log.info(
        "%s %s: %s -> %s%s, machine %s",
        *(after.KIND, after.name, former, phase, reason, machine),
        extra=_about(after) | fields,
    )


def opened(operation: Operation, why: str) -> None:
    """An operation was created."""
    log.info("%s %s opened: %s", operation.KIND, operation.name, why, extra=_about(operation) | {"action": "open"})


def words(action: Action) -> tuple[str, str, str]:
    """(what is done, to what, its UID)."""
    match action:
        case MarkInstance(instance=one):
            return "mark", f"node {one.name}", one.uid
        case RestoreInstance(instance=one):
            return "restore", f"node {one.name}", one.uid
        case EvictPod(pod=pod):
            return "evict", f"pod {pod.namespace}/{pod.name}", pod.uid
        case DeletePod(pod=pod):
            return "delete", f"pod {pod.namespace}/{pod.name}", pod.uid
        case LabelPod(pod=pod):
            return "label", f"pod {pod.namespace}/{pod.name}", pod.uid
        case DenyNetwork(namespace=namespace, name=name):
            return "create", f"network policy {namespace}/{name}", ""
        case AllowNetwork(namespace=namespace, name=name):
            return "delete", f"network policy {namespace}/{name}", ""
        case RequestMachine(provider=provider, pool=pool):
            return "request", f"a machine of pool {pool or '(none)'} from {provider}", ""
        case RemoveMachine(provider=provider, instance=one):
            return "remove", f"node {one.name} by {provider}", one.uid
        case CreateOperation(kind=kind, name=name):
            return "create", f"{kind} {name}", ""
        case _:
            assert_never(action)


def _level(kind: OutcomeKind) -> int:
    match kind:
        case OutcomeKind.DONE:
            return logging.INFO
        case OutcomeKind.ALREADY:
            return logging.DEBUG
        case OutcomeKind.REFUSED | OutcomeKind.FAILED | OutcomeKind.UNKNOWN:
            return logging.WARNING


def _about(operation: Operation) -> dict[str, str]:
    instance = operation.spec.instance
    return {
        "kind": operation.KIND,
        "operation": operation.name,
        "operationUID": operation.uid,
        "instance": instance.name,
        "instanceUID": instance.uid,
    }
