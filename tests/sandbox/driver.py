"""Carries one operation through a world: look, ask for the next step, win it, act, note, look again.

One `Process` is one life of the operator; everything that it writes burns the same fuse. What survives it are the
world, its cloud and its ledger.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from exuvia import errors, ports
from exuvia.act import network
from exuvia.act.evidence import Custodian
from exuvia.act.hands import Hands
from exuvia.act.providers.node_delete import NodeDelete
from exuvia.decide import quarantine as quarantines
from exuvia.decide import rotation as rotations
from exuvia.model import facts, marks, resources
from exuvia.model.actions import Outcome
from exuvia.model.facts import Receipt
from exuvia.model.instances import Instance
from exuvia.model.quarantine_views import CapacityFacts, QuarantineView
from exuvia.model.rotation_views import ProviderFacts, RotationView
from exuvia.model.specs import operation as specs
from exuvia.model.specs.common import InstanceReference
from exuvia.model.specs.operation import FrozenSettings, ReplacementStatus
from exuvia.model.specs.quarantine import Quarantine, QuarantineSpec
from exuvia.model.specs.rotation import Rotation, RotationSpec
from exuvia.model.specs.security_policy import DrainSettings, QuarantineSettings, RotationSettings
from exuvia.model.steps import Look, Step
from exuvia.observe import fresh, nodes
from exuvia.observe import pods as pod_records
from exuvia.sandbox.cluster import World
from exuvia.sandbox.faults import FaultyCluster, FaultyLedger, FaultyProvider, Fuse
from exuvia.sandbox.ledger import MemoryLedger
from exuvia.sandbox.provider import Cloud

Operation = Rotation | Quarantine
T = TypeVar("T")
OLD = "old"
FIRST = "old-1"
PAUSE = timedelta(seconds=5)
QUIET = timedelta(minutes=3)  # a Quarantine that is held rests when nothing was to be done for so long


@dataclass(kw_only=True)
class Scene:
    """What outlives every process: the world with a machine named `old`, its cloud, the ledger, the evidence disk."""

    folder: Path
    settings: FrozenSettings
    world: World = field(default_factory=World)
    ledger: MemoryLedger = field(default_factory=MemoryLedger)

    def __post_init__(self) -> None:
        self.cloud = Cloud(storage=self.world.storage)
        self.world.actors.append(self.cloud)

    def body(self, resource: resources.Resource, name: str) -> dict[str, Any]:
        found = self.world.find(resource, name)
        assert found is not None, f"there is no {resource.kind} {name}"
        return found


def settings(
    *,
    drain: Mapping[str, Any] | None = None,
    quarantine: Mapping[str, Any] | None = None,
    provider: str = "Simulated",
    **rotation: Any,
) -> FrozenSettings:
    """What an operation gets when it starts."""
    return FrozenSettings(
        rotation=RotationSettings.model_validate({"soakTime": "5s", **rotation}),
        drain=DrainSettings.model_validate(drain or {}),
        quarantine=QuarantineSettings.model_validate(quarantine or {}),
        provider=provider,
        pool="workers",
        zone="zone-a",
        role="worker",
        machine_id="machine-old",
    )


class Process:
    """One life of the operator. A `Crash` of its fuse ends it."""

    def __init__(self, scene: Scene, epoch: int, fuse: Fuse | None = None) -> None:
        self._scene = scene
        self._epoch = epoch
        self._fuse = fuse or Fuse()
        self.cluster = FaultyCluster(scene.world, self._fuse)
        self._ledger = FaultyLedger(scene.ledger, self._fuse)
        cloud = FaultyProvider(scene.cloud, self._fuse)
        self._providers: dict[str, ports.Provider] = {"Simulated": cloud, "NodeDelete": NodeDelete(self.cluster)}
        self._hands = Hands(self.cluster, self._providers)
        self._custodian = Custodian(self.cluster, scene.world.clock, scene.folder)
        self._machines: dict[str, ports.Machine] = {}

    async def open(self, kind: str, name: str) -> None:
        """Create the operation `old-1` on the machine `old` (once), and grant the start of the one of that name."""
        node = self._scene.world.find(resources.NODES, OLD)
        resource = _resource(kind)
        if name == FIRST and node is not None and self._scene.world.find(resource, name) is None:
            meta, spec = node["metadata"], node["spec"]
            machine = InstanceReference(name=OLD, uid=meta["uid"], provider_id=spec.get("providerID", ""))
            await self.cluster.create(resource, _body(kind, machine))
        operation = await self._read(resource, name)
        if operation is not None and operation.status.phase == "Pending":
            await self._swap(operation, self._granted(operation), None)

    async def run(self, kind: str, name: str = FIRST, *, limit: timedelta = timedelta(minutes=30)) -> Operation:
        """Step after step until it ends (or, for a Quarantine, rests); time passes between them. The end of it."""
        clock = self._scene.world.clock
        moved, deadline = clock.now(), clock.now() + limit
        await self._patiently(lambda: self.open(kind, name))
        while True:
            operation = await self._patiently(lambda: self._read(_resource(kind), name))
            if operation is None or (not operation.open and not operation.metadata.finalizers):
                break
            rest = await self._guarded(operation)
            if rest is None:
                moved = clock.now()
                continue
            if operation.status.phase == "Held" and clock.now() > max(moved, _next_try(operation)) + QUIET:
                break
            assert clock.now() < deadline, f"{name} stands in {operation.status.phase}"
            self._scene.world.pass_time(max(timedelta(seconds=1), min(rest, PAUSE)))
        ended = await self._patiently(lambda: self._read(_resource(kind), name))
        assert ended is not None
        return ended

    async def _patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        """Trouble with the API server passes."""
        for _ in range(20):
            try:
                return await call()
            except errors.ClusterError:
                self._scene.world.pass_time(PAUSE)
        raise AssertionError("the API server is in trouble for too long")

    async def _guarded(self, operation: Operation) -> timedelta | None:
        """Trouble is waited out; what was lost is looked at again."""
        try:
            return await self._advance(operation)
        except (errors.ClusterError, errors.LedgerError, errors.ProviderError):
            return PAUSE

    async def _advance(self, operation: Operation) -> timedelta | None:
        """One step. None: look again at once; else when to look again."""
        if not operation.open:
            await self._let_go(operation)
            return None
        view, step = await self._ask(operation)
        if not (step.status or step.actions or step.collect or step.finished):
            return step.recheck_after or timedelta(minutes=1)
        receipt = await self._intend(operation, step) if step.disruptive else None
        won = await self._swap(operation, step.status, receipt)
        if step.snapshot:
            await self._custodian.snapshot(quarantines.order(view))
        outcomes = await self._hands.execute_all(step.actions)
        if receipt is not None:
            await self._ledger.append(self._outcome(won, receipt))
        if step.collect:
            won = await self._collect(won)
        if outcomes:
            await self._note(won, step, outcomes)
        return None

    async def _ask(self, operation: Operation) -> tuple[Any, Step]:
        looks: frozenset[Look] = frozenset()
        for _ in range(6):
            view = await self._gather(operation, looks)
            step = _decide(view, self._scene.world)
            if not step.look - looks:
                return view, step
            looks |= step.look
        raise AssertionError("no step could be decided")

    async def _intend(self, operation: Operation, step: Step) -> Receipt:
        intent = facts.intent(
            operation=operation.uid,
            kind=operation.KIND,
            step=step.name,
            instance=operation.spec.instance.uid,
            policy="",
            generation=0,
            epoch=self._epoch,
            at=self._scene.world.clock.now(),
        )
        return await self._ledger.append(intent)

    def _outcome(self, operation: Operation, receipt: Receipt) -> facts.Fact:
        now = self._scene.world.clock.now()
        return facts.outcome(operation=operation.uid, intent=receipt.seq, result="done", message="", at=now)

    async def _note(self, operation: Operation, step: Step, outcomes: tuple[Outcome, ...]) -> None:
        now, view = self._scene.world.clock.now(), await self._gather(operation, frozenset())
        room = rotations if isinstance(operation, Rotation) else quarantines
        noted = room.note(view, step, outcomes, now)
        if noted.status:
            await self._swap(operation, noted.status, None)

    async def _collect(self, won: Operation) -> Operation:
        view = await self._gather(won, frozenset())
        collected = await self._custodian.collect(quarantines.order(view))
        noted = quarantines.note_evidence(view, collected, self._scene.world.clock.now())
        return await self._swap(won, noted.status, None) if noted.status else won

    async def _swap(self, operation: Operation, status: Mapping[str, Any], receipt: Receipt | None) -> Operation:
        said = {**status, "epoch": self._epoch}
        if receipt is not None:
            said["ledger"] = {"seq": receipt.seq, "hash": receipt.hash}
        meta = {"uid": operation.uid, "resourceVersion": operation.metadata.resource_version}
        body = {"metadata": meta, "status": said}
        answer = await self.cluster.merge_patch(_resource(operation.KIND), operation.name, body, subresource="status")
        return type(operation).parse(answer)

    async def _let_go(self, operation: Operation) -> None:
        meta = {"resourceVersion": operation.metadata.resource_version, "finalizers": None}
        await self.cluster.merge_patch(_resource(operation.KIND), operation.name, {"metadata": meta})

    async def _read(self, resource: resources.Resource, name: str) -> Operation | None:
        body = await self.cluster.get(resource, name)
        kind = Rotation if resource == resources.ROTATIONS else Quarantine
        return None if body is None else kind.parse(body)

    def _granted(self, operation: Operation) -> dict[str, Any]:
        now, given = self._scene.world.clock.now(), self._scene.settings
        if isinstance(operation, Rotation):
            return rotations.grant(operation, given, now)
        return quarantines.grant(operation, given, now)

    async def _gather(self, operation: Operation, looks: frozenset[Look]) -> Any:
        view = await self._plain(operation)
        for look in sorted(looks):
            try:
                found = await self._look(operation, look, view)
            except errors.ExuviaError as trouble:
                view = replace(view, failed={**view.failed, look: trouble.message})
            else:
                view = replace(view, fresh=view.fresh | {look}, **found)
        return view

    async def _plain(self, operation: Operation) -> RotationView | QuarantineView:
        """What watches show."""
        world, machine = self._scene.world, operation.spec.instance
        found = world.find(resources.NODES, machine.name)
        instance = nodes.from_body(found) if found and found["metadata"]["uid"] == machine.uid else None
        shared: dict[str, Any] = {
            "instance": instance,
            "pods": await fresh.read_pods(world, machine.name),
            "budgets": tuple(_budgets(world)),
            "capacity": self._capacity(operation),
            "settings": operation.status.settings or self._scene.settings,
        }
        all_rotations = tuple(Rotation.parse(one) for one in world.all(resources.ROTATIONS))
        all_quarantines = tuple(Quarantine.parse(one) for one in world.all(resources.QUARANTINES))
        shared["rotations"] = tuple(
            one for one in all_rotations if one.uid != operation.uid and one.spec.instance.uid == machine.uid
        )
        shared["quarantines"] = tuple(one for one in all_quarantines if one.uid != operation.uid)
        if isinstance(operation, Quarantine):
            return QuarantineView(quarantine=operation, **shared)
        return RotationView(
            rotation=operation,
            provider=self._facts(),
            candidates=tuple(one for one in _instances(world) if one.uid != machine.uid),
            **shared,
        )

    def _facts(self) -> ProviderFacts:
        name = self._scene.settings.provider
        found = self._providers[name]
        return ProviderFacts(name=name, adds_first=found.adds_first, brings_replacement=found.brings_replacement)

    async def _look(self, operation: Operation, look: Look, view: Any) -> dict[str, Any]:
        machine, world = operation.spec.instance, self._scene.world
        match look:
            case Look.NODE:
                return {"instance": await fresh.read_instance(self.cluster, machine.name, machine.uid)}
            case Look.PODS:
                pods = await fresh.read_pods(self.cluster, machine.name)
                daemons = await fresh.daemon_sets_exist(self.cluster, pods)
                return {"pods": pods} | ({"daemon_sets": daemons} if isinstance(view, RotationView) else {})
            case Look.VOLUMES:
                volumes = await fresh.read_volumes(self.cluster, machine.name)
                return {"volumes": volumes} if isinstance(view, RotationView) else {}
            case Look.MACHINE:
                replacement = _replacement(operation)
                if replacement is not None and replacement.request_id:
                    provider = self._providers[self._scene.settings.provider]
                    found = await provider.find(pool="workers", key=replacement.request_id)
                    self._machines[operation.uid] = found
                return {"capacity": self._capacity(operation)}
            case Look.NETWORK_POLICIES:
                spaces = {pod.namespace for pod in view.pods or ()} | set(view.quarantine.status.namespaces)
                return {"network_policies": await network.PolicyLists(world).read(spaces)}
            case Look.EVIDENCE:
                digest = view.quarantine.status.evidence.digest if view.quarantine.status.evidence else ""
                return {"evidence": await self._custodian.on_disk(operation.name, operation.uid, digest)}
            case Look.OTHERS:
                return {"rotations": view.rotations, "quarantines": view.quarantines}

    def _capacity(self, operation: Operation) -> CapacityFacts:
        machine, replacement = self._machines.get(operation.uid), _replacement(operation)
        provider_id = (machine.provider_id if machine else "") or (replacement.provider_id if replacement else "")
        found = [one for one in _instances(self._scene.world) if provider_id and one.provider_id == provider_id]
        return CapacityFacts(
            machine_state=str(machine.state) if machine else "",
            provider_id=provider_id,
            request_id=replacement.request_id if replacement else "",
            node=found[0] if found else None,
        )


def _decide(view: RotationView | QuarantineView, world: World) -> Step:
    now = world.clock.now()
    return rotations.step(view, now) if isinstance(view, RotationView) else quarantines.step(view, now)


def _next_try(operation: Operation) -> datetime:
    """When evidence that is not complete is collected again; long ago where it need not be."""
    evidence = operation.status.evidence if isinstance(operation, Quarantine) else None
    return (evidence.next_attempt if evidence else None) or operation.metadata.creation_timestamp


def _resource(kind: str) -> resources.Resource:
    return resources.ROTATIONS if kind == "Rotation" else resources.QUARANTINES


def _body(kind: str, machine: InstanceReference) -> dict[str, Any]:
    spec = RotationSpec if kind == "Rotation" else QuarantineSpec
    return specs.body(FIRST, spec(instance=machine), marks.FINALIZER)


def _replacement(operation: Operation) -> ReplacementStatus | None:
    if isinstance(operation, Rotation):
        return operation.status.replacement
    return operation.status.capacity.replacement if operation.status.capacity else None


def _instances(world: World) -> list[Instance]:
    return [nodes.from_body(one) for one in world.all(resources.NODES)]


def _budgets(world: World) -> list[Any]:
    import msgspec

    found = world.all(resources.POD_DISRUPTION_BUDGETS)
    return [pod_records.budget_from_bytes(msgspec.json.encode(one)) for one in found]
