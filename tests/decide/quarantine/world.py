"""A tiny world for one Quarantine: a machine, its pods, their network, a disk, a provider; and a shell that may crash.

It behaves as the API server does where that matters: identities are UIDs, a released pod loses its owner, an evicted
pod is there for a while. What is not read freshly may be a picture of the moment before (`lag`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from exuvia.decide import quarantine as decide
from exuvia.decide.quarantine.patching import won
from exuvia.model import marks
from exuvia.model.actions import (
    Action,
    AllowNetwork,
    CreateOperation,
    DenyNetwork,
    EvictPod,
    LabelPod,
    MarkInstance,
    Outcome,
    OutcomeKind,
    RequestMachine,
    RestoreInstance,
)
from exuvia.model.blocking import Blocked
from exuvia.model.evidence import Collected, CollectorResult, DiskState, EvidenceOnDisk, EvidenceOrder, ItemResult
from exuvia.model.instances import Condition, Instance, Taint
from exuvia.model.pods import DisruptionBudget, Owner, Pod
from exuvia.model.quarantine_views import CapacityFacts, NetworkPolicyFacts, OwnPlace, QuarantineView
from exuvia.model.reasons import BlockedReason
from exuvia.model.specs.operation import FrozenSettings
from exuvia.model.specs.quarantine import Quarantine
from exuvia.model.specs.rotation import Rotation
from exuvia.model.specs.security_policy import QuarantineSettings
from exuvia.model.steps import Look, Note, Step

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
BORN = NOW - timedelta(days=3)
NODE_UID = "11111111-node"
UID = "22222222-quarantine"
NAME = "worker-7-11111111-1"
DIGEST = "d1" * 32
PAUSED = Blocked(reason=BlockedReason.PAUSED, message="paused by alice: incident 42")
STORM = Blocked(reason=BlockedReason.STORM, message="9 of 12 machines are not ready")


class Crash(Exception):
    """The process died here."""


def instance(name: str = "worker-7", uid: str = NODE_UID, **fields: Any) -> Instance:
    """A machine that is Ready."""
    ready = (Condition(type="Ready", status="True"),)
    return Instance(**{"name": name, "uid": uid, "born": BORN, "conditions": ready, "pool": "blue", **fields})


def pod(name: str, owner: str = "ReplicaSet", namespace: str = "shop", **fields: Any) -> Pod:
    """A running pod; `owner` "" for an unmanaged one."""
    controller = Owner(api_version="apps/v1", kind=owner, name=f"{name}-owner", uid=f"{name}-owner") if owner else None
    labels = {"app": name, "tier": "web"}
    base = {"namespace": namespace, "name": name, "uid": f"uid-{name}", "node": "worker-7", "phase": "Running"}
    return Pod(**{**base, "created": BORN, "labels": labels, "owner": controller, **fields})


def settings(provider: str = "Simulated", **quarantine: Any) -> FrozenSettings:
    """What is frozen at the start."""
    wanted = QuarantineSettings.model_validate(quarantine)
    return FrozenSettings(provider=provider, pool="blue", quarantine=wanted, machine_id="machine-7")


def quarantine(*, name: str = NAME, uid: str = UID, node: str = NODE_UID, **spec: Any) -> Quarantine:
    """One in Pending, as a person or the sweep makes it."""
    base = {"instance": {"kind": "Node", "name": "worker-7", "uid": node}, "reason": "suspicious", "requestedBy": "eve"}
    meta = {"name": name, "uid": uid, "generation": 1, "creationTimestamp": NOW.isoformat()}
    return Quarantine.parse({"metadata": meta, "spec": {**base, **spec}})


def release(verdict: str = "Return", by: str = "alice", **more: Any) -> dict[str, Any]:
    """A person's decision."""
    return {"by": by, "verdict": verdict, "reason": "looked at", **more}


