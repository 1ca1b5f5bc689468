"""Whether it is of any use to ask the operator for something now, and what to do where it is not.

A command that only writes a wish must not leave somebody waiting for what never comes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from exuvia import errors, ports
from exuvia.app import leading, posture
from exuvia.app.leading import Leader
from exuvia.decide.brakes import acting, pause
from exuvia.kube.client import Client
from exuvia.model import marks, resources
from exuvia.model.specs import fleet_guard
from exuvia.model.specs.fleet_guard import FleetGuard
from exuvia.observe import ours
from exuvia.observe.ours import Unparsable


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How the operator and the fleet's brakes stand. `leader` None: the Lease may not be read. `now`: by its clock."""

    guard: FleetGuard | None
    leader: Leader | None
    now: datetime

    @property
    def works(self) -> bool:
        """Whether an operator leads, as far as is known."""
        return self.leader is None or self.leader.works(self.now)

    @property
    def only_watches(self) -> bool:
        """Whether the operator that leads runs with `--read-only`."""
        return self.works and posture.only_watches(self.guard)

    @property
    def notes(self) -> list[str]:
        """Why an operation that is asked for now waits, and for what."""
        found = []
        held = pause.paused(self.guard, self.now)
        if held is not None:
            found.append(f"it waits: {held.message}")
        return found + self._nobody_works

    @property
    def undoing_notes(self) -> list[str]:
        """Why what is to be ended or put back waits, and for what. No pause and no uninstall holds that."""
        if self.only_watches:
            return [f"it waits: the operator only watches (--read-only); to have it done, {acting.WAY_OUT}"]
        return self._nobody_works

    @property
    def _nobody_works(self) -> list[str]:
        if self.works or self.leader is None:
            return []
        return [f"it waits: no operator works ({self.leader.said(self.now)}); see `exuvia doctor`"]


async def standing(client: ports.Cluster, lease: str = marks.LEASE) -> Standing:
    """Read it; what may not be read holds nobody. `lease`: the name of the operator's."""
    return Standing(guard=await _guard(client), leader=await leader(client, lease), now=moment(client))


def moment(client: ports.Cluster) -> datetime:
    """Now, by the API server's clock as far as its last answer tells: Leases are short, and clocks differ."""
    return datetime.now(UTC) - (client.clock_skew if isinstance(client, Client) else timedelta(0))


async def leader(client: ports.Cluster, lease: str = marks.LEASE) -> Leader | None:
    """Who leads; None where the Lease may not be read."""
    try:
        return await leading.leader(client, lease=lease)
    except errors.Forbidden:
        return None


def must_act(found: Standing, what: str) -> None:
    """Raises `errors.Refused`, with the way out, where what is asked for now would never be done."""
    if found.only_watches:
        raise errors.Refused(
            f"The operator only watches (--read-only): {what} would wait for ever, so nothing was asked for.",
            remedy=f"To have it done, {acting.WAY_OUT}.",
        )
    asked = found.guard.spec.uninstall if found.guard is not None else None
    if asked is not None:
        raise errors.Refused(
            f"exuvia is uninstalled, as {asked.by} asked (FleetGuard default, spec.uninstall): {what} would never"
            " start, so nothing was asked for.",
            remedy="Take that back by `exuvia resume` (with --all what somebody else asked), then ask again.",
        )


async def _guard(client: ports.Cluster) -> FleetGuard | None:
    try:
        body = await client.get(resources.FLEET_GUARDS, fleet_guard.NAME)
    except errors.Forbidden:
        return None
    found = ours.from_body(FleetGuard, body) if body is not None else None
    return None if isinstance(found, Unparsable) else found
