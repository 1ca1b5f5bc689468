"""A cloud in memory: launches machines after a while, removes them after a while, and fails on request.

It implements `ports.Provider` and acts in the world like a cloud does: it makes Nodes and takes them away. It is no
part of the operator's process, so it lives through every crash.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from exuvia import errors, ports
from exuvia.model import resources
from exuvia.model.cards import Card
from exuvia.model.instances import Instance, Reference
from exuvia.sandbox import builders, objects
from exuvia.sandbox.storage import Storage

SCHEME = "simulated://"


class Fault(StrEnum):
    """What goes wrong with a request."""

    REFUSED = "Refused"  # definite: nothing was done, nothing will come
    NO_ANSWER = "NoAnswer"  # nothing was done, but nobody says so
    LOST_ANSWER = "LostAnswer"  # it was done, but nobody says so
    CAPACITY = "Capacity"  # accepted, and Failed a moment later
    NEVER_READY = "NeverReady"  # the Node comes and never gets Ready
    OLD_IMAGE = "OldImage"  # the Node comes with the old image
    NO_NODE = "NoNode"  # the machine runs, its Node never comes


@dataclass(slots=True, kw_only=True)
class Launch:
    """A machine that was asked for."""

    pool: str
    key: str
    number: int
    at: datetime
    fault: Fault | None = None
    joined: bool = False  # its Node was there
    warm: bool = False  # it was Ready

    @property
    def node_name(self) -> str:
        """The name of its Node."""
        return f"{self.pool}-new-{self.number}"

    @property
    def provider_id(self) -> str:
        """How the cloud calls it."""
        return f"{SCHEME}{self.pool}/{self.node_name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """A machine whose removal was asked for, and the pods that ran on it at that moment."""

    provider_id: str
    node_uid: str
    at: datetime
    pods: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class Cloud:
    """`faults` meet the next launches, `removal_faults` the next removals, one each, in their order.

    Put it among a world's `actors` as well, else its machines never come.
    """

    storage: Storage
    boot: timedelta = timedelta(seconds=5)  # from the request to the Node
    warm_up: timedelta = timedelta(seconds=5)  # from the Node to Ready
    shut_down: timedelta = timedelta(seconds=3)  # from the removal to the Node's end
    node: Mapping[str, Any] = field(default_factory=dict)  # what new machines are like: arguments of `builders.node`
    faults: list[Fault] = field(default_factory=list)
    removal_faults: list[Fault] = field(default_factory=list)
    adds_first: bool = True
    brings_replacement: bool = True
    card: Card = field(default_factory=lambda: Card(name="Simulated", description="A cloud in memory."))
    launches: dict[tuple[str, str], Launch] = field(default_factory=dict)
    removals: dict[str, Removal] = field(default_factory=dict)
    asked: int = 0

    def owns(self, instance: Instance) -> bool:
        """By the scheme of its providerID."""
        return instance.provider_id.startswith(SCHEME)

    async def request(self, *, pool: str, key: str, like: Reference) -> ports.Machine:
        """One more machine of the pool; the same key never launches twice."""
        self.asked += 1
        known = self.launches.get((pool, key))
        if known is not None:
            return self._told(known)
        fault = self.faults.pop(0) if self.faults else None
        if fault is Fault.REFUSED:
            raise errors.ProviderError(f"pool {pool} takes no more machines", definite=True)
        if fault is Fault.NO_ANSWER:
            raise errors.ProviderError("the cloud does not answer", definite=False)
        launch = Launch(pool=pool, key=key, number=len(self.launches) + 1, at=self._now(), fault=fault)
        self.launches[(pool, key)] = launch
        if fault is Fault.LOST_ANSWER:
            raise errors.ProviderError("the answer of the cloud was lost", definite=False)
        return self._told(launch)

    async def find(self, *, pool: str, key: str) -> ports.Machine:
        """What became of that request."""
        known = self.launches.get((pool, key))
        return self._told(known) if known else ports.Machine(state=ports.MachineState.UNKNOWN)

    async def remove(self, *, pool: str, instance: Reference) -> None:
        """Remove the machine with that providerID; gone or asked for already is success."""
        self.asked += 1
        fault = self.removal_faults.pop(0) if self.removal_faults else None
        if fault is Fault.REFUSED:
            raise errors.ProviderError(f"{instance.name} may not be removed", definite=True)
        if fault is Fault.NO_ANSWER:
            raise errors.ProviderError("the cloud does not answer", definite=False)
        if instance.provider_id not in self.removals:
            self.removals[instance.provider_id] = self._removal(instance.provider_id)
        if fault is not None:
            raise errors.ProviderError("the answer of the cloud was lost", definite=False)

    def vanish(self, provider_id: str) -> None:
        """A machine is lost, nobody having asked for it; its Node goes a while later."""
        self.removals[provider_id] = self._removal(provider_id)

    def act(self, storage: Storage, now: datetime) -> None:
        """Bring and take away what is due."""
        for launch in self.launches.values():
            if launch.provider_id not in self.removals:
                self._bring(storage, launch, now)
        for removal in self.removals.values():
            if now >= removal.at + self.shut_down:
                node = _node_of(storage, removal.provider_id)
                if node is not None:
                    storage.remove(resources.NODES, node)

    def _bring(self, storage: Storage, launch: Launch, now: datetime) -> None:
        if launch.fault in (Fault.CAPACITY, Fault.NO_NODE) or now < launch.at + self.boot:
            return
        node = storage.get(resources.NODES, launch.node_name)
        if node is None and not launch.joined:
            launch.joined = True
            storage.add(resources.NODES, self._body(launch, now))
        elif node is not None and not launch.warm and self._gets_ready(launch, now):
            launch.warm = True
            storage.put(resources.NODES, objects.with_condition(node, "Ready", True, "KubeletReady", now))

    def _gets_ready(self, launch: Launch, now: datetime) -> bool:
        return launch.fault is not Fault.NEVER_READY and now >= launch.at + self.boot + self.warm_up

    def _body(self, launch: Launch, now: datetime) -> builders.Body:
        old = {"os_image": "Talos (v1.9.0)", "kubelet": "v1.30.0"} if launch.fault is Fault.OLD_IMAGE else {}
        given = {"provider_id": launch.provider_id, "born": now, "ready": False, **self.node, **old}
        return builders.node(launch.node_name, pool=launch.pool, **given)

    def _told(self, launch: Launch) -> ports.Machine:
        return ports.Machine(
            state=self._state(launch),
            provider_id=launch.provider_id,
            node_name=launch.node_name,
            request_id=launch.key,
        )

    def _state(self, launch: Launch) -> ports.MachineState:
        if launch.fault is Fault.CAPACITY and self._now() > launch.at:
            return ports.MachineState.FAILED
        removal = self.removals.get(launch.provider_id)
        if removal is not None and self._now() >= removal.at + self.shut_down:
            return ports.MachineState.GONE
        up = self._now() >= launch.at + self.boot
        return ports.MachineState.RUNNING if up else ports.MachineState.LAUNCHING

    def _removal(self, provider_id: str) -> Removal:
        node = _node_of(self.storage, provider_id)
        name = node["metadata"]["name"] if node else ""
        pods = [one for one in self.storage.look(resources.PODS) if name and one["spec"].get("nodeName") == name]
        return Removal(
            provider_id=provider_id,
            node_uid=node["metadata"]["uid"] if node else "",
            at=self._now(),
            pods=tuple(f"{one['metadata']['namespace']}/{one['metadata']['name']}" for one in pods),
        )

    def _now(self) -> datetime:
        return self.storage.now()


def _node_of(storage: Storage, provider_id: str) -> objects.Body | None:
    nodes = storage.look(resources.NODES)
    return next((one for one in nodes if one["spec"].get("providerID") == provider_id), None)


@dataclass(slots=True, kw_only=True)
class PoolOwner:
    """Refills a pool by itself, as a managed group does: an actor beside `NodeDelete`."""

    pool: str
    size: int
    delay: timedelta = timedelta(seconds=10)
    node: Mapping[str, Any] = field(default_factory=dict)
    made: int = 0
    missing_since: datetime | None = None

    def act(self, storage: Storage, now: datetime) -> None:
        """One machine at a time, some time after one is missing."""
        there = [one for one in storage.look(resources.NODES) if self._mine(one)]
        if len(there) >= self.size:
            self.missing_since = None
            return
        self.missing_since = self.missing_since or now
        if now < self.missing_since + self.delay:
            return
        self.made += 1
        self.missing_since = None
        name = f"{self.pool}-refill-{self.made}"
        storage.add(resources.NODES, builders.node(name, pool=self.pool, born=now, **self.node))

    def _mine(self, node: Mapping[str, Any]) -> bool:
        return objects.labels_of(node).get("exuvia.dev/pool") == self.pool
