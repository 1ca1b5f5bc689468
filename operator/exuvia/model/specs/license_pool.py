"""LicensePool: the seats of one security agent (history.md, "Licence seats")."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import AfterValidator, ConfigDict, Field

from exuvia.model.seats import ORDINARY_PRIORITY, ClaimMoment, Exhaustion, QuarantinedSeat
from exuvia.model.specs.choices import TargetKind
from exuvia.model.specs.common import (
    ConditionStatus,
    Duration,
    LabelSelector,
    Resource,
    RuleName,
    SpecModel,
    StatusModel,
    Time,
)

LONGEST = timedelta(hours=87_600)


def _countable(span: timedelta) -> timedelta:
    """What is added to a moment must end in a year that a moment can name."""
    if span > LONGEST:
        raise ValueError("longer than 10 years: write at most 87600h")
    return span


Span = Annotated[Duration, AfterValidator(_countable)]


class ReclaimType(StrEnum):
    """Whether the vendor is told that a seat came back."""

    NONE = "None"  # nobody is told: the vendor sees it for itself
    WEBHOOK = "Webhook"  # an HTTP call for each seat


class PoolTarget(SpecModel):
    """Which instances want a seat."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "self.kind == oldSelf.kind",
                    "message": "`target.kind` may not change; make another pool for the other kind",
                }
            ]
        }
    )
    kind: TargetKind = TargetKind.NODE
    """What is selected; fixed."""
    selector: LabelSelector
    """Which instances, by their labels; {} means all."""


class PodChoice(SpecModel):
    """The pods of the agent, by namespace and labels."""

    namespace: Annotated[str, Field(min_length=1, max_length=63)]
    """The namespace of the agent's pods."""
    selector: LabelSelector
    """Which pods of it are the agent, by their labels; {} means all of that namespace."""


class Agent(SpecModel):
    """The agent that uses the seats: one ready pod of it on an instance is its sign of life."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "has(self.daemonSet) != has(self.pods)",
                    "message": "exactly one of `daemonSet` and `pods` must be set",
                },
                {
                    "rule": "!has(self.daemonSet) || self.daemonSet.matches('^[a-z0-9.-]+/[a-z0-9.-]+$')",
                    "message": "`daemonSet` must be namespace/name, like security/antivirus",
                },
            ]
        }
    )
    daemon_set: Annotated[str, Field(min_length=3, max_length=317)] | None = None
    """The DaemonSet of the agent, as namespace/name; unset: `pods` says which."""
    pods: PodChoice | None = None
    """The agent's pods by their labels, where no DaemonSet runs it; unset: `daemonSet` says which."""


class SeatClass(SpecModel):
    """Instances that are treated alike. The first class whose selector fits counts."""

    name: RuleName
    """The name of the class, unique in the pool."""
    selector: LabelSelector
    """Which instances belong to it, by their labels; {} means all."""
    persistent: bool = True
    """Whether an instance keeps its seat when ReclaimOldest looks for one; write false for what may wait."""
    priority: Annotated[int, Field(ge=0, le=1_000_000)] = ORDINARY_PRIORITY
    """Who of those that wait is seated first: the higher one. Instances of no class have 100."""


class ReclaimHook(SpecModel):
    """The vendor's API, or what speaks with it. exuvia posts one JSON object for each seat that came back."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "self.url.startsWith('https://') || self.url.startsWith('http://')",
                    "message": "`url` must begin with https:// or http://",
                }
            ]
        }
    )
    url: Annotated[str, Field(min_length=8, max_length=1024)]
    """Where to post to. Redirects are not followed."""
    timeout: Duration = timedelta(seconds=10)
    """How long one call may take; a call that failed is made again, with the same idempotency key."""
    dry_run: bool = False
    """Whether the call only asks what would be done; it then says so in the header `X-Exuvia-Dry-Run`."""


class Reclaim(SpecModel):
    """How the vendor learns that a seat came back."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "has(self.webhook) == (has(self.type) && self.type == 'Webhook')",
                    "message": "`webhook` must be set when `type` is Webhook, and only then",
                }
            ]
        }
    )
    type: ReclaimType = ReclaimType.NONE
    """Whether and how the vendor is told."""
    webhook: ReclaimHook | None = None
    """The call to make, with `type` Webhook; unset otherwise."""


