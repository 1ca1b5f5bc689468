"""FleetGuard: the brakes above all policies. There is one, named `default` (api.md)."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, ClassVar

from pydantic import Field

from exuvia.model.specs.common import Amount, ConditionStatus, Duration, Resource, SpecModel, StatusModel, Time

NAME = "default"

_Who = Annotated[str, Field(min_length=1, max_length=256)]
_Why = Annotated[str, Field(max_length=1024)]
_Pool = Annotated[str, Field(max_length=253)]


class PauseRequest(SpecModel):
    """Somebody asks that nothing disruptive is done; `until` null means until it is taken out."""

    by: _Who
    """Who asks for the pause."""
    reason: _Why = ""
    """Why; shown wherever the pause holds something."""
    until: Time | None = None
    """When the pause ends by itself; unset: when it is taken out."""


class PoolResume(SpecModel):
    """A halted pool is let go: failures before `at` no longer count."""

    pool: _Pool
    """The pool that was halted after failed replacements."""
    by: _Who
    """Who lets it go on."""
    at: Time
    """Failures of the pool before this moment no longer count."""


class Uninstall(SpecModel):
    """The running operator is asked to end everything and take its finalizers off."""

    by: _Who
    """Who asked for it."""
    at: Time
    """When it was asked for."""
    release_quarantines: bool = False
    """Whether held Quarantines are released too; else they are listed and stay marked."""
    discard_history: bool = False
    """Whether it goes on although ledger or sealed evidence was not exported."""


class QuarantineCaps(SpecModel):
    """How many machines may be frozen."""

    max_at_once: Amount = "10%"
    """How many machines may be in quarantine at once, held ones included. A percentage is of the fleet and rounds down,
    but never below 1 for two machines or more."""
    max_per_hour: Amount = "10"
    """How many Quarantines may start in an hour, counted from persisted starts."""


class FleetGuardSpec(SpecModel):
    """Brakes above all policies. Recovery and release are never held by one."""

    pause_requests: Annotated[tuple[PauseRequest, ...], Field(max_length=32)] = ()
    """Who asks that nothing disruptive is done. Any one of them pauses all of it within 5 s; empty: not paused."""
    pool_resumes: Annotated[tuple[PoolResume, ...], Field(max_length=128)] = ()
    """Which halted pools a person let go; written by `exuvia resume --pool`."""
    uninstall: Uninstall | None = None
    """Written by `exuvia uninstall`: asks the running operator to end open operations and take its finalizers off;
    unset: it works on."""
    max_unavailable: Amount = "5%"
    """How many machines of the whole fleet may be disrupted when a Rotation starts. A percentage is of the fleet and
    rounds down, but never below 1 for two machines or more."""
    max_per_hour: Amount | None = None
    """How many Rotations may start in an hour, counted from persisted starts. Unset: the greater of 5 and 1% of the
    fleet."""
    one_zone_at_a_time: bool = True
    """Whether new Rotations start only in the zone where some are under way."""
    min_healthy: Amount = "60%"
    """How many machines must stay healthy; below it a storm begins and no Rotation starts. A percentage is of all alive
    machines that have been Ready once, and rounds up."""
    storm_cooldown: Duration = timedelta(minutes=10)
    """How long the fleet must be healthy again before a storm ends."""
    max_lease_expiry: Amount = "30%"
    """How many node leases may look expired at once; with more of them exuvia suspects its own view and starts
    nothing."""
    quarantine: QuarantineCaps = QuarantineCaps()
    """How many machines may be frozen at once, and how many an hour."""


class BrakeStatus(StatusModel):
    """One brake of the fleet: `Engaged` holds starts, `Released` does not."""

    name: Annotated[str, Field(max_length=64)]
    """The brake, such as pause, storm or maxUnavailable."""
    state: Annotated[str, Field(pattern="^(Engaged|Released)$", max_length=16)]
    """Engaged holds starts, Released does not."""
    since: Time | None = None
    """Since when it stands so."""
    reason: Annotated[str, Field(max_length=1024)] = ""
    """Why it is engaged; empty when it is released."""


class HaltedPool(StatusModel):
    """A pool whose last replacements all failed."""

    pool: _Pool
    """The name of the pool; empty for machines without one."""
    failures: Annotated[int, Field(ge=0)] = 0
    """How many Rotations failed one after the other."""
    since: Time | None = None
    """Since when the pool is halted."""


class StormStatus(StatusModel):
    """Since when a storm is on, and when the cool-down ends once the fleet is healthy again."""

    since: Time | None = None
    """When the storm began."""
    calm_since: Time | None = None
    """Since when the fleet is healthy again: the cool-down counts from here; unset while it is not."""


class FleetGuardStatus(StatusModel):
    """The state of every brake, and how many machines are and may be disrupted."""

    observed_generation: int = 0
    """The `metadata.generation` that this status speaks of."""
    conditions: Annotated[tuple[ConditionStatus, ...], Field(max_length=16)] = ()
    """Ready says whether the FleetGuard could be read and obeyed."""
    brakes: Annotated[tuple[BrakeStatus, ...], Field(max_length=32)] = ()
    """Every brake of the fleet, engaged or not."""
    halted_pools: Annotated[tuple[HaltedPool, ...], Field(max_length=128)] = ()
    """Pools that no longer rotate because their last replacements all failed; `exuvia resume --pool` lets one go."""
    storm: StormStatus | None = None
    """The storm that is on; unset when there is none."""
    paused: bool | None = None
    """Whether a pause holds now."""
    disrupted: Annotated[int, Field(ge=0)] | None = None
    """How many machines of the fleet are disrupted now."""
    allowed: Annotated[int, Field(ge=0)] | None = None
    """How many more Rotations `maxUnavailable` lets start now."""


class FleetGuard(Resource):
    """The FleetGuard as the API server holds it."""

    KIND: ClassVar[str] = "FleetGuard"
    spec: FleetGuardSpec = FleetGuardSpec()
    status: FleetGuardStatus = FleetGuardStatus()
