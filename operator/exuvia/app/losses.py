"""What must be in the ledger by all that is noted outside of it: the heads in the ConfigMap, what open operations name,
and what the leader misses that has the ledger open. That alone is what a person can accept as lost.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping

from exuvia import errors, ports
from exuvia.app import anchoring, leading
from exuvia.model import marks, resources
from exuvia.model.facts import LedgerHealth
from exuvia.model.specs.quarantine import Quarantine
from exuvia.model.specs.rotation import Rotation
from exuvia.observe import ours
from exuvia.record.trust import Noted

KEY = f"{marks.GROUP}/misses"
NAMED = 500  # the last ones: what operations and the ConfigMap name is known without the Lease


def tell(notes: MutableMapping[str, str], health: LedgerHealth) -> None:
    """Note in the leader's Lease what it misses; nothing where it never missed anything."""
    missing = " ".join(health.missing[-NAMED:])
    if missing or KEY in notes:
        notes[KEY] = missing


async def noted(client: ports.Cluster, namespace: str) -> list[Noted]:
    """Everything that is noted now. Raises `errors.ClusterError`, `errors.InvalidObject`: then it is not known."""
    heads = await anchoring.read(client, namespace)
    found = [
        Noted(seq=one.seq, hash=one.hash, cluster=None if one.note is None else one.note.anchor.cluster)
        for one in heads
        if one.seq
    ]
    return [*found, *await _operations(client), *await _leader(client, namespace)]


async def _operations(client: ports.Cluster) -> list[Noted]:
    found: list[Noted] = []
    for kind, model in ((resources.ROTATIONS, Rotation), (resources.QUARANTINES, Quarantine)):
        async for page in client.pages(kind):
            read = [ours.from_body(model, body) for body in page]
            open_ = [one for one in read if isinstance(one, Rotation | Quarantine) and one.open]
            found += [Noted(seq=at.seq, hash=at.hash) for at in (one.status.ledger for one in open_) if at is not None]
    return found


async def _leader(client: ports.Cluster, namespace: str) -> list[Noted]:
    """What nobody but the leader knows, whose last entries were noted nowhere yet."""
    lease = await client.get(resources.LEASES, marks.LEASE, namespace=namespace)
    if not (await leading.leader(client, namespace)).holder:
        return []
    annotations = ((lease or {}).get("metadata") or {}).get("annotations") or {}
    return list(_parsed(str(annotations.get(KEY) or "")))


def _parsed(text: str) -> Iterator[Noted]:
    for name in text.split():
        seq, _, hash_ = name.partition(":")
        if not seq.isdigit() or len(hash_) != 64:
            raise errors.InvalidObject(
                f"The Lease {marks.LEASE} says under {KEY} what is no entry: {name[:80]}.",
                place=KEY, remedy="Take that annotation away; the leader writes it anew.",
            )  # fmt: skip
        yield Noted(seq=int(seq), hash=hash_)
