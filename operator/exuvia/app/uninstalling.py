"""Uninstalling on request (`FleetGuard.spec.uninstall`): nothing new starts, open Rotations are called off and undone,
and at the end our finalizers come off, so that everything can be deleted. Held machines stay marked."""

from __future__ import annotations

import asyncio
import logging

from exuvia import errors
from exuvia.app import anchoring, posture
from exuvia.app.fleet import Fleet
from exuvia.app.operations import Operation, everything
from exuvia.app.services import Services
from exuvia.decide.brakes import acting
from exuvia.decide.brakes.pause import DELETED
from exuvia.model import marks, resources
from exuvia.model.specs.quarantine import Quarantine, ReleaseVerdict
from exuvia.model.specs.rotation import Rotation
from exuvia.report.conditions import Said, merged

log = logging.getLogger(__name__)

PERIOD_SECONDS = 1.0
TROUBLE_SECONDS = 10.0
NOTHING_LEFT = "NothingLeft"
READ_ONLY = f"{acting.ONLY_WATCHES}; {acting.WAY_OUT}, or run `exuvia uninstall --force`, which uses your own rights"


class Uninstalling:
    """Looks once a second whether somebody asked for it, and goes on until nothing is left."""

    def __init__(self, services: Services, fleet: Fleet) -> None:
        self._services = services
        self._fleet = fleet
        self._trouble = ""
        self._anchored = True

    async def run(self) -> None:
        """For ever. Trouble is said once, and what cannot be done is not tried every second."""
        while True:
            try:
                if asked(self._fleet):
                    await self._once()
                else:
                    self._anchored = True  # it may be written (again)
                self._trouble, seconds = "", PERIOD_SECONDS
            except errors.Fenced:
                return
            except errors.ClusterError as trouble:
                if str(trouble) != self._trouble:
                    log.warning("uninstall: %s", trouble)
                self._trouble, seconds = str(trouble), TROUBLE_SECONDS
            await asyncio.sleep(seconds)

    async def _once(self) -> None:
        if self._services.settings.read_only:
            await self._say(False, posture.READ_ONLY, READ_ONLY)
            return
        rotations = self._services.view.open_rotations()
        for one in rotations:
            if not one.spec.abort:
                await self._abort(one)
        if rotations:
            names = ", ".join(sorted(one.name for one in rotations)[:5])
            await self._say(False, "AbortingRotations", f"waiting for {names}")
            return
        releasing = self._releasing()
        if releasing:
            names = ", ".join(sorted(one.name for one in releasing)[:5])
            await self._say(False, "ReleasingQuarantines", f"waiting for {names}")
            return
        for held in self._holding():
            await self._let_go(held)
        if self._anchored:
            await anchoring.remove(self._services.cluster, self._services.settings.namespace)
            self._anchored = False
        await self._say(True, NOTHING_LEFT, "no finalizer and no mark of a Rotation is left")

    async def _abort(self, one: Rotation) -> None:
        body = {
            "metadata": {"uid": one.uid, "resourceVersion": one.metadata.resource_version},
            "spec": {"abort": True},
        }
        try:
            answer = await self._services.cluster.merge_patch(resources.ROTATIONS, one.name, body)
            self._services.view.overlay(resources.ROTATIONS, answer)
        except (errors.Conflict, errors.NotFound):
            return

    def _releasing(self) -> list[Quarantine]:
        """Those whose machines go back to work: all that are open, where that was asked for."""
        asked_for = self._fleet.uninstall()
        every = asked_for is not None and bool(asked_for.release_quarantines)
        return [one for one in self._services.view.open_quarantines() if every or _returns(one)]

    def _holding(self) -> list[Operation]:
        return [one for one in everything(self._services.view) if marks.FINALIZER in one.metadata.finalizers]

    async def _let_go(self, one: Operation) -> None:
        kept = [name for name in one.metadata.finalizers if name != marks.FINALIZER]
        resource = resources.ROTATIONS if one.KIND == "Rotation" else resources.QUARANTINES
        meta = {"uid": one.uid, "resourceVersion": one.metadata.resource_version, "finalizers": kept or None}
        try:
            answer = await self._services.cluster.merge_patch(resource, one.name, {"metadata": meta})
            self._services.view.overlay(resource, answer)
        except (errors.Conflict, errors.NotFound):
            return

    async def _say(self, done: bool, reason: str, message: str) -> None:
        guard, _ = self._fleet.guard()
        if guard is None:
            return
        existing = guard.status.wire().get("conditions", ())
        known = next((one for one in existing if one["type"] == posture.UNINSTALLED), None)
        if known is not None and (known["reason"], known.get("message", "")) == (reason, message):
            return
        log.info("uninstall: %s: %s", reason, message)
        said = [Said(type=posture.UNINSTALLED, status=done, reason=reason, message=message)]
        conditions = merged(existing, said, generation=guard.metadata.generation, now=self._services.clock.now())
        body = {
            "metadata": {"uid": guard.uid, "resourceVersion": guard.metadata.resource_version},
            "status": {"conditions": conditions},
        }
        kind = resources.FLEET_GUARDS
        try:
            answer = await self._services.cluster.merge_patch(kind, guard.name, body, subresource="status")
        except (errors.Conflict, errors.NotFound):
            return  # somebody wrote it meanwhile (our own status of the brakes, say): said with the next look
        self._services.view.overlay(kind, answer)


def _returns(one: Quarantine) -> bool:
    return one.spec.release is not None and one.spec.release.verdict is ReleaseVerdict.RETURN


def asked(fleet: Fleet) -> bool:
    """Whether somebody asked for it. A FleetGuard that is deleted after it does not take it back: that is how the
    deletion of everything begins, and what was let go must not be held again."""
    return fleet.uninstall() is not None


def through(services: Services, fleet: Fleet) -> bool:
    """Whether it was asked for and came to its end, as the FleetGuard said (last, where that is gone)."""
    guard = fleet.guard()[0] or services.view.last_guard
    conditions = guard.status.conditions if guard is not None else ()
    return asked(fleet) and any((one.type, one.reason) == (posture.UNINSTALLED, NOTHING_LEFT) for one in conditions)


def leaving(fleet: Fleet) -> bool:
    """Whether it was asked for, or the brakes themselves are being deleted: nothing new begins, nothing is held."""
    guard, _ = fleet.guard()
    return asked(fleet) or (guard is not None and guard.deleting)


def may_hold(fleet: Fleet, operation: Operation) -> bool:
    """Whether our finalizer may be put on an operation that lacks it. Not on one that is deleted, not while we leave.
    One that had begun without it was let go: it is held again only under a FleetGuard that nobody deleted meanwhile, or
    that a person said `exuvia resume` to since."""
    if operation.deleting or leaving(fleet):
        return False
    guard, _ = fleet.guard()
    unbroken = guard is not None and not any(one.reason == DELETED for one in guard.spec.pause_requests)
    return unbroken or operation.status.started_at is None
