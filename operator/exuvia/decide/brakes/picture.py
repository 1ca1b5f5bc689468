"""What a brake looks at: one candidate, and the picture of one moment in which every start counts at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from exuvia.decide.brakes.active import ActiveBudget, active
from exuvia.decide.brakes.inflight import InFlight, starts_within_hour
from exuvia.decide.brakes.laying import lay_over
from exuvia.decide.census import FLEET, Census, Counts, Tally
from exuvia.model.findings import Wish
from exuvia.model.instances import Instance
from exuvia.model.planning import Moment, PolicyFacts, Subject
from exuvia.model.specs.fleet_guard import FleetGuardSpec, HaltedPool, StormStatus
from exuvia.model.specs.operation import FrozenSettings
from exuvia.model.specs.quarantine import Quarantine
from exuvia.model.specs.rotation import Rotation
from exuvia.model.specs.security_policy import BudgetAction, RotationSettings, Severity, Strategy

ROTATION = "Rotation"
QUARANTINE = "Quarantine"
CONTROL_PLANE = "control-plane"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A machine of which an operation would start. `operation` None: it would be opened, for `wish`."""

    kind: str
    subject: Subject
    instance: Instance
    wish: Wish | None = None  # what its policies want; None for a manual operation
    operation: Rotation | Quarantine | None = None

    @property
    def uid(self) -> str:
        """The machine's UID."""
        return self.instance.uid

    @property
    def manual(self) -> bool:
        """Whether a person asked for it, so that compliance, halts and back-off do not concern it."""
        return self.operation is not None and self.operation.spec.policy is None

    @property
    def severity(self) -> Severity:
        """How bad the finding is; a manual operation says it or is Medium."""
        if self.wish is not None:
            return self.wish.severity
        return (self.operation.spec.severity if self.operation else None) or Severity.MEDIUM

    @property
    def action(self) -> BudgetAction:
        """As budgets name it."""
        return BudgetAction.ROTATE if self.kind == ROTATION else BudgetAction.QUARANTINE


@dataclass(slots=True)
class Picture:
    """One moment, counted. `started` moves it on."""

    moment: Moment
    now: datetime
    policies: Mapping[str, PolicyFacts]
    flight: InFlight
    tally: Tally
    rotation_starts: list[datetime]
    quarantine_starts: list[datetime]
    zones: set[str]
    held: set[str]  # living machines in a Quarantine past Pending
    operated: set[str]  # living machines with any operation past Pending
    gone_control_plane: set[str]  # machines of the control plane that are gone while their Rotation is open
    storm: StormStatus | None = None
    halted: Mapping[str, HaltedPool] = field(default_factory=dict)
    begun: list[Candidate] = field(default_factory=list)  # what starts in this very plan
    _settings: dict[str, FrozenSettings] = field(default_factory=dict)
    _budgets: dict[str, tuple[ActiveBudget, ...]] = field(default_factory=dict)

    @property
    def guard(self) -> FleetGuardSpec:
        """The brakes above all policies; its defaults where it cannot be read (then nothing of a policy starts)."""
        return self.moment.guard.spec if self.moment.guard else FleetGuardSpec()

    @property
    def fleet(self) -> Counts:
        """The counts of the whole fleet."""
        return self.tally.counts(FLEET)

    def settings(self, uid: str) -> FrozenSettings:
        """What an operation on this machine would get if it started now."""
        found = self._settings.get(uid)
        if found is None:
            found = self._settings[uid] = self.moment.settings_for(uid)
        return found

    def budgets(self, policy: str) -> tuple[ActiveBudget, ...]:
        """The budgets of a policy that bind now."""
        found = self._budgets.get(policy)
        if found is None:
            facts = self.policies.get(policy)
            found = self._budgets[policy] = active(facts, self.now) if facts else ()
        return found

    def replaces_first(self, candidate: Candidate) -> bool:
        """Whether it is a Rotation that brings the replacement first."""
        if candidate.kind != ROTATION:
            return False
        rotation = self.settings(candidate.uid).rotation or RotationSettings()
        return rotation.strategy is Strategy.REPLACE_FIRST

    def enforcing(self, subject: Subject) -> list[PolicyFacts]:
        """The enforcing policies that select a machine."""
        found = (self.policies.get(name) for name in subject.selecting)
        return [one for one in found if one is not None and one.enforces]

    def carries_out_release(self, candidate: Candidate) -> bool:
        """Whether it is the Rotation of a quarantined machine that was released for it."""
        return candidate.operation is not None and candidate.operation.uid in self.flight.releases

    def started(self, candidate: Candidate) -> None:
        """It starts: it counts for everything that follows."""
        uid = candidate.uid
        state = self.tally.state(uid)
        self.operated.add(uid)
        self.begun.append(candidate)
        if candidate.kind == QUARANTINE:
            self.quarantine_starts.append(self.now)
            self.held.add(uid)
            self.tally.set(uid, state._replace(disrupted=True, operated=True, spared=False))
            return
        self.rotation_starts.append(self.now)
        for name in candidate.subject.selecting:
            self.flight.note_start_of(name, self.now)
        self.zones.add(candidate.instance.zone)
        if not self.carries_out_release(candidate):
            spared = self.replaces_first(candidate) and not state.disrupted
            self.tally.set(uid, state._replace(disrupted=True, operated=True, spared=spared))


def paint(moment: Moment, census: Census, policies: Mapping[str, PolicyFacts], now: datetime) -> Picture:
    """The picture of a moment. The census must have been advanced to `now`."""
    interval = max((one.spec.disruption.min_interval for one in policies.values() if one.enforces), default=None)
    flight = InFlight(moment, now - interval if interval else None)
    present = census.records
    held = {one.spec.instance.uid for one in flight.holding if one.spec.instance.uid in present}
    return Picture(
        moment=moment,
        now=now,
        policies=policies,
        flight=flight,
        tally=lay_over(census, flight),
        rotation_starts=starts_within_hour(moment, ROTATION, now),
        quarantine_starts=starts_within_hour(moment, QUARANTINE, now),
        zones={_zone(one, census) for one in flight.started},
        held=held,
        operated=held | {one.spec.instance.uid for one in flight.started if one.spec.instance.uid in present},
        gone_control_plane={one.spec.instance.uid for one in flight.started if _gone_member(one, census)},
    )


def _gone_member(rotation: Rotation, census: Census) -> bool:
    frozen = rotation.status.settings
    return rotation.spec.instance.uid not in census.records and frozen is not None and frozen.role == CONTROL_PLANE


def _zone(rotation: Rotation, census: Census) -> str:
    if rotation.status.settings is not None:
        return rotation.status.settings.zone
    record = census.records.get(rotation.spec.instance.uid)
    return record.instance.zone if record else ""
