"""The ledger's head, noted outside the ledger: a ConfigMap that the leader writes at most once a minute, and when it
stops. A restored backup, a cut tail, or an empty ledger in place of a lost one does not hold the entry that it names.

A person's note stands beside it, under `anchor`, and counts as much. It can be signed, so that whoever may write the
ConfigMap and the ledger cannot make one that fits.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from exuvia import errors, ports
from exuvia.app.services import Services
from exuvia.app.settings import Settings
from exuvia.model import marks, resources
from exuvia.model.facts import LedgerState
from exuvia.record import anchors, naming
from exuvia.report.conditions import stamp

log = logging.getLogger(__name__)

PERIOD_SECONDS = 60.0
LOOK_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    """An entry of the ledger as it was noted. `hash` in hex. `place`: where that stands, in words. `cluster`: whose
    chain it is in; None: not said. `note`: what a person put there, with who signed it; None of what the operator noted
    itself."""

    seq: int
    hash: str
    place: str
    cluster: str | None = None
    note: anchors.Note | None = None


async def read(cluster: ports.Cluster, namespace: str) -> tuple[Anchor, ...]:
    """What is noted: by the operator, and by a person beside it; none where nothing ever was. Raises
    `errors.ClusterError`, and `errors.InvalidObject` for a note that says nothing: that is unknown, not absent."""
    found = await cluster.get(resources.CONFIG_MAPS, marks.LEDGER_HEAD, namespace=namespace)
    return () if found is None else tuple(_parsed(found, f"ConfigMap {namespace}/{marks.LEDGER_HEAD}"))


async def ours(cluster: ports.Cluster, settings: Settings) -> list[Anchor]:
    """What is noted of our own chain. Where a note must be signed (`--anchor-public-key`), one that is not, is about
    another chain, or is not there raises `errors.InvalidObject`; a key that cannot be used `errors.SettingsError`."""
    found, chain = await read(cluster, settings.namespace), settings.cluster_name
    if settings.anchor_public_key:
        _check_signed(found, chain, Path(settings.anchor_public_key))
    for one in found:
        if one.note is not None and one.note.anchor.cluster != chain:
            log.warning("%s counts for nothing: it is about %s", one.place, naming.called(one.note.anchor.cluster))
    return [one for one in found if one.seq and (one.note is None or one.note.anchor.cluster == chain)]


def _check_signed(found: Iterable[Anchor], chain: str, key: Path) -> None:
    public = anchors.public_key(key)
    noted = next((one for one in found if one.note is not None), None)
    if noted is None or noted.note is None:
        why = f"ConfigMap {marks.LEDGER_HEAD} holds no signed note under `anchor`"
    elif not anchors.signed_by(noted.note, public):
        why = f"{noted.place} is not signed by {key}"
    elif noted.note.anchor.cluster != chain:
        why = f"{noted.place} is about {naming.called(noted.note.anchor.cluster)}, not {naming.called(chain)}"
    elif not noted.seq:
        why = f"{noted.place} is about a chain without entries"
    else:
        return
    remedy = "Put one there by `exuvia ledger anchor --key KEY --config-map`, or leave --anchor-public-key out."
    raise errors.InvalidObject(why, place="anchor", remedy=remedy)


def _parsed(body: ports.Body, place: str) -> Iterator[Anchor]:
    data = body.get("data") or {}
    if "anchor" in data:
        yield _persons(str(data["anchor"]), f"the note under `anchor` in {place}")
    if "anchor" not in data or "seq" in data or "hash" in data:
        yield _own(data, place)


def _own(data: Mapping[str, Any], place: str) -> Anchor:
    try:
        seq, hash_ = int(data["seq"]), str(data["hash"])
        bytes.fromhex(hash_)
    except (KeyError, ValueError) as trouble:
        raise errors.InvalidObject(
            f"{place} names no head of a ledger.", place="data", remedy="Delete it, if the ledger is the right one."
        ) from trouble
    cluster = str(data["cluster"]) if "cluster" in data else None
    return Anchor(seq=seq, hash=hash_, place=place, cluster=cluster)


def _persons(text: str, place: str) -> Anchor:
    try:
        note = anchors.read(text)
    except errors.InvalidObject as trouble:
        remedy = "Write it anew by `exuvia ledger anchor --config-map`, or take that key away."
        raise errors.InvalidObject(f"{place} names no head of a ledger.", place="data", remedy=remedy) from trouble
    said = note.anchor
    return Anchor(seq=said.seq, hash=said.hash, place=place, cluster=said.cluster, note=note)


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
        said = {"seq": str(seq), "hash": str(hash_), "cluster": self._services.settings.cluster_name}
        try:
            await self._put({**said, "epoch": str(epoch), "at": now})
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