@dataclass
class World:
    """Everything there is. Tests change it as somebody else would."""

    quarantine: Quarantine = field(default_factory=quarantine)
    node: Instance | None = field(default_factory=instance)
    pods: dict[str, Pod] = field(default_factory=dict)
    budgets: tuple[DisruptionBudget, ...] = ()
    policies: list[NetworkPolicyFacts] = field(default_factory=list)
    rotations: list[Rotation] = field(default_factory=list)
    quarantines: list[Quarantine] = field(default_factory=list)
    instances: tuple[Instance, ...] = ()
    machines: dict[str, str] = field(default_factory=dict)  # key of a request -> machine state
    joined: Instance | None = None  # the replacement's node
    failing: str = ""
    disk: EvidenceOnDisk = field(default_factory=lambda: EvidenceOnDisk(state=DiskState.ABSENT))
    missing: str = ""  # what no collector can get now
    now: datetime = NOW
    hold: Blocked | None = None
    eviction_hold: Blocked | None = None
    own: OwnPlace = field(default_factory=OwnPlace)
    policy_enforces: bool = False
    controllers: tuple[str, ...] = ()
    failed: dict[Look, str] = field(default_factory=dict)
    known: bool = True
    ledger_down: bool = False
    collecting: EvidenceOrder | None = None
    refuse: Callable[[Action], Outcome | None] = lambda action: None
    fuse: int | None = None  # the process dies at this event
    lag: bool = False
    done: list[Action] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    phases: list[str] = field(default_factory=list)
    orders: list[EvidenceOrder] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)  # what was destroyed before the evidence was safe
    _former: tuple[Instance | None, tuple[Pod, ...]] | None = None

    def add(self, *pods: Pod) -> World:
        """Put pods on the machine."""
        self.pods |= {one.uid: one for one in pods}
        return self

    @property
    def status(self) -> Any:
        """The Quarantine's status."""
        return self.quarantine.status

    def view(self, fresh: frozenset[Look] = frozenset()) -> QuarantineView:
        """The picture; what is not fresh may be old."""
        old = self._former if self.lag and self._former is not None else None
        node = self.node if Look.NODE in fresh or old is None else old[0]
        pods = tuple(self.pods.values()) if Look.PODS in fresh or old is None else old[1]
        return QuarantineView(
            quarantine=self.quarantine,
            instance=node,
            instance_known=self.known,
            fresh=fresh - set(self.failed),
            failed={look: why for look, why in self.failed.items() if look in fresh},
            pods=pods,
            budgets=self.budgets,
            network_policies=tuple(self.policies) if Look.NETWORK_POLICIES in fresh else None,
            evidence=self.disk if Look.EVIDENCE in fresh else None,
            collecting=self.collecting is not None,
            capacity=self._capacity() if Look.MACHINE in fresh else None,
            rotations=tuple(self.rotations),
            quarantines=tuple(self.quarantines),
            instances=self.instances,
            settings=settings(),
            hold=self.hold,
            eviction_hold=self.eviction_hold,
            own=self.own,
            policy_enforces=self.policy_enforces,
            controllers=self.controllers,
            ledger_down=self.ledger_down,
        )

    def _capacity(self) -> CapacityFacts:
        state = self.machines.get(decide.request_key(self.quarantine), "Unknown")
        return CapacityFacts(machine_state=state, node=self.joined, failing=self.failing)

    def grant(self, frozen: FrozenSettings | None = None) -> World:
        """The sweep lets it start."""
        self._patch(decide.grant(self.quarantine, frozen or settings(), self.now))
        return self

    def write(self, **spec: Any) -> World:
        """Somebody edits the spec."""
        meta = self.quarantine.metadata
        old = self.quarantine.spec.wire()
        body = {**meta.model_dump(mode="json", by_alias=True), "generation": meta.generation + 1}
        status = self.status.wire()
        self.quarantine = Quarantine.parse({"metadata": body, "spec": {**old, **spec}, "status": status})
        return self

    def ask(self) -> Step:
        """The next step, with everything read that it wants to look at."""
        fresh: frozenset[Look] = frozenset()
        for _ in range(len(Look) + 1):
            step = decide.step(self.view(fresh), self.now)
            if not step.look:
                return step
            assert step == Step(look=step.look), "a step that looks does nothing else"
            assert not step.look <= fresh, f"{step.look} was read already"
            fresh |= step.look
        raise AssertionError("it never stops looking")

    def settle(self, rounds: int = 60) -> Step:
        """Step after step, until nothing is to be done now."""
        for _ in range(rounds):
            step = self.ask()
            if step.finished or not (step.status or step.actions or step.collect):
                self._carry_out(step)
                return step
            self._carry_out(step)
        raise AssertionError(f"it never rests: {[one.name for one in self.steps[-8:]]}")

    def _carry_out(self, step: Step) -> None:
        self.steps.append(step)
        self.notes += step.notes
        before = (self.node, tuple(self.pods.values()))
        self._patch(step.status)
        self._event()
        outcomes = []
        for action in step.actions:
            outcomes.append(self.perform(action))
            self._event()
        if step.collect:
            self.collecting = decide.order(self.view())
            self.orders.append(self.collecting)
        if outcomes:
            noted = decide.note(self.view(), step, tuple(outcomes), self.now)
            self.notes += noted.notes
            self._patch(noted.status)
            self._event()
        self._former = before

    def _event(self) -> None:
        if self.fuse is not None:
            self.fuse -= 1
            if self.fuse < 0:
                self.fuse = None
                self.collecting = None
                raise Crash

    def _patch(self, patch: Any) -> None:
        """One compare-and-swap; a new phase is remembered."""
        self.quarantine = won(self.quarantine, patch)
        phase = str(self.status.phase)
        if not self.phases or self.phases[-1] != phase:
            self.phases.append(phase)

    def tick(self, span: timedelta = timedelta(seconds=11)) -> World:
        """Time passes: collectors end, leaving pods are gone, asked machines come."""
        self.now += span
        self._finish_collecting()
        self.pods = {uid: one for uid, one in self.pods.items() if one.deleting_since is None}
        self.machines = {key: "Running" if state == "Launching" else state for key, state in self.machines.items()}
        if self.joined is None and "Running" in self.machines.values():
            self.joined = instance("worker-99", "99999999-node")
        return self

    def _finish_collecting(self) -> None:
        order, self.collecting = self.collecting, None
        if order is None:
            return
        sealed = not order.draft_only and (not self.missing or order.seal_incomplete)
        result = ItemResult.FAILED if self.missing else ItemResult.CAPTURED
        items = tuple(CollectorResult(collector=one.name, type=one.type, result=result) for one in order.collectors)
        collected = Collected(
            sealed=sealed,
            manifest=f"{self.quarantine.name}-{UID}/manifest.json" if sealed else "",
            digest=DIGEST if sealed else "",
            items=items,
            message=self.missing,
        )
        if sealed:
            self.disk = EvidenceOnDisk(state=DiskState.SOUND, digest=DIGEST)
        self._event()
        noted = decide.note_evidence(self.view(), collected, self.now)
        self.notes += noted.notes
        self._patch(noted.status)

    def live(self, until: Callable[[World], bool] | None = None, ticks: int = 40) -> World:
        """Settle and let time pass, until something is so (or the Quarantine is over)."""
        for _ in range(ticks):
            self.settle()
            if until(self) if until else not self.quarantine.open:
                return self
            self.tick()
        assert until is None, f"it did not come to that: {self.status.phase}, {self.status.blocked}"
        return self

    def held(self) -> World:
        """Started, isolated, sealed, held."""
        if self.status.started_at is None:
            self.grant()
        return self.live(lambda world: str(world.status.phase) == "Held")

    def perform(self, action: Action) -> Outcome:
        """One write, as the API server would take it."""
        refused = self.refuse(action)
        if refused is not None:
            return refused
        self.done.append(action)
        self._guard(action)
        match action:
            case MarkInstance():
                self._mark(action)
            case RestoreInstance():
                self._restore(action)
            case LabelPod():
                self._label(action)
            case EvictPod():
                found = self.pods.get(action.pod.uid)
                if found is not None:
                    self.pods[found.uid] = replace(found, deleting_since=self.now)
            case DenyNetwork():
                self._deny(action)
            case AllowNetwork():
                self._allow(action)
            case RequestMachine():
                self.machines.setdefault(action.key, "Launching")
            case CreateOperation():
                self._create(action)
            case _:
                raise AssertionError(f"a Quarantine never does {action}")
        return Outcome(action=action, kind=OutcomeKind.DONE)

    def _guard(self, action: Action) -> None:
        """Nothing is destroyed before its evidence is sealed, unless a person wrote so or gave the machine back."""
        accepted = self.status.release_accepted
        sealed = self.status.evidence is not None and bool(self.status.evidence.digest)
        allowed = accepted is not None and (accepted.destroy_unsealed or str(accepted.verdict) == "Return")
        own = isinstance(action, EvictPod) and action.pod.namespace == marks.SYSTEM_NAMESPACE
        destroys = isinstance(action, EvictPod) or (isinstance(action, CreateOperation) and action.kind == "Rotation")
        if destroys and not own and not sealed and not allowed:
            self.lost.append(str(action))

    def _mark(self, action: MarkInstance) -> None:
        node = self.node
        if node is None or node.uid != action.instance.uid:
            return
        others = tuple(one for one in node.taints if one.key != marks.QUARANTINED_TAINT)
        taint = Taint(key=marks.QUARANTINED_TAINT, effect=marks.TAINT_EFFECT)
        labels = {marks.STATE_LABEL: marks.STATE_QUARANTINED, marks.KUBELET_PROOF_LABEL: "true"}
        if "LoadBalancerExclusion" in action.isolation:
            labels[marks.EXCLUDE_LOAD_BALANCERS_LABEL] = ""
        annotations = dict.fromkeys(marks.FOREIGN_OPT_OUTS, "true") | {marks.OPERATION_ANNOTATION: action.operation}
        self.node = replace(
            node,
            unschedulable=True,
            taints=(*others, taint) if "Taint" in action.isolation else node.taints,
            labels={**node.labels, **labels},
            annotations={**node.annotations, **annotations},
        )

    def _restore(self, action: RestoreInstance) -> None:
        node = self.node
        if node is None or node.uid != action.instance.uid:
            return
        labels, annotations = action.before.labels, action.before.annotations
        self.node = replace(
            node,
            unschedulable=action.before.unschedulable,
            taints=tuple(one for one in node.taints if one.key != marks.QUARANTINED_TAINT),
            labels={key: one for key, one in {**node.labels, **labels}.items() if one is not None},
            annotations={key: one for key, one in {**node.annotations, **annotations}.items() if one is not None},
        )

    def _label(self, action: LabelPod) -> None:
        found = self.pods.get(action.pod.uid)
        if found is None:
            return
        labels = {key: one for key, one in {**found.labels, **action.labels}.items() if one is not None}
        owned_by_set = found.owner is not None and found.owner.kind == "ReplicaSet"
        released = owned_by_set and "app" not in labels
        self.pods[found.uid] = replace(found, labels=labels, owner=None if released else found.owner)

    def _allow(self, action: AllowNetwork | DenyNetwork) -> None:
        self.policies = [one for one in self.policies if (one.namespace, one.name) != (action.namespace, action.name)]

    def _deny(self, action: DenyNetwork) -> None:
        self._allow(action)
        new = NetworkPolicyFacts(namespace=action.namespace, name=action.name, quarantine=action.quarantine_uid)
        self.policies.append(new)

    def _create(self, action: CreateOperation) -> None:
        made: list[Any] = self.rotations if action.kind == "Rotation" else self.quarantines
        if any(one.name == action.name for one in made):
            return
        body = dict(action.body)
        meta = {"name": action.name, "uid": f"uid-{action.name}", "creationTimestamp": self.now.isoformat()}
        model = Rotation if action.kind == "Rotation" else Quarantine
        made.append(model.parse({**body, "metadata": meta}))


