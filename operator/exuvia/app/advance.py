"""Advancing one operation: look at the world, ask for the next step, win it, do it, note the outcome, look again.

One runner an operation, so its steps never overlap. A runner that is woken while it runs looks once more. Nothing here
decides: `decide.rotation` and `decide.quarantine` do.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from exuvia import errors
from exuvia.act.hands import TOGETHER
from exuvia.app import operations, telling, uninstalling
from exuvia.app.collecting import Collecting
from exuvia.app.fleet import Fleet
from exuvia.app.gathering import Gatherer
from exuvia.app.lanes import Lanes, Turn, is_urgent
from exuvia.app.operations import Operation
from exuvia.app.running import LONGEST, SOON_SECONDS, Runners
from exuvia.app.scribe import Late
from exuvia.app.services import Services
from exuvia.app.stepping import Line, lines
from exuvia.app.winning import Winner
from exuvia.decide.rotation import HAND_OVER
from exuvia.model import marks
from exuvia.model.actions import Action, DeletePod, EvictPod, MarkInstance, Outcome, RemoveMachine, RestoreInstance
from exuvia.model.blocking import Blocked
from exuvia.model.facts import Receipt
from exuvia.model.specs.quarantine import Quarantine
from exuvia.model.steps import Look, Step
from exuvia.observe.store import version

log = logging.getLogger(__name__)

ROUNDS = 40
LOOKS = 6
SOON = timedelta(seconds=1)
TROUBLE = timedelta(seconds=5)
ONCE_MORE = timedelta(0)


class Advancer:
    """Runs the open operations of one term."""

    def __init__(self, services: Services, fleet: Fleet) -> None:
        self._services = services
        self._fleet = fleet
        self.gatherer = Gatherer(services, fleet)
        self.winner = Winner(services)
        self.lines = lines(self.gatherer)
        self._lanes = Lanes()
        self._collecting = Collecting(
            services, self.gatherer, self.winner, self.lines["Quarantine"], self.wake, self._lanes.give_way
        )
        self._runners = Runners(self._guarded)
        self._written: dict[str, int] = {}
        self._troubles: dict[str, str] = {}

    def wake(self, kind: str, uid: str) -> None:
        """Something changed that this operation may act on: look again, now. Read-only, nothing is advanced."""
        if not self._services.settings.read_only:
            self._runners.wake(kind, uid)

    def changed(self, kind: str, uid: str, resource_version: str) -> None:
        """The operation changed, at that version: look again, unless it is what this very runner wrote, or older. Its
        write was a compare-and-swap on all that came before, and it looks again after each of them by itself."""
        if version(resource_version) > self._written.get(uid, 0):
            self.wake(kind, uid)

    def wake_soon(self, kind: str, uid: str, seconds: float = SOON_SECONDS) -> None:
        """The same a moment later, so that many changes at once make one look."""
        if not self._services.settings.read_only:
            self._runners.wake_soon(kind, uid, seconds)

    async def stop(self) -> None:
        """Let runners end; what they were about to do is found again by the next leader."""
        await self._runners.stop()
        await self._collecting.stop()

    async def _guarded(self, kind: str, uid: str) -> timedelta | None:
        """Trouble with one operation never reaches another: it is said once, and tried again."""
        try:
            after = await self._advance(self.lines[kind], uid)
        except errors.Fenced as trouble:
            return self._fenced(trouble)
        except errors.LedgerError:
            return TROUBLE
        except errors.ClusterError as trouble:
            if self._troubles.get(uid) != str(trouble):
                log.warning("%s %s: %s", kind, uid, trouble)
            self._troubles[uid] = str(trouble)
            return TROUBLE
        except Exception:
            log.exception("%s %s cannot be advanced", kind, uid)
            return TROUBLE
        self._troubles.pop(uid, None)
        return after

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
                self._forget(uid)
                return None
            if not operation.open:
                return await self._ended(line, operation)
            async with self._lanes.turn_of(operation) as turn:
                after = await self._round(line, uid, turn)
            if after is not ONCE_MORE:
                return after
        return SOON

    async def _round(self, line: Line, uid: str, turn: Turn) -> timedelta:
        """One look and one step. When to look again; `ONCE_MORE`: at once."""
        operation = self._current(line, uid)
        if operation is None or not operation.open:
            return ONCE_MORE
        if self._lacks_finalizer(operation):
            await self.winner.with_finalizer(line, operation, marks.FINALIZER)
            return ONCE_MORE
        view, step = await self._ask(line, operation, turn)
        if not _says_anything(step):
            return step.recheck_after or LONGEST
        done = await self._carry_out(line, operation, view, step)
        return ONCE_MORE if done and not _evicts(step) else SOON  # pods that were asked to go show it a moment later

    def _lacks_finalizer(self, operation: Operation) -> bool:
        """Put on at first sight, but not while exuvia leaves."""
        return marks.FINALIZER not in operation.metadata.finalizers and uninstalling.may_hold(self._fleet, operation)

    def _current(self, line: Line, uid: str) -> Operation | None:
        return operations.find(self._services.view, line.model.KIND, uid)

    async def _ask(self, line: Line, operation: Operation, turn: Turn) -> tuple[Any, Step]:
        """The next step; what it wants to look at first is read, and it is asked again."""
        looks: frozenset[Look] = frozenset()
        for _ in range(LOOKS):
            view = await line.gather(operation, looks)
            step = line.step(view, self._services.clock.now())
            if not step.look - looks:
                return view, self._snapped(operation, step)
            self._snap(operation, view)
            looks |= step.look
            if Look.MACHINE in looks:
                await turn.goes_outside()
        raise errors.InvalidObject(f"{operation.KIND} {operation.name}: no step could be decided")

    def _snap(self, operation: Operation, view: Any) -> None:
        """A last look before a Quarantine's first marks: the machine's API objects are asked for beside it."""
        if isinstance(operation, Quarantine) and is_urgent(operation) and operation.status.started_at is not None:
            self._collecting.ask(view)

    def _snapped(self, operation: Operation, step: Step) -> Step:
        """The step; what was asked for is given up where it does not mark the machine after all."""
        if not step.snapshot and operation.status.before is None:
            self._services.custodian.forget(operation.uid)
        return step

    async def _carry_out(self, line: Line, operation: Operation, view: Any, step: Step) -> bool:
        """Win the step, act, note. False: it was lost; look again a little later."""
        if step.snapshot:
            self._collecting.ask(view)
        machine = written_to(step)
        receipt = await self.winner.intent(operation, step.name, machine) if step.disruptive else None
        won = await self._won(line, operation, step, receipt)
        if won is None:
            return False
        telling.notes(self._services, won, step.notes)
        telling.progress(self._services, operation, won)
        try:
            if step.snapshot:
                await self._collecting.snapshot(view)
            outcomes, whole = await self._act(line, won, view, step)
        except Exception:  # whatever it was: what came of the step is not known
            self.winner.outcome(won, receipt, "unknown")
            raise
        self.winner.outcome(won, receipt, "done" if whole else "held", outcomes)
        self._hand_over(won, step)
        if step.collect:
            self._collecting.begin(won.uid)
        if step.finished:
            await self._finish(line, won)
        return await self._note(line, won, step, outcomes) and whole

    async def _won(
        self, line: Line, operation: Operation, step: Step, receipt: Receipt | Late | None
    ) -> Operation | None:
        """The operation once the step is won; None when it was lost. What was read for a step that is not won goes."""
        won = None
        try:
            won = await self.winner.swap(line, operation, step.status, receipt)
        except errors.ClusterError:
            self.winner.outcome(operation, receipt, "unknown")
            raise
        finally:
            if won is None and step.snapshot:
                self._services.custodian.forget(operation.uid)
        if won is None:
            self.winner.outcome(operation, receipt, "lost")
        else:
            self._written[won.uid] = version(won.metadata.resource_version)
        return won

    async def _act(self, line: Line, won: Operation, view: Any, step: Step) -> tuple[tuple[Outcome, ...], bool]:
        """A few writes at a time, and before each few one more look: a pause counts within seconds, however long the
        ledger or the API server takes (safety.md, 15). What was decided although something holds is not held here."""
        done: list[Outcome] = []
        asked = step.disruptive and holding(line, view, step, self._services.clock.now()) is None
        for few in _few(step.actions):
            if asked:
                now = await line.gather(won, frozenset())
                found = holding(line, now, step, self._services.clock.now())
                if found is not None:
                    log.info("%s %s is held in the middle of %s: %s", won.KIND, won.name, step.name, found.message)
                    return tuple(done), False
            done += await self._services.hands.execute_all(few)
        return tuple(done), True

    def _hand_over(self, won: Operation, step: Step) -> None:
        """Its own machine is being replaced: another replica goes on with it."""
        if won.KIND == "Rotation" and step.name == HAND_OVER:
            log.info("%s: leadership is handed over before exuvia leaves its own machine", won.name)
            self._services.leadership.resign()

    async def _note(self, line: Line, won: Operation, step: Step, outcomes: tuple[Outcome, ...]) -> bool:
        if not outcomes:
            return True
        telling.outcomes(self._services, won, step.name, outcomes)
        view = await line.gather(won, frozenset())
        noted = line.note(view, step, outcomes, self._services.clock.now())
        after = await self.winner.swap(line, won, noted.status) if noted.status else won
        telling.notes(self._services, won, noted.notes)
        if after is not None and after is not won:
            self._written[after.uid] = version(after.metadata.resource_version)
            telling.progress(self._services, won, after)
        return after is not None

    async def _finish(self, line: Line, ended: Operation) -> None:
        telling.ended(self._services, ended)
        self._forget(ended.uid)
        current = self._current(line, ended.uid) or ended
        self._services.recollection.remember([ended], self._services.clock.now())  # it may be deleted from now on
        await self.winner.without_finalizer(line, current, marks.FINALIZER)

    def _forget(self, uid: str) -> None:
        self._written.pop(uid, None)
        self.gatherer.forget(uid)
        self._services.custodian.forget(uid)

    async def _ended(self, line: Line, operation: Operation) -> timedelta | None:
        """A crash between the last step and taking the finalizer off."""
        if marks.FINALIZER in operation.metadata.finalizers:
            await self.winner.without_finalizer(line, operation, marks.FINALIZER)
            return SOON
        return None


def _says_anything(step: Step) -> bool:
    return bool(step.status or step.actions or step.collect or step.finished)


def written_to(step: Step) -> str:
    """UID of the machine that a step writes to: a replacement that is given back, say. "" where it says none."""
    machines = (one for one in step.actions if isinstance(one, MarkInstance | RestoreInstance | RemoveMachine))
    return next((one.instance.uid for one in machines), "")


def holding(line: Line, view: Any, step: Step, now: datetime) -> Blocked | None:
    """What holds the writes of a step at this moment."""
    found = line.held(view, now)
    if found is None and (_evicts(step) or any(isinstance(one, RemoveMachine) for one in step.actions)):
        found = view.eviction_hold
    return found


def _evicts(step: Step) -> bool:
    return any(isinstance(one, EvictPod | DeletePod) for one in step.actions)


def _few(actions: Sequence[Action]) -> Iterator[Sequence[Action]]:
    for start in range(0, len(actions), TOGETHER):
        yield actions[start : start + TOGETHER]
