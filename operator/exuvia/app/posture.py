"""How the operator stands to the fleet, as the FleetGuard's conditions say: it acts, it only watches, or it leaves.

Whoever asks for something (a command, `exuvia explain`) reads it there, so that nobody waits for what never comes.
"""

from __future__ import annotations

from exuvia.decide.brakes import acting
from exuvia.model.specs.fleet_guard import FleetGuard
from exuvia.report.conditions import Said

READY = "Ready"
WATCHING = "Watching"  # it acts, as far as the brakes let it
READ_ONLY = "ReadOnly"  # it runs with --read-only: it judges and reports, and begins and ends nothing
UNINSTALLING = "Uninstalling"  # somebody asked for it: nothing starts any more

UNINSTALLED = "Uninstalled"
"""The condition that says how far an uninstall came."""


def said(guard: FleetGuard | None, *, read_only: bool) -> list[Said]:
    """The conditions of the FleetGuard that the running operator answers for."""
    found = [_ready(guard, read_only=read_only)]
    if guard is not None and guard.spec.uninstall is None and _condition(guard, UNINSTALLED):
        taken_back = "nobody asks for it any more"
        found.append(Said(type=UNINSTALLED, status=False, reason="TakenBack", message=taken_back))
    return found


def only_watches(guard: FleetGuard | None) -> bool:
    """Whether the operator that wrote the status last runs with `--read-only`."""
    return guard is not None and _condition(guard, READY) == READ_ONLY


def _ready(guard: FleetGuard | None, *, read_only: bool) -> Said:
    if read_only:
        return Said(type=READY, status=True, reason=READ_ONLY, message=acting.ONLY_WATCHES)
    if guard is not None and guard.spec.uninstall is not None:
        message = acting.uninstalled(guard.spec.uninstall.by)
        return Said(type=READY, status=True, reason=UNINSTALLING, message=message)
    return Said(type=READY, status=True, reason=WATCHING, message="the brakes are in force")


def _condition(guard: FleetGuard, type_: str) -> str:
    """The reason of a condition, or "" where it is not there."""
    return next((one.reason for one in guard.status.conditions if one.type == type_), "")