def rotation(
    name: str = "worker-7-11111111-1", phase: str = "Pending", *, uid: str = NODE_UID, **more: Any
) -> Rotation:
    """A Rotation of the machine."""
    spec = {"instance": {"kind": "Node", "name": "worker-7", "uid": uid}, **more.pop("spec", {})}
    meta = {"name": name, "uid": f"uid-{name}", "creationTimestamp": BORN.isoformat()}
    return Rotation.parse({"metadata": meta, "spec": spec, "status": {"phase": phase, **more}})


def refusal(kind: type, reason: str = "Forbidden", message: str = "no right", **more: Any) -> Callable[[Action], Any]:
    """An API server that says no to one kind of action."""

    def answer(action: Action) -> Outcome | None:
        if not isinstance(action, kind):
            return None
        return Outcome(action=action, kind=OutcomeKind.REFUSED, reason=reason, message=message, **more)

    return answer


def marked(world: World) -> bool:
    """Whether the machine bears all that a quarantine sets."""
    node = world.node
    assert node is not None
    keys = (marks.STATE_LABEL, marks.KUBELET_PROOF_LABEL, marks.EXCLUDE_LOAD_BALANCERS_LABEL)
    opted_out = all(node.annotations.get(one) == "true" for one in marks.FOREIGN_OPT_OUTS)
    return (
        node.unschedulable
        and node.taint(marks.QUARANTINED_TAINT) is not None
        and opted_out
        and all(one in node.labels for one in keys)
    )


def condition(world: World, type_: str) -> tuple[str, str]:
    """Status and reason of a condition; ("", "") when it is not said."""
    found = next((one for one in world.status.conditions if one.type == type_), None)
    return (found.status, found.reason) if found else ("", "")
