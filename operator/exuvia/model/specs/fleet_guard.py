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
    reason: _Why = ""
    until: Time | None = None


class PoolResume(SpecModel):
    """A halted pool is let go: failures before `at` no longer count."""

    pool: _Pool
    by: _Who
    at: Time


class Uninstall(SpecModel):
    """The running operator is asked to end everything and take its finalizers off."""

    by: _Who
    at: Time
    release_quarantines: bool = False
    discard_history: bool = False


class QuarantineCaps(SpecModel):
    """How many machines may be frozen."""

    max_at_once: Amount = "10%"
    max_per_hour: Amount = "10"


class FleetGuardSpec(SpecModel):
    """Brakes above all policies. Recovery and release are never held by one."""

    pause_requests: Annotated[tuple[PauseRequest, ...], Field(max_length=32)] = ()
    pool_resumes: Annotated[tuple[PoolResume, ...], Field(max_length=128)] = ()
    uninstall: Uninstall | None = None
    max_unavailable: Amount = "5%"
    max_per_hour: Amount | None = None
    one_zone_at_a_time: bool = True
    min_healthy: Amount = "60%"
    storm_cooldown: Duration = timedelta(minutes=10)
    max_lease_expiry: Amount = "30%"
    quarantine: QuarantineCaps = QuarantineCaps()


class BrakeStatus(StatusModel):
    """One brake of the fleet: `Engaged` holds starts, `Released` does not."""

    name: Annotated[str, Field(max_length=64)]
    state: Annotated[str, Field(pattern="^(Engaged|Released)$", max_length=16)]
    since: Time | None = None
    reason: Annotated[str, Field(max_length=1024)] = ""


class HaltedPool(StatusModel):
    """A pool whose last replacements all failed."""

    pool: _Pool
    failures: Annotated[int, Field(ge=0)] = 0
    since: Time | None = None


class StormStatus(StatusModel):
    """Since when a storm is on, and when the cool-down ends once the fleet is healthy again."""

    since: Time | None = None
    calm_since: Time | None = None


class FleetGuardStatus(StatusModel):
    """The state of every brake, and how many machines are and may be disrupted."""

    observed_generation: int = 0
    conditions: Annotated[tuple[ConditionStatus, ...], Field(max_length=16)] = ()
    brakes: Annotated[tuple[BrakeStatus, ...], Field(max_length=32)] = ()
    halted_pools: Annotated[tuple[HaltedPool, ...], Field(max_length=128)] = ()
    storm: StormStatus | None = None
    paused: bool | None = None
    disrupted: Annotated[int, Field(ge=0)] | None = None
    allowed: Annotated[int, Field(ge=0)] | None = None


class FleetGuard(Resource):
    """The FleetGuard as the API server holds it."""

    KIND: ClassVar[str] = "FleetGuard"
    spec: FleetGuardSpec = FleetGuardSpec()
    status: FleetGuardStatus = FleetGuardStatus()
