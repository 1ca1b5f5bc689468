"""What the simulated cloud does: launch, find, terminate, lose; every promise is in the book before it is told.

Requests only write into the book; a worker carries out what is due: it creates and deletes Nodes, and looks which of
them somebody else deleted. Killed at any moment, it goes on from the book: names are made from pool and key.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from exuvia import errors, ports
from exuvia.localcluster import fleet
from exuvia.localcluster.cloud.book import Book
from exuvia.localcluster.cloud.groups import SCHEME, Faults, Group, Machine, State, merged_faults, merged_group
from exuvia.model import marks, resources

LOOK_EVERY = 3.0
RETRY_AFTER = 1.0
_LOG = logging.getLogger(__name__)


class Cloud:
    """One simulated cloud over one book and one cluster. `work` must run for anything to happen."""

    def __init__(self, book: Book, cluster: ports.Cluster, *, now: Callable[[], float] = time.time) -> None:
        self.book = book
        self._cluster = cluster
        self._now = now
        self._wake = asyncio.Event()

    def define(self, pool: str, given: Mapping[str, Any], *, merge: bool) -> Group:
        """Set a group, or change it, and launch what its size asks for. Raises msgspec.ValidationError."""
        before = self.book.groups.get(pool, Group())
        group = merged_group(before if merge else Group(), given)
        if pool in self.book.groups and group.image != before.image:
            self.book.former_images[pool] = before.image
        self.book.groups[pool] = group
        self._fill(pool)
        self._commit()
        return group

    def set_faults(self, pool: str, given: Mapping[str, Any]) -> Faults:
        """Change the faults of a pool. Raises msgspec.ValidationError."""
        self.book.faults[pool] = merged_faults(self.book.faults_of(pool), given)
        self._commit()
        return self.book.faults[pool]

    def clear_faults(self, pool: str) -> Faults:
        """All faults of a pool off."""
        self.book.faults[pool] = Faults()
        self._commit()
        return Faults()

    def launch(self, pool: str, key: str, zone: str = "") -> tuple[Machine, bool]:
        """The machine of that key, and whether it is new. A definite failure is a machine too, in state Failed."""
        known = self.book.machine(pool, key)
        if known is not None:
            return known, False
        machine = self._new(pool, key, zone)
        self.book.put(machine)
        self._commit()
        return machine, True

    def terminate(self, machine: Machine) -> Machine:
        """Have it go; gone or going already is fine."""
        if not machine.live:
            return machine
        seconds = self.book.groups.get(machine.pool, Group()).terminate_seconds
        return self._leave(machine, seconds, "terminated on request")

    def vanish(self, machine: Machine) -> Machine:
        """It is lost, nobody having asked for it."""
        return self._leave(machine, 0, "the machine was lost") if machine.live else machine

    async def find(self, provider_id: str) -> Machine | None:
        """The machine of that providerID; one that is not in the book is looked for among the Nodes."""
        found = self.book.by_provider_id(provider_id)
        if found is None and provider_id.startswith(SCHEME):
            await self._look()
            found = self.book.by_provider_id(provider_id)
        return found

    async def work(self) -> None:
        """Carry out what is due, for ever."""
        looked = 0.0
        while True:
            self._wake.clear()
            await self.carry_out()
            if self._now() - looked >= LOOK_EVERY:
                looked = self._now()
                await self._look_calmly()
            try:
                await asyncio.wait_for(self._wake.wait(), self._pause())
            except TimeoutError:
                pass

    def _pause(self) -> float:
        dues = [one.due for one in self.book.machines() if one.due is not None]
        return min(max(min(dues, default=LOOK_EVERY + self._now()) - self._now(), 0.01), LOOK_EVERY)

    def _commit(self) -> None:
        self.book.save()
        self._wake.set()

    def _leave(self, machine: Machine, seconds: float, why: str) -> Machine:
        gone = machine.state is State.LAUNCHING and not machine.uid and machine.due is None
        changed = msgspec.structs.replace(
            machine,
            state=State.GONE if gone else State.TERMINATING,
            due=None if gone else self._now() + seconds,
            message=why,
        )
        self.book.put(changed)
        self._commit()
        return changed

    def _new(self, pool: str, key: str, zone: str) -> Machine:
        group = self.book.groups[pool]
        live = self.book.live(pool)
        identity = hashlib.sha256(f"{pool}/{key}".encode()).hexdigest()[:10]
        machine = Machine(
            pool=pool,
            key=key,
            id=identity,
            zone=zone or min(group.zones, key=live.__getitem__, default=""),
            provider_id=f"{SCHEME}{pool}/{identity}",
            node_name=f"{pool}-{identity}",
            state=State.LAUNCHING,
            due=self._now() + group.launch_seconds,
            image=group.image,
            boot_seconds=group.boot_seconds,
        )
        full = 0 < group.max_size <= live.total()
        if full or self.book.hit(pool, "capacity"):
            why = f"the group has its {group.max_size} machines" if full else "the zone has no capacity"
            return msgspec.structs.replace(machine, state=State.FAILED, due=None, message=why)
        return self._troubled(machine)

    def _troubled(self, machine: Machine) -> Machine:
        """The machine with the troubles that hit it."""
        pool, replace = machine.pool, msgspec.structs.replace
        if self.book.hit(pool, "never_arrive"):
            machine = replace(machine, due=None)
        if self.book.hit(pool, "never_ready"):
            machine = replace(machine, never_ready=True)
        if self.book.hit(pool, "old_image"):
            machine = replace(machine, image=self.book.former_images.get(pool, machine.image))
        if self.book.hit(pool, "vanish"):
            machine = replace(machine, vanish_after=self.book.faults_of(pool).vanish_seconds)
        return machine

    def _fill(self, pool: str) -> bool:
        """Launch until the group has its size, with keys `size-N`. What fails is tried again at the next look."""
        missing = self.book.groups[pool].size - self.book.live(pool).total()
        number = 0
        for _ in range(missing):
            while self.book.machine(pool, f"size-{number}") is not None:
                number += 1
            machine = self._new(pool, f"size-{number}", "")
            if machine.state is State.FAILED:
                break
            self.book.put(machine)
        return missing > 0

    async def carry_out(self) -> None:
        """Everything that is due now, side by side, then one save."""
        due = [one for one in self.book.machines() if one.due is not None and one.due <= self._now()]
        if due:
            await asyncio.gather(*(self._attempt(one) for one in due))
            self.book.save()

    async def _attempt(self, machine: Machine) -> None:
        """One machine's next change; a cluster that does not answer is asked again later."""
        try:
            changed = await (self._arrive(machine) if machine.state is State.LAUNCHING else self._depart(machine))
        except errors.ClusterError as trouble:
            _LOG.warning("%s: %s", machine.node_name, trouble)
            changed = msgspec.structs.replace(machine, due=self._now() + RETRY_AFTER)
        if self.book.machine(machine.pool, machine.key) == machine:  # else it was changed meanwhile: look again
            self.book.put(changed)
        elif changed.uid:
            self._note_uid(changed)

    def _note_uid(self, arrived: Machine) -> None:
        current = self.book.machine(arrived.pool, arrived.key)
        if current is not None:
            self.book.put(msgspec.structs.replace(current, uid=arrived.uid))

    async def _arrive(self, machine: Machine) -> Machine:
        try:
            node = await self._cluster.create(resources.NODES, self._body(machine))
        except errors.AlreadyExists:
            return await self._arrived_before(machine)
        return self._running(machine, node["metadata"]["uid"])

    async def _arrived_before(self, machine: Machine) -> Machine:
        """Its Node is there: created just before we were killed, or somebody else's of the same name."""
        node = await self._cluster.get(resources.NODES, machine.node_name)
        if node is None:
            return machine
        if node["spec"].get("providerID") == machine.provider_id:
            return self._running(machine, node["metadata"]["uid"])
        why = f"there is another Node of the name {machine.node_name}"
        return msgspec.structs.replace(machine, state=State.FAILED, due=None, message=why)

    def _running(self, machine: Machine, uid: str) -> Machine:
        due = None if machine.vanish_after is None else self._now() + machine.vanish_after
        return msgspec.structs.replace(machine, state=State.RUNNING, uid=uid, due=due)

    def _body(self, machine: Machine) -> ports.Body:
        group = self.book.groups.get(machine.pool, Group())
        annotations = {fleet.BOOT: f"{int(machine.boot_seconds * 1000)}ms"} if machine.boot_seconds else {}
        if machine.never_ready:
            annotations[fleet.NOT_READY] = "never"
        facts = fleet.Machine(
            name=machine.node_name,
            pool=machine.pool,
            zone=machine.zone,
            image=machine.image.facts(),
            provider_id=machine.provider_id,
            labels=group.labels,
            annotations=annotations,
            taints=group.taints,
            ready=False,
        )
        return fleet.node(facts, datetime.fromtimestamp(self._now(), UTC))

    async def _depart(self, machine: Machine) -> Machine:
        why = machine.message if machine.state is State.TERMINATING else "the machine was lost"
        uid = machine.uid or await self._uid(machine)
        if uid:
            try:
                await self._cluster.delete(resources.NODES, machine.node_name, uid=uid)
            except (errors.NotFound, errors.Conflict):
                pass
        return msgspec.structs.replace(machine, state=State.GONE, due=None, message=why)

    async def _uid(self, machine: Machine) -> str:
        node = await self._cluster.get(resources.NODES, machine.node_name)
        ours = node is not None and node["spec"].get("providerID") == machine.provider_id
        return str(node["metadata"]["uid"]) if node is not None and ours else ""

    async def _look_calmly(self) -> None:
        try:
            await self._look()
        except errors.ClusterError as trouble:
            _LOG.warning("looking at the Nodes: %s", trouble)

    async def _look(self) -> None:
        """Note which Nodes somebody else deleted or created, and refill the groups that ask for it."""
        before = [one for one in self.book.machines() if one.state is State.RUNNING]
        nodes = [one async for page in self._cluster.pages(resources.NODES) for one in page]
        alive = {one["metadata"]["uid"] for one in nodes}
        lost = [one for one in before if one.uid not in alive and self.book.machine(one.pool, one.key) == one]
        for one in lost:
            self.book.put(msgspec.structs.replace(one, state=State.GONE, due=None, message="its Node was deleted"))
        strangers = [one for one in map(_adopted, nodes) if one is not None and self._unknown(one)]
        for stranger in strangers:
            self.book.put(stranger)
        filled = [self._fill(pool) for pool, group in self.book.groups.items() if group.refill]
        if lost or strangers or any(filled):
            self._commit()

    def _unknown(self, machine: Machine) -> bool:
        return self.book.by_provider_id(machine.provider_id) is None


def _adopted(node: Mapping[str, Any]) -> Machine | None:
    """A Node with a providerID of ours, as a machine that runs; None for any other."""
    meta, identity = node["metadata"], str(node["spec"].get("providerID") or "")
    pool, _, tail = identity.removeprefix(SCHEME).partition("/")
    if not identity.startswith(SCHEME) or not tail:
        return None
    return Machine(
        pool=pool,
        key=f"adopted-{meta['uid']}",
        id=meta["uid"],
        zone=(meta.get("labels") or {}).get(marks.ZONE_LABEL, ""),
        provider_id=identity,
        node_name=meta["name"],
        state=State.RUNNING,
        uid=meta["uid"],
    )
