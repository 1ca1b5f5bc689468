"""Builders for planning: machines, policies, operations and the moment around them, and what applying a plan does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from exuvia.decide.brakes.picture import ROTATION
from exuvia.decide.planner import Planner, plan
from exuvia.model.blocking import View
from exuvia.model.facts import LedgerHealth, LedgerState
from exuvia.model.findings import Wish
from exuvia.model.instances import Condition, Instance, Taint
from exuvia.model.planning import Moment, Opening, Plan, PolicyFacts, Start, Subject
from exuvia.model.pods import Pod
from exuvia.model.quarantine_views import OwnPlace
from exuvia.model.rotation_views import ProviderFacts
from exuvia.model.specs.fleet_guard import FleetGuard
from exuvia.model.specs.operation import FrozenSettings, Selecting
from exuvia.model.specs.quarantine import Quarantine
from exuvia.model.specs.rotation import Rotation
from exuvia.model.specs.security_policy import (
    Action,
    DrainSettings,
    QuarantineSettings,
    RotationSettings,
    SecurityPolicySpec,
    Severity,
)

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)  # a Tuesday
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
OPEN_GUARD: dict[str, Any] = {
    "maxUnavailable": "100%",
    "maxPerHour": "1000",
    "oneZoneAtATime": False,
    "minHealthy": "0",
    "quarantine": {"maxAtOnce": "100%", "maxPerHour": "1000"},
}
"""A FleetGuard that holds next to nothing, so that a test sees the brake it is about."""


def machine(
    number: int,
    *,
    ready: bool = True,
    since: datetime = NOW - DAY,
    born: datetime | None = None,
    zone: str = "a",
    pool: str = "workers",
    labels: Mapping[str, str] | None = None,
    **facts: Any,
) -> Instance:
    """`worker-<number>`, with the UID `<number>-uid`, a day old for number 0, younger by a minute for each number."""
    return Instance(
        name=f"worker-{number}",
        uid=f"{number:04d}-uid",
        provider_id=f"simulated://{number}",
        born=born or NOW - 30 * DAY + number * MINUTE,
        zone=zone,
        pool=pool,
        labels={"topology.kubernetes.io/zone": zone, **(labels or {})},
        conditions=(Condition(type="Ready", status="True" if ready else "False", since=since),),
        **facts,
    )


def control_plane(number: int, **facts: Any) -> Instance:
    """A machine of the control plane."""
    return machine(number, labels={"node-role.kubernetes.io/control-plane": ""}, **facts)


def wish(
    instance: Instance,
    action: Action = Action.ROTATE,
    *,
    policy: str = "workers",
    severity: Severity = Severity.MEDIUM,
    rule: str = "max-age",
    hard: bool = False,
) -> Wish:
    """What a policy wants of a machine."""
    return Wish(
        uid=instance.uid,
        action=action,
        severity=severity,
        policy=policy,
        policy_uid=f"{policy}-uid",
        generation=1,
        rule=rule,
        message=f"{instance.name} is too old",
        hard=hard,
    )


def subject(
    instance: Instance,
    wanted: Wish | Action | None = None,
    *,
    ready_once: bool = True,
    selecting: tuple[str, ...] = ("workers",),
) -> Subject:
    """A machine as planning sees it."""
    found = wish(instance, wanted) if isinstance(wanted, Action) else wanted
    return Subject(uid=instance.uid, instance=instance, ready_once=ready_once, selecting=selecting, wish=found)


def policy(
    name: str = "workers",
    *,
    budgets: Iterable[Mapping[str, Any]] = (),
    enforces: bool = True,
    rotation: Mapping[str, Any] | None = None,
    **disruption: Any,
) -> PolicyFacts:
    """A policy that selects everything, with these brakes (camelCase, as in a manifest)."""
    spec = SecurityPolicySpec.model_validate(
        {
            "mode": "Enforce" if enforces else "Audit",
            "target": {"selector": {}},
            "rules": [{"name": "max-age", "type": "MaxAge", "maxAge": {"limit": "720h"}}],
            "action": "Rotate",
            "disruption": {"budgets": list(budgets), **disruption},
            "rotation": rotation or {},
        }
    )
    return PolicyFacts(name=name, uid=f"{name}-uid", generation=1, spec=spec, enforces=enforces)


def guard(status: Mapping[str, Any] | None = None, **spec: Any) -> FleetGuard:
    """A FleetGuard that holds next to nothing but what is given."""
    body = {"metadata": {"name": "default"}, "spec": {**OPEN_GUARD, **spec}, "status": status or {}}
    return FleetGuard.model_validate(body)


def settings(
    instance: Instance, *, strategy: str = "ReplaceFirst", policies: tuple[str, ...] = ("workers",), failures: int = 3
) -> FrozenSettings:
    """What an operation on that machine has frozen."""
    rotation = RotationSettings.model_validate({"strategy": strategy, "maxFailedReplacements": failures})
    return FrozenSettings(
        rotation=rotation,
        drain=DrainSettings(),
        quarantine=QuarantineSettings(),
        provider="Simulated",
        pool=instance.pool,
        zone=instance.zone,
        role="control-plane" if instance.control_plane else "worker",
        labels={"topology.kubernetes.io/zone": instance.zone},
        policies=tuple(Selecting(name=name, uid=f"{name}-uid") for name in policies),
    )


def rotation(
    instance: Instance,
    phase: str = "Pending",
    *,
    by_policy: bool = True,
    created: datetime = NOW - HOUR,
    number: int = 1,
    strategy: str = "ReplaceFirst",
    failures: int = 3,
    policies: tuple[str, ...] = ("workers",),
    spec: Mapping[str, Any] | None = None,
    **status: Any,
) -> Rotation:
    """A Rotation of that machine, as the API server holds it. It starts when it is created."""
    return Rotation.model_validate(
        _operation(instance, "rotation", phase, created, number, by_policy, spec)
        | {"status": _status(instance, phase, created, strategy, failures, policies) | _camel(status)}
    )


def quarantine(
    instance: Instance,
    phase: str = "Pending",
    *,
    by_policy: bool = True,
    created: datetime = NOW - HOUR,
    number: int = 1,
    policies: tuple[str, ...] = ("workers",),
    spec: Mapping[str, Any] | None = None,
    **status: Any,
) -> Quarantine:
    """A Quarantine of that machine, as the API server holds it."""
    return Quarantine.model_validate(
        _operation(instance, "quarantine", phase, created, number, by_policy, spec)
        | {"status": _status(instance, phase, created, "ReplaceFirst", 3, policies) | _camel(status)}
    )


def _operation(
    instance: Instance,
    kind: str,
    phase: str,
    created: datetime,
    number: int,
    by_policy: bool,
    spec: Mapping[str, Any] | None,
) -> dict[str, Any]:
    why = {"policy": {"name": "workers", "uid": "workers-uid", "generation": 1}, "rule": "max-age"} if by_policy else {}
    reference = {"name": instance.name, "uid": instance.uid, "providerID": instance.provider_id}
    name = f"{instance.name}-{instance.uid[:8]}-{number}"
    return {
        "metadata": {"name": name, "uid": f"{kind}-{name}", "creationTimestamp": created},
        "spec": {"instance": reference, **why, **(spec or {})},
    }


def _status(
    instance: Instance, phase: str, created: datetime, strategy: str, failures: int, policies: tuple[str, ...]
) -> dict[str, Any]:
    if phase == "Pending":
        return {"phase": phase}
    frozen = settings(instance, strategy=strategy, policies=policies, failures=failures)
    return {"phase": phase, "startedAt": created, "settings": frozen.wire()}


def _camel(fields: Mapping[str, Any]) -> dict[str, Any]:
    names = {"finished_at": "finishedAt", "started_at": "startedAt", "release_accepted": "releaseAccepted"}
    return {names.get(key, key): value for key, value in fields.items()}


FINE = LedgerHealth(state=LedgerState.FINE)
SIMULATED = ProviderFacts(name="Simulated", adds_first=True, brings_replacement=True)


@dataclass
class World:
    """A fleet, its policies and everything around; `plan` asks a planner that is told everything anew."""

    subjects: list[Subject] = field(default_factory=list)
    policies: list[PolicyFacts] = field(default_factory=lambda: [policy()])
    guard: FleetGuard | None = field(default_factory=guard)
    guard_problem: str = ""
    rotations: list[Rotation] = field(default_factory=list)
    quarantines: list[Quarantine] = field(default_factory=list)
    starts: list[Start] = field(default_factory=list)
    view: View | None = None
    skew: timedelta = timedelta(0)
    leases: tuple[int, int] | None = (0, 100)
    leases_problem: str = ""
    ledger: LedgerHealth = FINE
    own: OwnPlace = field(default_factory=OwnPlace)
    pods: dict[str, tuple[Pod, ...]] = field(default_factory=dict)
    provider: ProviderFacts = SIMULATED
    strategy: str = "ReplaceFirst"
    read_only: bool = False
    now: datetime = NOW

    def moment(self) -> Moment:
        """All that planning needs beside policies and subjects."""
        return Moment(
            guard=self.guard,
            guard_problem=self.guard_problem,
            view=self.view or View(oldest=self.now),
            clock_skew=self.skew,
            leases=self.leases,
            leases_problem=self.leases_problem,
            ledger=self.ledger,
            starts=tuple(self.starts),
            rotations=tuple(self.rotations),
            quarantines=tuple(self.quarantines),
            own=self.own,
            read_only=self.read_only,
            pods_on=lambda name: self.pods.get(name, ()),
            settings_for=self.settings_for,
            provider_for=lambda _: self.provider,
        )

    def settings_for(self, uid: str) -> FrozenSettings:
        """What an operation would get if it started now."""
        found = next(one for one in self.subjects if one.uid == uid)
        assert found.instance is not None
        return settings(found.instance, strategy=self.strategy, policies=found.selecting)

    def plan(self) -> Plan:
        """The full sweep."""
        return plan(self.policies, self.subjects, self.moment(), self.now)

    def planner(self) -> Planner:
        """A planner that was told everything."""
        planner = Planner()
        planner.set_policies(self.policies)
        for one in self.subjects:
            planner.set_subject(one)
        return planner

    def started(self, kind: str = ROTATION) -> list[str]:
        """Names of the machines on which an operation of that kind starts now, in order."""
        made = self.plan()
        names = {one.uid: one.instance.name for one in self.subjects if one.instance is not None}
        some = (*made.grants, *made.openings)
        return [names[one.instance] for one in some if one.kind == kind]

    def reason(self, instance: Instance) -> str:
        """Why nothing starts on that machine; "" when it is not held."""
        made = self.plan()
        found = made.blocked.get(instance.uid)
        for one in (*self.rotations, *self.quarantines):
            if one.spec.instance.uid == instance.uid and one.uid in made.waiting:
                found = made.waiting[one.uid]
        return str(found.reason) if found else ""

    def apply(self, made: Plan) -> None:
        """Open and grant what the plan says, as the sweep does."""
        for opening in made.openings:
            self._open(opening)
        granted = {one.uid for one in made.grants}
        self.rotations = [self._granted(one) if one.uid in granted else one for one in self.rotations]
        self.quarantines = [self._granted(one) if one.uid in granted else one for one in self.quarantines]

    def _open(self, opening: Opening) -> None:
        meta = {"uid": f"{opening.kind.lower()}-{opening.name}", "creationTimestamp": self.now}
        body = {**opening.body, "metadata": {**opening.body["metadata"], **meta}}
        body["status"] = {
            "phase": "Replacing" if opening.kind == ROTATION else "Isolating",
            "startedAt": self.now,
            "settings": self.settings_for(opening.instance).wire(),
        }
        if opening.kind == ROTATION:
            self.rotations.append(Rotation.model_validate(body))
        else:
            self.quarantines.append(Quarantine.model_validate(body))

    def _granted(self, operation: Any) -> Any:
        phase = "Replacing" if isinstance(operation, Rotation) else "Isolating"
        status = type(operation.status).model_validate(
            {
                "phase": phase,
                "startedAt": self.now,
                "settings": self.settings_for(operation.spec.instance.uid).wire(),
            }
        )
        return operation.model_copy(update={"status": status})


def fleet(count: int, **facts: Any) -> list[Instance]:
    """So many machines."""
    return [machine(number, **facts) for number in range(count)]


def quiet(machines: Iterable[Instance]) -> list[Subject]:
    """Machines of which nothing is wanted."""
    return [subject(one) for one in machines]


def violating(machines: Iterable[Instance], action: Action = Action.ROTATE) -> list[Subject]:
    """Machines that an enforcing policy wants to be rotated (or quarantined)."""
    return [subject(one, action) for one in machines]


def tainted(instance: Instance, key: str = "exuvia.dev/rotating") -> Instance:
    """Cordoned by us."""
    return replace(instance, unschedulable=True, taints=(Taint(key=key, effect="NoSchedule"),))
