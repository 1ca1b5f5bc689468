"""The one paragraph that answers "why is nothing happening?" (or "what is?"), from an explanation. Pure."""

from __future__ import annotations

from exuvia.app.explanations import BrakeAnswer, Explanation
from exuvia.decide.brakes import acting
from exuvia.model.findings import Result, Verdict, Wish
from exuvia.model.specs.quarantine import Quarantine
from exuvia.model.specs.rotation import Rotation
from exuvia.model.specs.security_policy import Action

_DONE = {Action.ROTATE: "rotated", Action.QUARANTINE: "quarantined", Action.ALERT: "alerted about"}


def conclusion(found: Explanation) -> str:
    """What happens with the machine, why not, which field to change, and when it is tried again."""
    if found.started is not None:
        return _under_way(found.started, found)
    if found.operations:
        return _pending(found.operations[0], found)
    if found.wish is not None:
        return _waits(_wanted(found.wish, "wants"), found)
    if found.would is not None:
        said = _wanted(found.would, "would want")
        return f"{said}, but it is in Audit and does nothing: set its spec.mode to Enforce."
    return _quiet(found)


def _under_way(operation: Rotation | Quarantine, found: Explanation) -> str:
    said = f"{operation.KIND} {operation.name} is {operation.status.phase}"
    blocked = operation.status.blocked
    if blocked is not None:
        next_ = f"; next try {blocked.next:%Y-%m-%dT%H:%M:%SZ}" if blocked.next else ""
        return _end(f"{said} and held ({blocked.reason}): {_open(blocked.message)}{next_}", found)
    if found.holding:
        return _end(f"{said} and held: {_brake(found.holding[0])}", found)
    return _end(said, found)


def _pending(operation: Rotation | Quarantine, found: Explanation) -> str:
    """What the operator says of it counts where nothing that can be seen from here holds it."""
    said = f"{operation.KIND} {operation.name} waits to be started"
    blocked = operation.status.blocked
    if blocked is not None and not found.holding:
        return _end(f"{said}, and the operator holds it ({blocked.reason}): {blocked.message}", found)
    return _waits(said, found)


def _wanted(wish: Wish, verb: str) -> str:
    return f"policy {wish.policy} {verb} it {_DONE[wish.action]}, by its rule {wish.rule} ({wish.message})"


def _waits(said: str, found: Explanation) -> str:
    if not found.holding:
        starts = "" if found.idle else ", it starts with the next sweep"
        return _end(f"{said}; no brake holds it{starts}", found)
    first, *others = found.holding
    held = "1 more brake holds it" if len(others) == 1 else f"{len(others)} more brakes hold it"
    more = f" {held}: {', '.join(one.title for one in others)}." if others else ""
    return _end(f"{said}, and is held: {_open(_brake(first))}.{more} {_next(found)}", found)


def _brake(one: BrakeAnswer) -> str:
    """What to do is said once, also where the message has it already."""
    change = f"; to change that: {one.change}" if one.change and one.change not in one.message else ""
    return f"{_open(one.message or one.title)}{change}"


def _open(message: str) -> str:
    """Without its full stop: more may follow, and who ends the sentence sets one."""
    return message.rstrip(". ")


def _next(found: Explanation) -> str:
    if found.next is None:
        return "It is tried again whenever that changes"
    return f"It is tried again at {found.next:%Y-%m-%dT%H:%M:%SZ}, or when that changes"


def _end(said: str, found: Explanation) -> str:
    """A brake that is named already may say the same as what idles the operator: once is enough."""
    told = not found.idle or (acting.OPTION in found.idle and acting.OPTION in said)
    return f"{_open(said)}." if told else f"{_open(said)}. But {found.idle}."


def _quiet(found: Explanation) -> str:
    match found.verdict:
        case None:
            unusable = ", ".join(name for name, _ in found.unusable)
            return (
                f"no policy that can be used selects it (not evaluated: {unusable})."
                if unusable
                else ("no policy selects it: nothing is asked of it.")
            )
        case Verdict.VIOLATING:
            return f"it violates {_named(found, Result.FAIL)}, and nothing but an alert is asked for (spec.action)."
        case Verdict.UNKNOWN:
            return f"it cannot be judged: {_named(found, Result.ERROR)}; on what is not known nothing is done."
        case Verdict.EXEMPT:
            return "an exception covers what it violates: nothing is done."
        case Verdict.COMPLIANT:
            return "it complies with every policy that selects it: nothing is done."


def _named(found: Explanation, result: Result) -> str:
    rules = [
        f"{name}/{one.rule} ({one.message})"
        for name, assessment in sorted(found.judgement.assessments.items())
        for one in assessment.findings
        if one.result is result
    ]
    return "; ".join(rules[:3]) + (f" and {len(rules) - 3} more" if len(rules) > 3 else "")
