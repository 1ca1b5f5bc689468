"""How a pod is to be drained: its own label first, then the policy's rules, the first match by ascending name (P6)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from exuvia.model import marks
from exuvia.model.pods import Pod
from exuvia.model.specs.security_policy import DrainSettings


class Behaviour(StrEnum):
    """What a rule or a label asks for."""

    DRAIN = "Drain"  # evicted, in its order
    SKIP = "Skip"  # it goes with the machine
    WAIT_COMPLETED = "WaitCompleted"  # waited for until it has finished


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How one pod is drained. `by` says what asked for it, "" when nothing did; `warning`: a label that is unknown."""

    behaviour: Behaviour = Behaviour.DRAIN
    order: int = 0
    by: str = ""
    warning: str = ""


def invalid_rule(settings: DrainSettings) -> str | None:
    """The first rule that names an unknown behaviour: an error for the whole machine. None: all are known."""
    known = set(Behaviour)
    for rule in sorted(settings.pod_rules, key=lambda one: one.name):
        if rule.behavior not in known:
            words = ", ".join(Behaviour)
            return f"`spec.drain.podRules` {rule.name}: behavior {rule.behavior!r} is unknown; write one of {words}"
    return None


def manner_of(pod: Pod, settings: DrainSettings) -> Manner:
    """How this pod is drained."""
    warning = ""
    for key in marks.POD_DRAIN_LABELS:
        value = pod.labels.get(key)
        if value is None:
            continue
        match value.lower():
            case "skip":
                return Manner(behaviour=Behaviour.SKIP, by=f"label {key}")
            case "wait-completed":
                return Manner(behaviour=Behaviour.WAIT_COMPLETED, by=f"label {key}")
            case _:
                warning = warning or f"pod {pod.key}: label {key}={value} is unknown; write skip or wait-completed"
    return _by_rule(pod, settings, warning)


def _by_rule(pod: Pod, settings: DrainSettings, warning: str) -> Manner:
    for rule in sorted(settings.pod_rules, key=lambda one: one.name):
        if rule.selector.matches(pod.labels) and rule.behavior in set(Behaviour):
            return Manner(
                behaviour=Behaviour(rule.behavior), order=rule.order, by=f"pod rule {rule.name}", warning=warning
            )
    return Manner(warning=warning)
