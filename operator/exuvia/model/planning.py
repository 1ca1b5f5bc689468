"""What the fleet's plan is decided from, and the plan itself, as data (architecture.md, sweep).

`decide.planner` keeps counters for each scope from the subjects it is told of, so that one changed machine costs no
walk over the fleet; `app.sweep` tells it what changed, asks for a plan, and carries it out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from exuvia.model.blocking import Blocked, View
from exuvia.model.facts import LedgerHealth
from exuvia.model.findings import Wish
from exuvia.model.instances import Instance
from exuvia.model.pods import Pod
from exuvia.model.quarantine_views import OwnPlace
from exuvia.model.rotation_views import ProviderFacts
from exuvia.model.specs.fleet_guard import BrakeStatus, FleetGuard, HaltedPool, StormStatus
from exuvia.model.specs.operation import FrozenSettings
from exuvia.model.specs.quarantine import Quarantine
from exuvia.model.specs.rotation import Rotation
from exuvia.model.specs.security_policy import SecurityPolicySpec


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyFacts:
    """A policy as planning sees it. Its budgets bind whatever its mode, suspended or invalid too."""

    name: str
    uid: str
    generation: int
    spec: SecurityPolicySpec
    enforces: bool  # mode Enforce, not suspended, and valid


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One machine as planning sees it. `instance` None: it is gone while an operation of it is open."""

    uid: str
    instance: Instance | None
    ready_once: bool = False  # the ledger says so, or Ready now, or older than 10 min
    selecting: tuple[str, ...] = ()  # names of all policies whose target selects it, ascending
    wish: Wish | None = None  # what the enforcing policies together want of it (Rotate or Quarantine)


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """An operation that started, as the ledger remembers it: for rates of what has been removed since."""

    operation: str  # UID of the Rotation or Quarantine
    kind: str  # Rotation or Quarantine
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """All that planning needs beside policies and subjects. One for a whole pass."""

    guard: FleetGuard | None  # None: unreadable or not there; `guard_problem` says why
    guard_problem: str = ""
    view: View
    clock_skew: timedelta = timedelta(0)  # ours minus the API server's
    leases: tuple[int, int] | None = None  # (expired, all) of the node leases, listed a moment ago; None: not listed
    leases_problem: str = ""  # why they could not be listed just now, ""
    ledger: LedgerHealth
    starts: tuple[Start, ...] = ()  # of the last hour and longer, from the ledger
    rotations: tuple[Rotation, ...] = ()  # all there are, open and ended
    quarantines: tuple[Quarantine, ...] = ()
    own: OwnPlace = field(default_factory=OwnPlace)
    read_only: bool = False  # the operator runs with --read-only
    pods_on: Callable[[str], tuple[Pod, ...]]  # node name -> its pods, as last seen
    settings_for: Callable[[str], FrozenSettings]  # instance UID -> what an operation would get if it started now
    provider_for: Callable[[str], ProviderFacts]  # instance UID -> who would replace it


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """An operation to create and start now. `body` is the whole object for POST."""

    kind: str
    name: str
    instance: str  # UID
    body: Mapping[str, Any]
    wish: Wish


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """A Pending operation that may start now."""

    kind: str
    name: str
    uid: str
    instance: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What should be done now, what waits and why. `next`: the earliest moment at which time alone changes it."""

    openings: tuple[Opening, ...] = ()
    grants: tuple[Grant, ...] = ()
    blocked: Mapping[str, Blocked] = field(default_factory=dict)  # instance UID with a wish but no operation -> why
    waiting: Mapping[str, Blocked] = field(default_factory=dict)  # UID of a Pending operation -> why
    brakes: tuple[BrakeStatus, ...] = ()  # every brake of the fleet, for FleetGuard's status
    storm: StormStatus | None = None
    halted: tuple[HaltedPool, ...] = ()
    allowed: Mapping[tuple[str, str], int] = field(default_factory=dict)  # (policy, budget) -> machines still allowed
    fleet_disrupted: int = 0
    fleet_allowed: int = 0  # how many more Rotations maxUnavailable allows
    needs_leases: bool = False  # something would start, but `leases` is None: list them and plan again
    next: datetime | None = None
