"""The whole picture: reflectors for nodes, pods, PDBs and our own kinds, and how far it can be trusted."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import msgspec

from exuvia import ports
from exuvia.model import blocking, instances, pods, resources
from exuvia.model.specs import fleet_guard
from exuvia.model.specs.fleet_guard import FleetGuard
from exuvia.model.specs.quarantine import Quarantine
from exuvia.model.specs.rotation import Rotation
from exuvia.model.specs.security_policy import SecurityPolicy
from exuvia.observe import nodes, ours
from exuvia.observe import pods as pod_records
from exuvia.observe.reflector import Reflector, Source

SLACK = 100  # objects of gone machines that may be kept before somebody looks


class ClusterView:
    """What we see of the cluster. `wake` is set whenever something changed that somebody could act on."""

    def __init__(self, source: Source, clock: ports.Clock) -> None:
        self.wake = asyncio.Event()
        self._clock = clock
        self._objects: dict[str, bytes] | None = None
        self._pods_on: dict[str, set[str]] = {}

        def reflect(resource: resources.Resource, project: Callable[[Any], Any]) -> Reflector[Any]:
            return Reflector(source, resource, project, clock, self.wake.set)

        self.nodes: Reflector[instances.Instance] = reflect(resources.NODES, self._node)
        self.pods: Reflector[pods.Pod] = reflect(resources.PODS, pod_records.from_bytes)
        self.budgets: Reflector[pods.DisruptionBudget] = reflect(
            resources.POD_DISRUPTION_BUDGETS, pod_records.budget_from_bytes
        )
        self.policies: Reflector[SecurityPolicy | ours.Unparsable] = reflect(
            resources.SECURITY_POLICIES, ours.reader(SecurityPolicy)
        )
        self.guards: Reflector[FleetGuard | ours.Unparsable] = reflect(resources.FLEET_GUARDS, ours.reader(FleetGuard))
        self.rotations: Reflector[Rotation | ours.Unparsable] = reflect(resources.ROTATIONS, ours.reader(Rotation))
        self.quarantines: Reflector[Quarantine | ours.Unparsable] = reflect(
            resources.QUARANTINES, ours.reader(Quarantine)
        )
        self.pods.store.changed = self._index_pod
        self.last_guard: FleetGuard | None = None
        self.guards.store.changed = self._keep_guard
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def reflectors(self) -> tuple[Reflector[Any], ...]:
        """All of them."""
        return (
            self.nodes,
            self.pods,
            self.budgets,
            self.policies,
            self.guards,
            self.rotations,
            self.quarantines,
        )

    def start(self) -> list[asyncio.Task[None]]:
        """Begin to list and watch; returns the tasks, which never end by themselves."""
        self._tasks = [
            asyncio.create_task(one.run(), name=f"watch {one.resource.full_name}") for one in self.reflectors
        ]
        return self._tasks

    async def stop(self) -> None:
        """End the watches."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def view(self) -> blocking.View:
        """How far the picture can be trusted now. An object that cannot be read is unknown, not absent."""
        missing = tuple(said for one in self.reflectors for said in self._missing(one))
        heard = [one.last_heard for one in self.reflectors if one.last_heard is not None]
        return blocking.View(oldest=min(heard) if heard and not missing else None, missing=missing)

    def _missing(self, one: Reflector[Any]) -> Iterator[str]:
        if not one.synced:
            yield f"{one.resource.full_name} ({one.problem or 'not listed yet'})"
            return
        problems = list(one.unreadable.values())
        if one in (self.rotations, self.quarantines):  # the memory of what is in flight
            problems += [record.problem for record in one.store if isinstance(record, ours.Unparsable)]
        if problems:
            more = f", and {len(problems) - 1} more" if len(problems) > 1 else ""
            yield f"{one.resource.full_name} ({problems[0]}{more})"

    def last_heard(self) -> dict[str, datetime | None]:
        """When each watch was last heard of, by resource."""
        return {one.resource.plural: one.last_heard for one in self.reflectors}

    def pods_on(self, node: str) -> tuple[pods.Pod, ...]:
        """The pods that are bound to a node name, as last seen."""
        found = (self.pods.store.get(uid) for uid in self._pods_on.get(node, ()))
        return tuple(pod for pod in found if pod is not None)

    def all_budgets(self) -> tuple[pods.DisruptionBudget, ...]:
        """Every PodDisruptionBudget, as last seen."""
        return tuple(self.budgets.store)

    def open_rotations(self) -> list[Rotation]:
        """Rotations that are not over."""
        return [one for one in self.all_rotations() if one.open]

    def all_rotations(self) -> list[Rotation]:
        """Every Rotation that parses."""
        return [one for one in self.rotations.store if isinstance(one, Rotation)]

    def open_quarantines(self) -> list[Quarantine]:
        """Quarantines that are not over."""
        return [one for one in self.all_quarantines() if one.open]

    def all_quarantines(self) -> list[Quarantine]:
        """Every Quarantine that parses."""
        return [one for one in self.quarantines.store if isinstance(one, Quarantine)]

    def keep_objects(self, wanted: bool) -> None:
        """Keep whole Node objects (compressed) for expressions; lists anew when that is switched on."""
        if wanted and self._objects is None:
            self._objects = {}
            self.nodes.relist()
        elif not wanted:
            self._objects = None

    def object_of(self, uid: str) -> dict[str, Any] | None:
        """The Node as served, without managedFields and status.images; None when it is not kept."""
        objects = self._objects or {}
        if self.nodes.store.get(uid) is None:
            objects.pop(uid, None)
        packed = objects.get(uid)
        return msgspec.json.decode(zlib.decompress(packed)) if packed is not None else None

    def overlay(self, resource: resources.Resource, body: ports.Body) -> None:
        """Lay the answer to our own write over the view: a lagging watch never shows us an older state."""
        for one in self.reflectors:
            if one.resource == resource:
                raw = msgspec.Raw(msgspec.json.encode(body))
                meta = body["metadata"]
                gone = meta.get("deletionTimestamp") and not meta.get("finalizers")
                if not gone:
                    one.overlay(raw)

    def _node(self, raw: msgspec.Raw) -> instances.Instance:
        record = nodes.from_bytes(raw)
        if self._objects is not None:
            self._keep(record.uid, msgspec.json.decode(raw))
        return record

    def _keep(self, uid: str, body: dict[str, Any]) -> None:
        """An object that is new to us, or changed in more than heartbeats, makes its node dirty, though the slim facts
        are the same: expressions could not be asked before, or may say something else now."""
        assert self._objects is not None
        body.get("metadata", {}).pop("managedFields", None)
        body.get("status", {}).pop("images", None)
        packed = zlib.compress(msgspec.json.encode(body), 1)
        former = self._objects.get(uid)
        self._objects[uid] = packed
        if len(self._objects) > 2 * len(self.nodes.store) + SLACK:
            self._objects = {
                one: kept for one, kept in self._objects.items() if self.nodes.store.get(one) or one == uid
            }
        if former is None or _essence(msgspec.json.decode(zlib.decompress(former))) != _essence(body):
            self.nodes.store.touch(uid)

    def _keep_guard(
        self, former: FleetGuard | ours.Unparsable | None, now: FleetGuard | ours.Unparsable | None
    ) -> None:
        """The FleetGuard as it was read last outlives its object: what was asked for there still counts."""
        if isinstance(now, FleetGuard) and now.name == fleet_guard.NAME:
            self.last_guard = now

    def _index_pod(self, former: pods.Pod | None, pod: pods.Pod | None) -> None:
        if former is not None and former.node:
            self._pods_on.get(former.node, set()).discard(former.uid)
            if not self._pods_on.get(former.node, True):
                del self._pods_on[former.node]
        if pod is not None and pod.node:
            self._pods_on.setdefault(pod.node, set()).add(pod.uid)


def _essence(body: dict[str, Any]) -> Any:
    """Without what every heartbeat changes."""
    meta = {key: value for key, value in body.get("metadata", {}).items() if key != "resourceVersion"}
    status = dict(body.get("status") or {})
    status["conditions"] = [
        {key: value for key, value in one.items() if key != "lastHeartbeatTime"}
        for one in status.get("conditions") or ()
    ]
    return {"metadata": meta, "spec": body.get("spec"), "status": status}
