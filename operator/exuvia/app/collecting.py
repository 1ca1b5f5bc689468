"""Collecting evidence in the background: one run a Quarantine at a time; what came of it goes into the status."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from exuvia import errors
from exuvia.app import telling
from exuvia.app.gathering import Gatherer
from exuvia.app.services import Services
from exuvia.app.stepping import Line
from exuvia.app.winning import Winner
from exuvia.decide import quarantine as decide
from exuvia.model.quarantine_views import QuarantineView
from exuvia.model.specs.quarantine import Quarantine

log = logging.getLogger(__name__)

ATTEMPTS = 8
TOGETHER = 16


class Collecting:
    """Runs of the collectors of one term."""

    def __init__(
        self,
        services: Services,
        gatherer: Gatherer,
        winner: Winner,
        line: Line,
        wake: Callable[[str, str], None],
        give_way: Callable[[], Awaitable[None]],
    ) -> None:
        self._services = services
        self._gatherer = gatherer
        self._winner = winner
        self._line = line
        self._wake = wake
        self._give_way = give_way
        self._tasks: set[asyncio.Task[None]] = set()
        self._gate = asyncio.Semaphore(TOGETHER)

    def ask(self, view: QuarantineView) -> None:
        """Ask for the machine's API objects, so that they come while the step is being won."""
        self._services.custodian.begin(decide.order(view))

    async def snapshot(self, view: QuarantineView) -> None:
        """Until those are in memory that our marks change, 5 s at most."""
        await self._services.custodian.snapshot(decide.order(view))

    def begin(self, uid: str) -> None:
        """Start a run, unless one is under way."""
        if uid in self._gatherer.collecting:
            return
        self._gatherer.collecting.add(uid)
        task = asyncio.create_task(self._run(uid), name=f"evidence {uid}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        """End the runs; their drafts are resumed by the next leader."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._services.custodian.close()

    async def _run(self, uid: str) -> None:
        try:
            async with self._gate:
                await self._give_way()  # logs can wait for what is not cut off yet
                await self._collect(uid)
        except errors.Fenced:
            return
        except errors.ExuviaError as trouble:
            log.warning("evidence of quarantine %s: %s", uid, trouble)
        except Exception:
            log.exception("evidence of quarantine %s", uid)
        finally:
            self._gatherer.collecting.discard(uid)
        self._wake("Quarantine", uid)

    async def _collect(self, uid: str) -> None:
        quarantine = self._current(uid)
        if quarantine is None:
            return
        view = await self._gatherer.quarantine(quarantine, frozenset())
        collected = await self._services.custodian.collect(decide.order(view))
        telling.collected(self._services, quarantine, collected)
        for _ in range(ATTEMPTS):
            quarantine = self._current(uid)
            if quarantine is None:
                return
            view = await self._gatherer.quarantine(quarantine, frozenset())
            noted = decide.note_evidence(view, collected, self._services.clock.now())
            after = await self._winner.swap(self._line, quarantine, noted.status) if noted.status else quarantine
            if after is not None:
                telling.notes(self._services, quarantine, noted.notes)
                telling.progress(self._services, quarantine, after)
                return
            await asyncio.sleep(0.2)

    def _current(self, uid: str) -> Quarantine | None:
        found = self._services.view.quarantines.store.get(uid)
        return found if isinstance(found, Quarantine) else None
