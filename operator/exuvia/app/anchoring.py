"""The ledger's head, noted outside the ledger: a ConfigMap that the leader writes at most once a minute, and when it
stops. A restored backup, a cut tail, or an empty ledger in place of a lost one does not hold the entry that it names.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from exuvia import errors, ports
from exuvia.app.services import Services
from exuvia.model import marks, resources
from exuvia.model.facts import LedgerState
from exuvia.report.conditions import stamp

log = logging.getLogger(__name__)

PERIOD_SECONDS = 60.0
LOOK_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """The last entry of the ledger as it was noted. `hash` in hex. `place`: where that stands, in words."""

    seq: int
    hash: str
    place: str


async def read(cluster: ports.Cluster, namespace: str) -> Anchor | None:
    """What is noted; None where nothing ever was. Raises `errors.ClusterError`, and `errors.InvalidObject` for a note
    that says nothing: that is unknown, not absent."""
    found = await cluster.get(resources.CONFIG_MAPS, marks.LEDGER_HEAD, namespace=namespace)
    return None if found is None else _parsed(found, f"ConfigMap {namespace}/{marks.LEDGER_HEAD}")


def _parsed(body: ports.Body, place: str) -> Anchor:
    data = body.get("data") or {}
    try:
        seq, hash_ = int(data["seq"]), str(data["hash"])
        bytes.fromhex(hash_)
    except (KeyError, ValueError) as trouble:
        raise errors.InvalidObject(
            f"{place} names no head of a ledger.", place="data", remedy="Delete it, if the ledger is the right one."
        ) from trouble
    return Anchor(seq=seq, hash=hash_, place=place)


class Anchoring:
    """Writes the note during one term. `wanted`: whether it may be written now (the ledger was compared with it)."""

    def __init__(self, services: Services, wanted: Callable[[], bool]) -> None:
        self._services = services
        self._wanted = wanted
        self._written: tuple[Any, Any] | None = None
        self._version = ""

    async def run(self) -> None:
        """For ever."""
        while True:
            written = await self.write()
            await asyncio.sleep(PERIOD_SECONDS if written else LOOK_SECONDS)

    async def write(self) -> bool:
        """Note the head, if it is another than was noted. Whether something was written."""
        head = self._services.ledger.head()
        seq, hash_ = head["seq"], head["hash"]
        fine = self._services.ledger.health().state is LedgerState.FINE
        if not (seq and fine and self._wanted()) or (seq, hash_) == self._written:
            return False
        epoch, now = self._services.leadership.epoch, stamp(self._services.clock.now())
        try:
            await self._put({"seq": str(seq), "hash": str(hash_), "epoch": str(epoch), "at": now})
        except (errors.Conflict, errors.NotFound, errors.AlreadyExists):
            self._version = ""  # somebody else wrote it, or took it away: look again
            return False
        except (errors.ClusterError, errors.Fenced) as trouble:
            log.warning("the ledger's head was not noted: %s", trouble)
            return True  # not tried again sooner than after the period
        self._written = (seq, hash_)
        return True

    async def _put(self, data: dict[str, str]) -> None:
        cluster, namespace, name = self._services.cluster, self._services.settings.namespace, marks.LEDGER_HEAD
        if not self._version:
            found = await cluster.get(resources.CONFIG_MAPS, name, namespace=namespace)
            self._version = found["metadata"]["resourceVersion"] if found else ""
        if self._version:
            changed = {"metadata": {"resourceVersion": self._version}, "data": data}
            made = await cluster.merge_patch(resources.CONFIG_MAPS, name, changed, namespace=namespace)
        else:
            body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}
            made = await cluster.create(resources.CONFIG_MAPS, body, namespace=namespace)
        self._version = made["metadata"]["resourceVersion"]


async def remove(cluster: ports.Cluster, namespace: str) -> None:
    """Take the note away; gone already is fine. Raises `errors.ClusterError`."""
    found = await cluster.get(resources.CONFIG_MAPS, marks.LEDGER_HEAD, namespace=namespace)
    if found is None:
        return
    try:
        uid = found["metadata"]["uid"]
        await cluster.delete(resources.CONFIG_MAPS, marks.LEDGER_HEAD, uid=uid, namespace=namespace)
    except errors.NotFound:
        return
