"""Keeping the FleetGuard: made with its defaults when it was never seen, made anew and paused when it was deleted; not
when it was deleted after an uninstall, for then everything is."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from exuvia import errors
from exuvia.app import telling, uninstalling
from exuvia.app.fleet import Fleet
from exuvia.app.history import History
from exuvia.app.services import Services
from exuvia.model import facts, marks, resources
from exuvia.model.reasons import EventReason
from exuvia.model.specs.fleet_guard import NAME
from exuvia.report.events import Event

log = logging.getLogger(__name__)

PERIOD_SECONDS = 1.0
BRAKE = "FleetGuard"


class Guarding:
    """Looks once a second; the view tells it, so that costs nothing."""

    def __init__(self, services: Services, fleet: Fleet, history: History) -> None:
        self._services = services
        self._fleet = fleet
        self._history = history
        self._seen = False

    async def run(self) -> None:
        """For ever."""
        while True:
            try:
                await self._look()
            except errors.Fenced:
                return
            except errors.ClusterError as trouble:
                log.warning("FleetGuard: %s", trouble)
            await asyncio.sleep(PERIOD_SECONDS)

    async def _look(self) -> None:
        if not self._services.view.guards.synced:
            return
        guard, _ = self._fleet.guard()
        if guard is not None:
            self._note_seen("found")
        elif self._services.view.guards.store.named(NAME) is None and not uninstalling.leaving(self._fleet):
            await self._create()

    async def _create(self) -> None:
        """Whether it was ever there is known from the ledger; until that is read nothing is created."""
        if not (self._seen or self._history.loaded):
            return
        deleted = self._seen or self._history.guard_seen
        try:
            made = await self._services.cluster.create(resources.FLEET_GUARDS, body(paused=deleted))
        except errors.AlreadyExists:
            return
        self._services.view.overlay(resources.FLEET_GUARDS, made)
        log.info("FleetGuard %s was made%s", NAME, ", paused: it was deleted" if deleted else ", with its defaults")
        if deleted:
            self._say_deleted(made["metadata"]["uid"])
        self._note_seen("created paused: it was deleted" if deleted else "created with its defaults")

    def _note_seen(self, how: str) -> None:
        if not self._seen and not (self._history.loaded and self._history.guard_seen and how == "found"):
            now = self._services.clock.now()
            self._services.scribe.note(
                facts.brake(name=BRAKE, engaged=how.startswith("created paused"), reason=how, at=now)
            )
        self._seen = True

    def _say_deleted(self, uid: str) -> None:
        text = "FleetGuard default was deleted and is re-created paused; check its fields, then run `exuvia resume`"
        self._services.events.say(
            Event(
                regarding=telling.ours("FleetGuard", NAME, uid),
                reason=EventReason.FLEET_GUARD_DELETED,
                note=text,
                warning=True,
            )
        )


def body(*, paused: bool) -> dict[str, Any]:
    """The object to POST."""
    request = {"by": marks.SERVICE_ACCOUNT_USER, "reason": EventReason.FLEET_GUARD_DELETED.value}
    return {
        "apiVersion": resources.FLEET_GUARDS.api_version,
        "kind": resources.FLEET_GUARDS.kind,
        "metadata": {"name": NAME},
        "spec": {"pauseRequests": [request]} if paused else {},
    }