class LicensePoolSpec(SpecModel):
    """How many seats there are, who wants one, and when it comes back."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "self.claim != 'AgentReady' || has(self.agent)",
                    "message": "`claim` AgentReady needs `agent`: exuvia must know whose readiness counts",
                },
                {
                    "rule": "duration(self.heartbeatTimeout) > duration('0s')",
                    "message": "`heartbeatTimeout` must be longer than 0s",
                },
                {
                    "rule": "duration(self.grace) <= duration('87600h')",
                    "message": "`grace` must be at most 87600h (10 years)",
                },
                {
                    "rule": "duration(self.heartbeatTimeout) <= duration('87600h')",
                    "message": "`heartbeatTimeout` must be at most 87600h (10 years)",
                },
            ]
        }
    )
    seats: Annotated[int, Field(ge=0, le=1_000_000)]
    """How many instances the licence allows at once."""
    target: PoolTarget
    """Which instances want a seat: one each, by UID."""
    claim: ClaimMoment = ClaimMoment.AT_BIRTH
    """When an instance asks for its seat."""
    agent: Agent | None = None
    """The agent that uses the seats. Required for AgentReady and for heartbeats; unset: no lease expires by silence."""
    classes: Annotated[tuple[SeatClass, ...], Field(max_length=32)] = ()
    """Who is treated unlike the others; the first that fits counts. Instances of none are persistent, priority 100."""
    grace: Span = timedelta(0)
    """How long a dead instance's seat is kept for it, at most 87600h; it counts as used. A reboot keeps it."""
    heartbeat_timeout: Span = timedelta(minutes=5)
    """How long the agent on an instance may be silent (no ready pod) before the lease expires; at most 87600h."""
    exhaustion: Exhaustion = Exhaustion.QUEUE
    """What becomes of who asks while no seat is free."""
    quarantined: QuarantinedSeat = QuarantinedSeat.KEEP
    """What a quarantined instance does with its seat."""
    reclaim: Reclaim = Reclaim()
    """How the vendor learns that a seat came back."""


class SeatCounts(StatusModel):
    """The seats now."""

    total: Annotated[int, Field(ge=0)] = 0
    """How many there are."""
    used: Annotated[int, Field(ge=0)] = 0
    """How many are leased; a dead instance's counts until its grace is over."""
    free: Annotated[int, Field(ge=0)] = 0
    """How many nobody holds."""
    queued: Annotated[int, Field(ge=0)] = 0
    """How many instances wait for one."""
    overcommitted: Annotated[int, Field(ge=0)] = 0
    """How many are leased beyond the number."""
    ghosts: Annotated[int, Field(ge=0)] = 0
    """On how many instances the agent is heard although their seat was returned."""


class HighWaterStatus(StatusModel):
    """The highest counts of the current calendar month (UTC)."""

    used: Annotated[int, Field(ge=0)] = 0
    """The most seats in use at one moment."""
    demanded: Annotated[int, Field(ge=0)] = 0
    """The most instances that wanted one at one moment."""
    at: Time | None = None
    """When the higher of the two was last raised."""


class LicensePoolStatus(StatusModel):
    """How many seats are used, free and waited for."""

    observed_generation: int = 0
    """The `metadata.generation` that this status speaks of."""
    conditions: Annotated[tuple[ConditionStatus, ...], Field(max_length=16)] = ()
    """Ready says whether the pool could be served, Exhausted whether no seat is free."""
    seats: SeatCounts = SeatCounts()
    """The seats now."""
    high_water: HighWaterStatus = HighWaterStatus()
    """The highest counts of the current calendar month (UTC)."""


class LicensePool(Resource):
    """A LicensePool as the API server holds it."""

    KIND: ClassVar[str] = "LicensePool"
    spec: LicensePoolSpec
    status: LicensePoolStatus = LicensePoolStatus()
