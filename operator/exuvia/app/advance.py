"""Advancing one operation: look at the world, ask for the next step, win it, do it, note the outcome, look again.

One runner an operation, so its steps never overlap. A runner that is woken while it runs looks once more. Nothing here
decides: `decide.rotation` and `decide.quarantine` do.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from exuvia import errors
from exuvia.app import operations, telling, uninstalling
from exuvia.app.collecting import Collecting
from exuvia.app.fleet import Fleet
from exuvia.app.gathering import Gatherer
from exuvia.app.operations import Operation
from exuvia.app.running import LONGEST, Runners
from exuvia.app.services import Services
from exuvia.app.stepping import Line, lines
from exuvia.app.winning import Winner
from exuvia.model import marks
from exuvia.model.actions import Outcome
from exuvia.model.steps import Look, Step

log = logging.getLogger(__name__)

ROUNDS = 40
LOOKS = 6
SOON = timedelta(seconds=1)
TROUBLE = timedelta(seconds=5)


class Advancer:
    """Runs the open operations of one term."""

    def __init__(self, services: Services, fleet: Fleet) -> None:
        self._services = services
        self._fleet = fleet
        self.gatherer = Gatherer(services, fleet)
        self.winner = Winner(services)
        self.lines = lines(self.gatherer)
        self._collecting = Collecting(services, self.gatherer, self.winner, self.lines["Quarantine"], self.wake)
        self._runners = Runners(self._guarded)

    def wake(self, kind: str, uid: str) -> None:
        """Something changed that this operation may act on: look again, now. Read-only, nothing is advanced."""
        if not self._services.settings.read_only:
            self._runners.wake(kind, uid)

    def wake_soon(self, kind: str, uid: str) -> None:
        """The same a moment later, so that many changes at once make one look."""
        if not self._services.settings.read_only:
            self._runners.wake_soon(kind, uid)

    async def stop(self) -> None:
        """Let runners end; what they were about to do is found again by the next leader."""
        await self._runners.stop()
        await self._collecting.stop()

    async def _guarded(self, kind: str, uid: str) -> timedelta | None:
        """Trouble with one operation never reaches another: it is said, and tried again."""
        try:
            return await self._advance(self.lines[kind], uid)
        except errors.Fenced as trouble:
            return self._fenced(trouble)
        except errors.LedgerError:
            return TROUBLE
        except errors.ClusterError as trouble:
            log.warning("%s %s: %s", kind, uid, trouble)
            return TROUBLE
        except Exception:
            log.exception("%s %s cannot be advanced", kind, uid)
            return TROUBLE

    def _fenced(self, trouble: errors.Fenced) -> timedelta | None:
        """Usually the end of our term. While we lead it is the ledger that another one wrote: said, and tried again."""
        if not self._services.leadership.leads():
            return None
        log.warning("fenced while leading: %s", trouble)
        return TROUBLE

    async def _advance(self, line: Line, uid: str) -> timedelta | None:
        """Step after step, until nothing is left to do now. Returns when to look again; None: only on a change."""
        for _ in range(ROUNDS):
            operation = self._current(line, uid)
            if operation is None:
                return None
            if not operation.open:
                return await self._ended(line, operation)
            if self._lacks_finalizer(operation):
                await self.winner.with_finalizer(line, operation, marks.FINALIZER)
                continue
            view, step = await self._ask(line, operation)
            if not _says_anything(step):
                return step.recheck_after or LONGEST
            if not await self._carry_out(line, operation, view, step):
                return SOON
        return SOON

    def _lacks_finalizer(self, operation: Operation) -> bool:
        """Put on at first sight, but not while exuvia is being uninstalled."""
        if operation.deleting or uninstalling.asked(self._fleet):
            return False
        return marks.FINALIZER not in operation.metadata.finalizers

    def _current(self, line: Line, uid: str) -> Operation | None:
        return operations.find(self._services.view, line.model.KIND, uid)

    async def _ask(self, line: Line, operation: Operation) -> tuple[Any, Step]:
        """The next step; what it wants to look at first is read, and it is asked again."""
        looks: frozenset[Look] = frozenset()
        for _ in range(LOOKS):
            view = await line.gather(operation, looks)
            step = line.step(view, self._services.clock.now())
            if not step.look - looks:
                return view, step
            looks |= step.look
        raise errors.InvalidObject(f"{operation.KIND} {operation.name}: no step could be decided")

    async def _carry_out(self, line: Line, operation: Operation, view: Any, step: Step) -> bool:
        """Win the step, act, note. False: it was lost; look again a little later."""
        receipt = await self.winner.intent(operation, step.name) if step.disruptive else None
        try:
            won = await self.winner.swap(line, operation, step.status, receipt)
        except errors.ClusterError:
            self.winner.outcome(operation, receipt, "unknown")
            raise
        if won is None:
            self.winner.outcome(operation, receipt, "lost")
            return False
        telling.notes(self._services, won, step.notes)
        telling.progress(self._services, operation, won)
        if step.snapshot:
            await self._collecting.snapshot(view)
        outcomes = await self._services.hands.execute_all(step.actions) if step.actions else ()
        self.winner.outcome(won, receipt, "done", outcomes)
        if step.collect:
            self._collecting.begin(won.uid)
        if step.finished:
            await self._finish(line, won)
        return await self._note(line, won, step, outcomes)

    async def _note(self, line: Line, won: Operation, step: Step, outcomes: tuple[Outcome, ...]) -> bool:
        if not outcomes:
            return True
        telling.outcomes(self._services, outcomes)
        view = await line.gather(won, frozenset())
        noted = line.note(view, step, outcomes, self._services.clock.now())
        after = await self.winner.swap(line, won, noted.status) if noted.status else won
        telling.notes(self._services, won, noted.notes)
        if after is not None and after is not won:
            telling.progress(self._services, won, after)
        return after is not None

    async def _finish(self, line: Line, ended: Operation) -> None:
        telling.ended(self._services, ended)
        self.gatherer.forget(ended.uid)
        self._services.custodian.forget(ended.uid)
        current = self._current(line, ended.uid) or ended
        await self.winner.without_finalizer(line, current, marks.FINALIZER)

    async def _ended(self, line: Line, operation: Operation) -> timedelta | None:
        """A crash between the last step and taking the finalizer off."""
        if marks.FINALIZER in operation.metadata.finalizers:
            await self.winner.without_finalizer(line, operation, marks.FINALIZER)
            return SOON
        return None


def _says_anything(step: Step) -> bool:
    return bool(step.status or step.actions or step.collect or step.finished)
