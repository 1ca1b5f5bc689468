"""The end of a Quarantine: its network policies go first, then it says how it ended. Nothing follows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from exuvia.decide.quarantine import asking
from exuvia.decide.quarantine.patching import EXUVIA, Patch, waits
from exuvia.model.actions import AllowNetwork
from exuvia.model.quarantine_views import QuarantineView
from exuvia.model.reasons import EndReason, EventReason
from exuvia.model.specs.quarantine import QuarantinePhase
from exuvia.model.steps import Look, Note, Step

_RETRY = timedelta(seconds=10)


def end(
    view: QuarantineView,
    now: datetime,
    reason: EndReason,
    message: str,
    *,
    by: str = EXUVIA,
    phase: QuarantinePhase = QuarantinePhase.RELEASED,
) -> Step:
    """Take our network policies away, then end. What cannot be read or removed is tried again: nothing is left."""
    if not view.quarantine.status.namespaces:
        return ended(view, now, reason, message, by=by, phase=phase)
    return open_network(view, now) or ended(view, now, reason, message, by=by, phase=phase)


def open_network(view: QuarantineView, now: datetime, keep: frozenset[str] = frozenset()) -> Step | None:
    """Remove our network policies but those of the namespaces `keep`; None when there are none left to remove."""
    if asking.unreadable(view, Look.NETWORK_POLICIES) or waits(view.quarantine, asking.REOPEN, now):
        return Step(recheck_after=_RETRY)
    lacking = asking.look(view, Look.NETWORK_POLICIES)
    if lacking:
        return lacking
    ours = [one for one in view.network_policies or () if one.quarantine == view.quarantine.uid]
    actions = tuple(AllowNetwork(namespace=one.namespace, name=one.name) for one in ours if one.namespace not in keep)
    if not actions:
        return None
    return Step(name=asking.REOPEN, status=Patch(view.quarantine, now).began(asking.REOPEN).body, actions=actions)


def ended(
    view: QuarantineView,
    now: datetime,
    reason: EndReason,
    message: str,
    *,
    by: str = EXUVIA,
    phase: QuarantinePhase = QuarantinePhase.RELEASED,
) -> Step:
    """The terminal step."""
    released = phase is QuarantinePhase.RELEASED
    patch = Patch(view.quarantine, now).phase(phase).blocked(None)
    patch.set(reason=str(reason), message=message[:1000], finishedAt=now)
    patch.condition("Released", released, str(reason), message)
    _say_open(patch, view, reason, message)
    patch.custody(by, f"ended: {message}").ended(asking.END)
    return Step(name=asking.END, status=patch.body, notes=tuple(_said(view, reason, message, phase)), finished=True)


def _said(view: QuarantineView, reason: EndReason, message: str, phase: QuarantinePhase) -> Iterator[Note]:
    """Of a machine that is not there the Quarantine itself tells."""
    text = f"quarantine ended: {message}"
    if phase is QuarantinePhase.RELEASED:
        yield Note(reason=EventReason.QUARANTINE_RELEASED, text=text)
        yield from _surplus(view, reason)
    elif reason is EndReason.INSTANCE_GONE:
        yield Note(reason=EventReason.QUARANTINE_RELEASED, text=text, warning=True, of_operation=True)


def _say_open(patch: Patch, view: QuarantineView, reason: EndReason, message: str) -> None:
    """Nothing of this Quarantine isolates the machine any more."""
    status = view.quarantine.status
    if status.isolation is not None and status.isolation.was is None:
        patch.set(isolation={"state": "Ended", "was": status.isolation.state})
    if any(one.type == "Isolated" for one in status.conditions):
        patch.condition("Isolated", False, str(reason), message)


def _surplus(view: QuarantineView, reason: EndReason) -> tuple[Note, ...]:
    """A machine that goes back to work leaves its replacement over; the pool's next Rotation takes it."""
    capacity = view.quarantine.status.capacity
    replacement = capacity.replacement if capacity else None
    if reason is not EndReason.RELEASED or view.instance is None or not asking.returning(view.quarantine):
        return ()
    if replacement is None or not replacement.name:
        return ()
    text = f"{replacement.name} was launched to replace this machine and is not needed any more"
    return (Note(reason=EventReason.SURPLUS_INSTANCE, text=text),)
