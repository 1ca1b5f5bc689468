"""Licence seats as plain data (history.md, "Licence seats"): who asks for one, who holds one, what happened to it.

Moments are whole microseconds since 1970 UTC, and so are spans. `order` is a number that grows with every lease and
every place in the queue, so that what happened at one instant keeps its order.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

ORDINARY_PRIORITY = 100
"""The priority of an instance that no class of its pool lists."""


class ClaimMoment(StrEnum):
    """When an instance asks for its seat."""

    AT_BIRTH = "AtBirth"  # as soon as it exists
    AGENT_READY = "AgentReady"  # when the agent on it is ready


class Exhaustion(StrEnum):
    """What becomes of who asks while no seat is free."""

    QUEUE = "Queue"  # it waits for one: higher priority first, then who came first
    DENY = "Deny"  # it gets none as long as it lives
    OVERCOMMIT = "Overcommit"  # it is seated beyond the number, which is counted
    RECLAIM_OLDEST = "ReclaimOldest"  # the oldest lease of a non-persistent instance ends, and that one waits


class QuarantinedSeat(StrEnum):
    """What a quarantined instance does with its seat."""

    KEEP = "Keep"  # it keeps it; silence of its agent does not end the lease
    FORENSIC_SEAT = "ForensicSeat"  # it keeps it, and ReclaimOldest does not take it either
    RELEASE = "Release"  # it gives it back, and asks anew when its quarantine ends


class ReturnCause(StrEnum):
    """Why a lease ended."""

    DEATH = "death"  # the instance died, and its grace is over
    RELEASE = "release"  # the instance was quarantined, or is no longer one of those that the pool serves
    EXPIRY = "expiry"  # no heartbeat of its agent for too long
    RECONCILE = "reconcile"  # the instance is not there any more, and nobody had said so
    RECLAIMED = "reclaimed"  # a newcomer took the seat


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How a pool gives seats. `delay` is how long a seat takes to come back after grace; `timeout` None: agents send no
    heartbeats, so nothing expires."""

    seats: int
    exhaustion: Exhaustion = Exhaustion.QUEUE
    grace: int = 0
    delay: int = 0
    timeout: int | None = None
    quarantined: QuarantinedSeat = QuarantinedSeat.KEEP
    owes: bool = False  # whether the vendor must be told of each return


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimant:
    """Who asks for a seat: one instance, by its UID."""

    uid: str
    persistent: bool = True
    priority: int = ORDINARY_PRIORITY


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """One seat held by one instance since a moment. `heard` is the last heartbeat. A dead instance's lease lasts until
    `due`; `cause` is then why it ends."""

    holder: Claimant
    since: int
    order: int
    heard: int
    died: int | None = None
    due: int | None = None
    cause: ReturnCause = ReturnCause.DEATH

    @property
    def uid(self) -> str:
        """Whose it is."""
        return self.holder.uid


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A place in the queue, taken at `since`."""

    claimant: Claimant
    since: int
    order: int

    @property
    def uid(self) -> str:
        """Who waits."""
        return self.claimant.uid

    @property
    def place(self) -> tuple[int, int, int]:
        """What the queue is ordered by: higher priority first, then time, then the order at one instant."""
        return (-self.claimant.priority, self.since, self.order)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lapsed:
    """A living instance whose lease ended at `at` by expiry or release, and which has not asked again since."""

    uid: str
    at: int
    cause: ReturnCause


@dataclass(frozen=True, slots=True, kw_only=True)
class Seats:
    """All that a pool knows, after everything up to and at `at`. `ghosts` are heard although they hold no seat."""

    at: int = 0
    leases: tuple[Lease, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    denied: tuple[Claimant, ...] = ()
    lapsed: tuple[Lapsed, ...] = ()
    frozen: frozenset[str] = frozenset()
    ghosts: frozenset[str] = frozenset()
    order: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """An instance asks for a seat: it was born, or its agent started."""

    at: int
    claimant: Claimant


@dataclass(frozen=True, slots=True, kw_only=True)
class Died:
    """An instance died. `cause` is RECONCILE where it is merely not there any more and nobody had said so."""

    at: int
    uid: str
    cause: ReturnCause = ReturnCause.DEATH


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """The agent of an instance gave a sign of life."""

    at: int
    uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Silent:
    """The agent of an instance is gone: it is no ghost any more."""

    at: int
    uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """An instance was quarantined."""

    at: int
    uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Thawed:
    """The quarantine of an instance ended."""

    at: int
    uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unserved:
    """The pool no longer selects an instance that lives on."""

    at: int
    uid: str


SeatEvent = Claim | Died | Heard | Silent | Frozen | Thawed | Unserved


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """A seat was given, after `waited` in the queue. `over`: beyond the number of seats."""

    at: int
    lease: Lease
    waited: int = 0
    over: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """A lease ended. `died` is the death behind it, where there is one; `owed`: the vendor must be told."""

    at: int
    lease: Lease
    cause: ReturnCause
    died: int | None = None
    owed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """The holder died; its lease lasts until `due`."""

    at: int
    uid: str
    due: int
    cause: ReturnCause


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """The holder came back within its grace and keeps its seat."""

    at: int
    uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Queued:
    """No seat was free: it waits."""

    at: int
    place: Waiting


@dataclass(frozen=True, slots=True, kw_only=True)
class Denied:
    """No seat was free: it gets none."""

    at: int
    claimant: Claimant


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """One that had no seat asks for none any more: it died, was quarantined, or is no longer selected."""

    at: int
    uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ghost:
    """An agent is heard on an instance whose lease was returned. It is not seated for that."""

    at: int
    uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """The vendor was told of a return, by the `order` of its lease. `outcome`: done, refused or dry-run."""

    at: int
    uid: str
    order: int
    outcome: str


SeatChange = Granted | Returned | Ending | Kept | Queued | Denied | Left | Ghost | Reported
