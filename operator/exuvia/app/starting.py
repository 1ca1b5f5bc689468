"""Carrying out a plan: operations are created, and started by one compare-and-swap out of Pending.

The sweep alone grants starts. The plan counted every one of them already, so they may go side by side; what fails is
planned again with the next pass. What may not be written (an installation need not have every right) is left alone for
a while, and that is said once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from exuvia import errors
from exuvia.app import journal, operations, telling
from exuvia.app.advance import Advancer
from exuvia.app.fleet import Fleet
from exuvia.app.operations import Operation
from exuvia.app.services import Services
from exuvia.decide.brakes.pause import paused
from exuvia.model.blocking import Blocked
from exuvia.model.planning import Grant, Opening, Plan, Start
from exuvia.model.reasons import EventReason
from exuvia.model.specs.quarantine import Quarantine
from exuvia.model.specs.rotation import Rotation
from exuvia.model.specs.security_policy import Action
from exuvia.report.events import Event

log = logging.getLogger(__name__)

TOGETHER = 16
REFUSED_SECONDS = 60.0
UNSAID, UNSTARTED = "does not say why it waits", "is not started"


class Starter:
    """Creates and starts what a plan says."""

    def __init__(self, services: Services, fleet: Fleet, advancer: Advancer) -> None:
        self._services = services
        self._fleet = fleet
        self._advancer = advancer
        self._unsaid: dict[str, str] = {}
        self._refused: dict[tuple[str, str], float] = {}  # what and of whom -> until when it is not tried again

    async def carry_out(self, plan: Plan) -> int:
        """All openings and grants of a plan. Returns how many started."""
        gate = asyncio.Semaphore(TOGETHER)

        async def one(what: Opening | Grant) -> bool:
            async with gate:
                return await self._guarded(what)

        wanted: list[Opening | Grant] = [*plan.openings, *plan.grants]
        return sum(await asyncio.gather(*(one(what) for what in wanted)))

    async def say_waiting(self, waiting: Mapping[str, Blocked]) -> None:
        """What waits says for what; written when that changes. By the UID of the operation."""
        for one in operations.under_way(self._services.view) if waiting else ():
            blocked = waiting.get(one.uid)
            if blocked is None or self._is_refused(UNSAID, one.name):
                continue
            try:
                await self._say_one_waits(one, blocked)
                self._unsaid.pop(one.uid, None)
            except errors.Forbidden as trouble:
                self._note_refused(UNSAID, one.KIND, one.name, trouble)
            except errors.ClusterError as trouble:
                if self._unsaid.get(one.uid) != str(trouble):
                    log.warning("%s %s waits, which could not be said: %s", one.KIND, one.name, trouble)
                self._unsaid[one.uid] = str(trouble)

    def _is_refused(self, what: str, name: str) -> bool:
        return self._services.clock.monotonic() < self._refused.get((what, name), 0.0)

    def _note_refused(self, what: str, kind: str, name: str, trouble: errors.Forbidden) -> None:
        if (what, name) not in self._refused:
            log.warning("%s %s %s (Forbidden): %s", kind, name, what, trouble)
        self._refused[what, name] = self._services.clock.monotonic() + REFUSED_SECONDS

    async def _say_one_waits(self, one: Operation, blocked: Blocked) -> None:
        """An Event only for another reason than before: messages hold numbers, and are written on every change."""
        line, former = self._advancer.lines[one.KIND], one.status.blocked
        body = line.waiting(one, blocked, self._services.clock.now())
        if not body or await self._advancer.winner.swap(line, one, body) is None:
            return
        if isinstance(one, Rotation) and (former is None or former.reason != blocked.reason):
            text = f"Rotation {one.name} waits ({blocked.reason}); its status says for what"
            self._say(one, EventReason.ROTATION_BLOCKED, text, warning=True)

    async def _guarded(self, what: Opening | Grant) -> bool:
        guard, _ = self._fleet.guard()
        if paused(guard, self._services.clock.now()) is not None:
            return False  # it came while others of the plan were started
        if self._is_refused(UNSTARTED, what.name):
            return False
        try:
            operation = await self._operation(what)
            return operation is not None and await self._start(operation)
        except errors.Fenced:
            return False
        except errors.Forbidden as trouble:
            self._note_refused(UNSTARTED, what.kind, what.name, trouble)
            return False
        except errors.ExuviaError as trouble:
            log.warning("%s %s was not started: %s", what.kind, what.name, trouble)
            return False

    async def _operation(self, what: Opening | Grant) -> Operation | None:
        if isinstance(what, Opening):
            return await self._open(what)
        return operations.named(self._services.view, what.kind, what.name)

    async def _open(self, opening: Opening) -> Operation | None:
        line = self._advancer.lines[opening.kind]
        try:
            made = await self._services.cluster.create(line.resource, opening.body)
        except errors.AlreadyExists:
            return None  # it is open already: the view will show it
        self._services.view.overlay(line.resource, made)
        operation = line.model.parse(made)
        wish = opening.wish
        journal.opened(operation, f"policy {wish.policy}, rule {wish.rule}, wants it of {operation.spec.instance.name}")
        self._say_planned(operation, opening)
        return operation

    async def _start(self, operation: Operation) -> bool:
        """The grant: intent, then the compare-and-swap out of Pending."""
        line = self._advancer.lines[operation.KIND]
        settings = self._fleet.settings_for(operation.spec.instance.uid)
        winner = self._advancer.winner
        receipt = await winner.intent(operation, "Start")
        patch = line.grant(operation, settings, self._services.clock.now())
        try:
            won = await winner.swap(line, operation, patch, receipt)
        except errors.ClusterError:
            winner.outcome(operation, receipt, "unknown")
            raise
        winner.outcome(operation, receipt, "lost" if won is None else "done")
        if won is None:
            return False
        self._services.scribe.note(telling.started(self._services, won))
        telling.progress(self._services, operation, won)
        if isinstance(won, Rotation):
            telling.reacted(self._services, won.spec.instance.uid, Action.ROTATE)
        start = Start(operation=won.uid, kind=won.KIND, at=self._services.clock.now())
        self._fleet.remember_starts([start])
        self._say_started(won)
        self._advancer.wake(won.KIND, won.uid)
        return True

    def _say_planned(self, operation: Operation, opening: Opening) -> None:
        if isinstance(operation, Quarantine):
            return
        wish = opening.wish
        text = (
            f"{operation.spec.instance.name} violates policy {wish.policy}, rule {wish.rule}; {operation.name} opened"
        )
        self._say(operation, EventReason.ROTATION_PLANNED, text)

    def _say_started(self, operation: Operation) -> None:
        """In the words of its own first step, so that both make one Event."""
        if isinstance(operation, Rotation):
            cause = f"policy {operation.spec.policy.name}" if operation.spec.policy else "on request"
            text = f"{operation.spec.instance.name} is being replaced by Rotation {operation.name} ({cause})"
            self._say(operation, EventReason.ROTATION_STARTED, text)

    def _say(self, operation: Operation, reason: EventReason, text: str, *, warning: bool = False) -> None:
        instance = operation.spec.instance
        self._services.events.say(
            Event(
                regarding=telling.node(instance.name, instance.uid),
                related=telling.ours(operation.KIND, operation.name, operation.uid),
                reason=reason,
                note=text,
                warning=warning,
            )
        )
