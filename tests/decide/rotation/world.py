"""A tiny cluster with a provider, in memory: enough to run one Rotation from grant to end, and to crash it anywhere.

Marks are written by the very functions that write them on a real Node. `World.advance` does what the operator does:
look, win the step, act, note, look again. `crash_at` counts these writes and stops after the n-th, as SIGKILL would.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from exuvia.act import marks as hands
from exuvia.decide import rotation as rooms
from exuvia.decide.rotation.patching import merged
from exuvia.model import marks
from exuvia.model.actions import (
    Action,
    DeletePod,
    EvictPod,
    MarkInstance,
    Outcome,
    OutcomeKind,
    RemoveMachine,
    RequestMachine,
    RestoreInstance,
)
from exuvia.model.blocking import Blocked
from exuvia.model.instances import Instance
from exuvia.model.pods import AttachedVolume, DisruptionBudget, Owner, Pod, Toleration
from exuvia.model.quarantine_views import CapacityFacts
from exuvia.model.reasons import BlockedReason
from exuvia.model.rotation_views import ProviderFacts, RotationView
from exuvia.model.specs.operation import FrozenSettings
from exuvia.model.specs.quarantine import Quarantine
from exuvia.model.specs.rotation import Rotation, RotationPhase
from exuvia.model.specs.security_policy import DrainSettings, RotationSettings
from exuvia.model.steps import Look, Note, Step
from exuvia.observe import nodes as node_records

START = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
POOL = "workers"
UID = "0e7c1111-old"
SIMULATED = ProviderFacts(name="Simulated", adds_first=True, brings_replacement=True)
NODE_DELETE = ProviderFacts(name="NodeDelete")
REPLICA_SET = Owner(api_version="apps/v1", kind="ReplicaSet", name="web", uid="rs-1")
DAEMON_SET = Owner(api_version="apps/v1", kind="DaemonSet", name="agent", uid="ds-1")
PAUSE = Blocked(reason=BlockedReason.PAUSED, message="alice asked for a pause")


class Crash(Exception):
    """The operator was killed."""


def node_body(name: str, uid: str, **facts: Any) -> dict[str, Any]:
    """A Node as the API server serves it. `facts`: born, labels, annotations, provider_id, machine_id, ready, taints,
    unschedulable, pool."""
    born: datetime = facts.get("born", START - timedelta(days=40))
    labels = {marks.POOL_LABEL: facts.get("pool", POOL), **facts.get("labels", {})}
    spec: dict[str, Any] = {"providerID": facts.get("provider_id", f"simulated://{uid}")}
    if facts.get("unschedulable"):
        spec["unschedulable"] = True
    if facts.get("taints"):
        spec["taints"] = list(facts["taints"])
    ready = facts.get("ready", "True")
    return {
        "metadata": {
            "name": name,
            "uid": uid,
            "creationTimestamp": born.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "labels": labels,
            "annotations": dict(facts.get("annotations", {})),
        },
        "spec": spec,
        "status": {
            "conditions": [{"type": "Ready", "status": ready, "lastTransitionTime": "2026-11-01T00:00:00Z"}],
            "nodeInfo": {"machineID": facts.get("machine_id", f"machine-{uid}")},
        },
    }


def pod(name: str, **facts: Any) -> Pod:
    """A pod of the old machine, owned by a ReplicaSet where nothing else is said."""
    said: dict[str, Any] = {
        "namespace": "shop",
        "uid": f"uid-{name}",
        "node": "worker-1",
        "phase": "Running",
        "created": START - timedelta(days=1),
        "started": START - timedelta(days=1),
        "labels": {"app": name},
        "owner": REPLICA_SET,
        "grace_seconds": 5,
    }
    return Pod(name=name, **(said | facts))


def daemon_pod(name: str = "agent", **facts: Any) -> Pod:
    """A pod of a DaemonSet."""
    tolerations = (Toleration(operator="Exists"),)
    return pod(name, **({"owner": DAEMON_SET, "namespace": "kube-system", "tolerations": tolerations} | facts))


def budget(name: str, app: str, allowed: int = 0) -> DisruptionBudget:
    """A PodDisruptionBudget over the pods with that `app` label."""
    return DisruptionBudget(
        namespace="shop", name=name, match_labels=(("app", app),), allowed=allowed, healthy=2, desired=2
    )


def frozen(*, drain: Mapping[str, Any] | None = None, pool: str = POOL, **rotation: Any) -> FrozenSettings:
    """Settings of an operation, in snake_case."""
    return FrozenSettings(
        rotation=RotationSettings(**rotation),
        drain=DrainSettings(**(drain or {})),
        provider="Simulated",
        pool=pool,
        machine_id=f"machine-{UID}",
    )


def make_rotation(name: str = "worker-1-0e7c1111-1", **facts: Any) -> Rotation:
    """A Rotation as it was created. `facts`: uid, instance, created, spec (camelCase), status (camelCase), deleting."""
    created: datetime = facts.get("created", START)
    metadata: dict[str, Any] = {
        "name": name,
        "uid": facts.get("uid", f"uid-of-{name}"),
        "creationTimestamp": created,
        "finalizers": ["exuvia.dev/finalizer"],
    }
    if facts.get("deleting"):
        metadata["deletionTimestamp"] = created
    instance = {"kind": "Node", "name": "worker-1", "uid": UID, "providerID": f"simulated://{UID}"}
    policy = {"name": "workers", "uid": "policy-1", "generation": 3}
    spec = {"instance": instance | facts.get("instance", {}), "policy": policy, "rule": "max-age"}
    spec |= facts.get("spec", {})
    spec = {key: value for key, value in spec.items() if value is not None}
    return Rotation.parse({"metadata": metadata, "spec": spec, "status": facts.get("status", {})})


def make_quarantine(name: str = "worker-1-q", **facts: Any) -> Quarantine:
    """A Quarantine of the same machine. `facts`: instance_uid, created, status (camelCase)."""
    instance = {"kind": "Node", "name": "worker-1", "uid": facts.get("instance_uid", UID)}
    metadata = {"name": name, "uid": f"uid-of-{name}", "creationTimestamp": facts.get("created", START)}
    return Quarantine.parse({"metadata": metadata, "spec": {"instance": instance}, "status": facts.get("status", {})})


@dataclass
class Launch:
    """What the provider was asked for."""

    key: str
    asked: datetime
    state: str = "Launching"
    uid: str = ""


@dataclass
class World:
    """The cluster, the provider, and one Rotation. Change anything between steps."""

    settings: FrozenSettings = field(default_factory=frozen)
    provider: ProviderFacts = SIMULATED
    now: datetime = START
    rotation: Rotation = field(default_factory=make_rotation)
    nodes: dict[str, dict[str, Any]] = field(default_factory=dict)  # by UID
    pods: dict[str, Pod] = field(default_factory=dict)  # by UID
    budgets: tuple[DisruptionBudget, ...] = ()
    daemon_sets: dict[tuple[str, str], bool | None] = field(default_factory=lambda: {("kube-system", "agent"): True})
    volumes: tuple[AttachedVolume, ...] = ()
    launches: dict[str, Launch] = field(default_factory=dict)
    rotations: tuple[Rotation, ...] = ()
    quarantines: tuple[Quarantine, ...] = ()
    view: dict[str, Any] = field(default_factory=dict)  # overrides of the view
    failing: dict[str, str] = field(default_factory=dict)
    unreadable: dict[Look, str] = field(default_factory=dict)
    launch_time: timedelta = timedelta(seconds=20)
    launch_facts: dict[str, Any] = field(default_factory=dict)
    never_ready: bool = False
    refill: bool = False  # the pool's owner brings a machine after one is gone
    refused: dict[type, Outcome] = field(default_factory=dict)  # an answer for all actions of a kind
    done: list[tuple[datetime, Action]] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    phases: list[RotationPhase] = field(default_factory=list)
    lost: list[Pod] = field(default_factory=list)  # pods that had to leave and went down with the machine
    looked: list[frozenset[Look]] = field(default_factory=list)
    crash_at: int = -1
    stop_at: RotationPhase | None = None
    writes: int = 0

    def __post_init__(self) -> None:
        if not self.nodes:
            self.add_node("worker-1", UID)

    def add_node(self, name: str, uid: str, **facts: Any) -> None:
        """A machine joins."""
        self.nodes[uid] = node_body(name, uid, **facts)

    def add(self, *pods: Pod) -> World:
        """Pods run on the old machine."""
        self.pods |= {one.uid: one for one in pods}
        return self

    def node(self, uid: str = UID) -> Instance | None:
        """The machine of that UID, as it is."""
        return node_records.from_body(self.nodes[uid]) if uid in self.nodes else None

    # What the operator does.

    def grant(self) -> World:
        """The sweep lets it start."""
        self._win(rooms.grant(self.rotation, self.settings, self.now))
        return self

    def gather(self, looks: Iterable[Look] = ()) -> RotationView:
        """The picture, with these things read anew."""
        uid, wanted = self.rotation.spec.instance.uid, frozenset(looks)
        candidates = [node_records.from_body(one) for key, one in self.nodes.items() if key != uid]
        base = RotationView(
            rotation=self.rotation,
            instance=self.node(uid),
            fresh=wanted - set(self.unreadable),
            failed={look: said for look, said in self.unreadable.items() if look in wanted},
            pods=tuple(self.pods_on(self.rotation.spec.instance.name)),
            daemon_sets=self.daemon_sets,
            budgets=self.budgets,
            volumes=self.volumes if Look.VOLUMES in wanted else None,
            provider=self.provider,
            capacity=self._capacity(),
            replacement_pods=self._replacement_pods(),
            candidates=tuple(candidates),
            failing=self.failing,
            rotations=self.rotations,
            quarantines=self.quarantines,
        )
        return replace(base, **self.view)

    def pods_on(self, name: str) -> list[Pod]:
        """Pods bound to that name."""
        return [one for one in self.pods.values() if one.node == name]

    def ask(self) -> tuple[RotationView, Step]:
        """The next step, after all looks that it wants."""
        looks: frozenset[Look] = frozenset()
        for _ in range(6):
            view = self.gather(looks)
            step = rooms.step(view, self.now)
            if not step.look:
                self.looked.append(looks)
                return view, step
            assert step.look - looks, f"asked for {step.look} twice"
            looks |= step.look
        raise AssertionError("no step could be decided")

    def advance(self) -> Step:
        """Steps until only waiting is left; the last one is returned."""
        for _ in range(60):
            if self.rotation.status.phase.ended:
                return Step(finished=True)
            view, step = self.ask()
            if not (step.status or step.actions or step.finished):
                return step
            self.carry_out(view, step)
        raise AssertionError(f"it never comes to rest: {step}")

    def carry_out(self, view: RotationView, step: Step) -> None:
        """Win the step, do it, note what came of it."""
        self._win(step.status)
        self.notes += step.notes
        outcomes = tuple(self.execute(one) for one in step.actions)
        if outcomes:
            noted = rooms.note(self.gather(), step, outcomes, self.now)
            self.notes += noted.notes
            if noted.status:
                self._win(noted.status)

    def _win(self, patch: Mapping[str, Any]) -> None:
        self.rotation = merged(self.rotation, patch)
        phase = self.rotation.status.phase
        if not self.phases or self.phases[-1] is not phase:
            self.phases.append(phase)
        self._written()
        if phase is self.stop_at:
            raise Crash

    def _written(self) -> None:
        self.writes += 1
        if self.writes == self.crash_at:
            raise Crash

    def run(self, limit: timedelta = timedelta(hours=8), *, pace: timedelta = timedelta(seconds=5)) -> World:
        """Advance and let time pass until it ended, or the limit is over."""
        end = self.now + limit
        while self.now < end and not self.rotation.status.phase.ended:
            try:
                step = self.advance()
            except Crash:
                step = Step()
            self.tick(min(step.recheck_after or pace, pace))
        return self

    def until(self, phase: RotationPhase, limit: timedelta = timedelta(hours=4)) -> World:
        """Advance, and stop right after that phase was won, before anything is written in it."""
        end, self.stop_at = self.now + limit, phase
        while self.now < end and self.rotation.status.phase is not phase:
            try:
                step = self.advance()
            except Crash:
                break
            self.tick(min(step.recheck_after or timedelta(seconds=5), timedelta(seconds=5)))
        self.stop_at = None
        assert self.rotation.status.phase is phase, self.rotation.status
        return self

    # What the world does.

    def tick(self, span: timedelta | float) -> World:
        """Time passes: pods end, machines come."""
        self.now += span if isinstance(span, timedelta) else timedelta(seconds=span)
        ended = [one.uid for one in self.pods.values() if one.deletion_deadline and one.deletion_deadline <= self.now]
        for uid in ended:
            if "stuck" not in self.pods[uid].labels:
                del self.pods[uid]
        for launch in self.launches.values():
            if launch.state == "Launching" and self.now >= launch.asked + self.launch_time:
                self._join(launch)
        return self

    def _join(self, launch: Launch) -> None:
        launch.state, launch.uid = "Running", f"new-{launch.key}"
        facts: dict[str, Any] = {"born": self.now, "ready": "False" if self.never_ready else "True"}
        self.add_node(f"worker-{launch.key}", launch.uid, **(facts | self.launch_facts))

    def _capacity(self) -> CapacityFacts:
        replacement = self.rotation.status.replacement
        launch = self.launches.get(replacement.request_id) if replacement else None
        uid = (replacement.uid if replacement else "") or (launch.uid if launch else "")
        node = self.node(uid) if uid else None
        return CapacityFacts(
            machine_state=launch.state if launch else "Unknown",
            node=node,
            provider_id=node.provider_id if node else "",
            failing=self.failing.get(uid, ""),
        )

    def _replacement_pods(self) -> tuple[Pod, ...] | None:
        node = self._capacity().node
        return tuple(self.pods_on(node.name)) if node else None

    def execute(self, action: Action) -> Outcome:
        """What the hands do, on this world."""
        self.done.append((self.now, action))
        refused = self.refused.get(type(action))
        outcome = replace(refused, action=action) if refused else self._execute(action)
        self._written()
        return outcome

    def _execute(self, action: Action) -> Outcome:
        match action:
            case MarkInstance() | RestoreInstance():
                return self._mark(action)
            case EvictPod() | DeletePod():
                return self._evict(action)
            case RequestMachine():
                self.launches.setdefault(action.key, Launch(key=action.key, asked=self.now))
                return Outcome(action=action, kind=OutcomeKind.DONE)
            case RemoveMachine():
                return self._remove(action)
        raise AssertionError(f"a Rotation does not do {action}")

    def _mark(self, action: MarkInstance | RestoreInstance) -> Outcome:
        body = self.nodes.get(action.instance.uid)
        if body is None:
            return Outcome(action=action, kind=OutcomeKind.ALREADY)
        change = hands.marking(body, action) if isinstance(action, MarkInstance) else hands.restoring(body, action)
        self.nodes[action.instance.uid] = _merge(body, change)
        return Outcome(action=action, kind=OutcomeKind.DONE if change else OutcomeKind.ALREADY)

    def _evict(self, action: EvictPod | DeletePod) -> Outcome:
        found = self.pods.get(action.pod.uid)
        if found is None:
            return Outcome(action=action, kind=OutcomeKind.ALREADY, code=404)
        if isinstance(action, EvictPod) and found.deleting_since is None:
            covering = [one for one in self.budgets if one.match_labels == (("app", found.labels.get("app", "")),)]
            if len(covering) > 1:
                return Outcome(action=action, kind=OutcomeKind.REFUSED, code=500, reason="PDB")
            if covering and covering[0].allowed < 1:
                return _refused(action, covering[0])
        grace = timedelta(seconds=found.grace_seconds) if action.grace is None else action.grace
        since = found.deleting_since or self.now
        self.pods[found.uid] = replace(found, deleting_since=since, deletion_deadline=self.now + grace)
        return Outcome(action=action, kind=OutcomeKind.DONE, code=201)

    def _remove(self, action: RemoveMachine) -> Outcome:
        body = self.nodes.pop(action.instance.uid, None)
        if body is None:
            return Outcome(action=action, kind=OutcomeKind.ALREADY)
        name = body["metadata"]["name"]
        for one in self.pods_on(name):
            if _had_to_leave(one):
                self.lost.append(one)
            del self.pods[one.uid]
        for launch in self.launches.values():
            if launch.uid == action.instance.uid:
                launch.state = "Gone"
        if self.refill:
            key = f"refill-{len(self.launches)}"
            self.launches[key] = Launch(key=key, asked=self.now)
        return Outcome(action=action, kind=OutcomeKind.DONE)

    # What tests ask.

    def actions(self, *kinds: type) -> list[Action]:
        """What was done, of these kinds."""
        return [one for _, one in self.done if not kinds or isinstance(one, kinds)]

    @property
    def status(self) -> Any:
        """Of the Rotation."""
        return self.rotation.status

    def blocked(self) -> str:
        """The reason that the status shows."""
        return self.rotation.status.blocked.reason if self.rotation.status.blocked else ""

    def marked(self, uid: str = UID) -> bool:
        """Whether our taint is on the machine."""
        node = self.node(uid)
        return node is not None and node.taint(marks.ROTATING_TAINT) is not None


def _had_to_leave(one: Pod) -> bool:
    """Plainly said again, so that it does not copy what is tested."""
    daemon = one.owner is not None and one.owner.kind == "DaemonSet"
    rides = any(each.key == marks.ROTATING_TAINT for each in one.tolerations)
    return not (daemon or rides or one.mirror or one.owned_by_node or one.finished)


def _refused(action: EvictPod | DeletePod, one: DisruptionBudget) -> Outcome:
    detail = {"pdb": one.key, "needs": str(one.desired), "has": str(one.healthy)}
    return Outcome(action=action, kind=OutcomeKind.REFUSED, code=429, reason="PDB", detail=detail)


def _merge(target: Any, patch: Any) -> Any:
    if not isinstance(patch, Mapping):
        return patch
    kept = copy.deepcopy(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            kept.pop(key, None)
        else:
            kept[key] = _merge(kept.get(key), value)
    return kept
