"""What must be in the ledger by all that is noted outside of it: the heads in the ConfigMap, what open operations name,
and what the leader misses that has the ledger open. That alone is what a person can accept as lost.

What only the leader knows is noted with the next renewal of its Lease, and outlives it: the next leader looks for it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from exuvia import errors, ports
from exuvia.app import anchoring, leading
from exuvia.app.leading import Leader
from exuvia.model import marks, resources
from exuvia.model.specs.quarantine import Quarantine
from exuvia.model.specs.rotation import Rotation
from exuvia.observe import ours
from exuvia.record import chain
from exuvia.record.trust import Noted

KEY = f"{marks.GROUP}/misses"
OF = f"{marks.GROUP}/ledger"
"""Who noted what is missing: its epoch, a space, and the name of its cluster, whose chain it is."""

NAMED = 500  # the last ones: what operations and the ConfigMap name is known without the Lease
NOTICED_SECONDS = 5.0
"""So long after a loss the leader knows of it; what it misses stands in the Lease with its next renewal."""

LOOK_SECONDS = 0.5

_EPOCH = re.compile(r"\d{1,18}", re.ASCII)
_ENTRY = re.compile(r"\d{1,18}:[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What stands in the Lease. `epoch`, `cluster`: of the leader that noted it; None: nobody said it."""

    leader: Leader
    missing: tuple[Noted, ...] = ()
    epoch: int | None = None
    cluster: str | None = None

    @property
    def counts(self) -> tuple[Noted, ...]:
        """Without a broken chain that a former leader saw: whether it is broken still is found out by the next one."""
        now = bool(self.leader.holder) and self.epoch in (None, self.leader.epoch)
        return tuple(one for one in self.missing if now or not is_broken(one))

    @property
    def names_lost(self) -> bool:
        """Whether the leader names an entry. A broken chain is none: more may be missing in what takes its place."""
        return self.epoch in (None, self.leader.epoch) and not all(map(is_broken, self.missing))


@dataclass(frozen=True, slots=True, kw_only=True)
class Outside:
    """Everything that is noted. `silent`: who leads, and did not say within the time it takes that anything is missing;
    "" where nobody leads, or somebody said it."""

    noted: list[Noted]
    silent: str = ""


def is_broken(noted: Noted) -> bool:
    """Whether it says that the chain itself is broken there."""
    return noted.hash == chain.GENESIS.hex()


def tell(notes: MutableMapping[str, str], missing: Iterable[str], *, epoch: int, cluster: str) -> None:
    """Note in the leader's Lease what it misses, `number:hash`; also that it is nothing, for else a former leader's
    note would stay there."""
    notes[KEY] = " ".join(list(missing)[-NAMED:])
    notes[OF] = f"{epoch} {cluster}"


async def read(client: ports.Cluster, namespace: str, lease: str) -> Said:
    """What the Lease says. Raises `errors.ClusterError`, `errors.InvalidObject`: then it is not known."""
    found = await client.get(resources.LEASES, lease, namespace=namespace)
    annotations = _annotations(found)
    epoch, told, cluster = str(annotations.get(OF) or "").partition(" ")
    noted_of = cluster if told and _EPOCH.fullmatch(epoch) else None
    return Said(
        leader=leading.of(found),
        missing=tuple(_parsed(str(annotations.get(KEY) or ""), lease, noted_of)),
        epoch=None if noted_of is None else int(epoch),
        cluster=noted_of,
    )


async def forget(client: ports.Cluster, namespace: str, lease: str) -> None:
    """Take the note out of the Lease: it is about no ledger of a later installation. Raises `errors.ClusterError`."""
    if not _annotations(await client.get(resources.LEASES, lease, namespace=namespace)).get(KEY):
        return
    body = {"metadata": {"annotations": {KEY: None, OF: None}}}
    await client.merge_patch(resources.LEASES, lease, body, namespace=namespace)


async def noted(client: ports.Cluster, namespace: str, lease: str, now: Callable[[], datetime]) -> Outside:
    """Everything that is noted; `now` by the API server's clock. A leader is given the time to notice a loss, so that
    one acceptance is enough. Raises `errors.ClusterError`, `errors.InvalidObject`: then it is not known."""
    said = await read(client, namespace, lease)
    works = said.leader.works(now())
    if works:
        said = await _heard(client, namespace, lease, said)
    heads = [
        Noted(seq=one.seq, hash=one.hash, cluster=one.cluster)
        for one in await anchoring.read(client, namespace)
        if one.seq
    ]
    found = [*heads, *await _operations(client, said.cluster), *said.counts]
    return Outside(noted=found, silent=said.leader.holder if works and not said.counts else "")


async def _heard(client: ports.Cluster, namespace: str, lease: str, said: Said) -> Said:
    """What the leader says as soon as it names an entry, or with a renewal after it had the time to. One that renews
    its Lease no more is waited for no longer than its term."""
    loop, renewed = asyncio.get_running_loop(), None
    began = loop.time()
    while said.leader.holder and not said.names_lost:
        passed = loop.time() - began - NOTICED_SECONDS
        if passed >= said.leader.term.total_seconds():
            break
        if passed >= 0:
            renewed = renewed or said.leader.renewed
            if said.leader.renewed != renewed:
                break
        await asyncio.sleep(LOOK_SECONDS)
        said = await read(client, namespace, lease)
    return said


async def _operations(client: ports.Cluster, cluster: str | None) -> list[Noted]:
    """`cluster`: whose chain the operator of this cluster writes."""
    found: list[Noted] = []
    for kind, model in ((resources.ROTATIONS, Rotation), (resources.QUARANTINES, Quarantine)):
        async for page in client.pages(kind):
            parsed = [ours.from_body(model, body) for body in page]
            open_ = [one for one in parsed if isinstance(one, Rotation | Quarantine) and one.open]
            named = (one.status.ledger for one in open_)
            found += [Noted(seq=at.seq, hash=at.hash, cluster=cluster) for at in named if at is not None]
    return found


def _annotations(lease: ports.Body | None) -> dict[str, Any]:
    return ((lease or {}).get("metadata") or {}).get("annotations") or {}


def _parsed(text: str, lease: str, cluster: str | None) -> Iterator[Noted]:
    for name in text.split():
        if not _ENTRY.fullmatch(name):
            raise errors.InvalidObject(
                f"The Lease {lease} says under {KEY} what is no entry: {name[:80]}.",
                place=KEY, remedy="Take that annotation away; the leader writes it anew.",
            )  # fmt: skip
        seq, _, hash_ = name.partition(":")
        yield Noted(seq=int(seq), hash=hash_, cluster=cluster)
