"""What came of a step's actions, as the status keeps it: done, or failed with the reason and a later try.

Success is seldom believed here: the next step looks at the world. What is noted are the things that the world cannot
say, and what went wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from exuvia.decide.quarantine import asking, capacity, evicting
from exuvia.decide.quarantine.patching import EXUVIA, RETRY, Patch, finished, under_way, won
from exuvia.model.actions import AllowNetwork, Outcome, OutcomeKind, RequestMachine
from exuvia.model.quarantine_views import Noted, QuarantineView
from exuvia.model.specs.quarantine import Quarantine
from exuvia.model.steps import Step

_GOOD = (OutcomeKind.DONE, OutcomeKind.ALREADY)
_DONE_AT_ONCE = (
    asking.GUARD,
    asking.RESTORE,
    asking.UNLABEL,
    asking.ROTATE,
    asking.PASS_ON,
    asking.CAPACITY,
    asking.REOPEN,
)
_EVICTIONS = (asking.EVICT, asking.LEAVE, asking.HAND_OVER)


def note(view: QuarantineView, step: Step, outcomes: tuple[Outcome, ...], now: datetime) -> Noted:
    """What these outcomes mean. `outcomes` may be fewer than the actions: the rest was not tried."""
    quarantine = won(view.quarantine, step.status)
    if not quarantine.open or not step.actions:
        return Noted()
    patch = Patch(quarantine, now)
    requests = [one for one in outcomes if isinstance(one.action, RequestMachine)]
    others = [one for one in outcomes if not isinstance(one.action, RequestMachine)]
    for one in requests:
        capacity.noted(quarantine, patch, one, now)
    if step.name in _EVICTIONS:
        wait = evicting.noted(replace(view, quarantine=quarantine), patch, step.name, others, now)
        return Noted(status=patch.body, recheck_after=wait)
    bad = [one for one in others if one.kind not in _GOOD]
    if bad:
        return _failed(quarantine, patch, step.name, bad)
    if len(outcomes) == len(step.actions):
        _done(quarantine, patch, step)
    return Noted(status=patch.body)


def _failed(quarantine: Quarantine, patch: Patch, name: str, bad: Sequence[Outcome]) -> Noted:
    first = bad[0]
    more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
    message = f"{first.message or 'no answer'}{more}"
    wait = max((one.retry_after or RETRY for one in bad), default=RETRY)
    patch.failed(name, first.reason, message, max(wait, RETRY))
    if name == asking.FREEZE and quarantine.status.isolation is None:
        patch.condition("Isolated", False, "Partial", message)
    return Noted(status=patch.body, recheck_after=max(wait, RETRY))


def _done(quarantine: Quarantine, patch: Patch, step: Step) -> None:
    name = step.name
    if name in _DONE_AT_ONCE:
        patch.ended(name)
    if name == asking.MARK:
        if not finished(quarantine, asking.MARK):
            patch.custody(EXUVIA, f"{quarantine.spec.instance.name} is marked")
        patch.ended(asking.MARK)
    if name == asking.FREEZE and finished(quarantine, asking.FREEZE):
        patch.ended(asking.FREEZE)
        for one in (asking.FREEZE_MORE, asking.GUARD_PODS):
            if under_way(quarantine, one):
                patch.ended(one)
    if name == asking.REOPEN:
        opened = {one.namespace for one in step.actions if isinstance(one, AllowNetwork)}
        patch.set(namespaces=[one for one in quarantine.status.namespaces if one not in opened])
