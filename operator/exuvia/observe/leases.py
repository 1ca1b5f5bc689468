"""Node leases: how many look expired, and when each was renewed. Listed in pages when somebody asks; never watched."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from exuvia import ports
from exuvia.model import resources
from exuvia.observe import shapes

NAMESPACE = "kube-node-lease"
_DEFAULT = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewal:
    """The last renewal of a Lease and how long it lasts; `owner`: the UID of the Node that it names as its own, or
    ""."""

    at: datetime
    lasts: timedelta
    owner: str = ""


async def renewals(cluster: ports.Cluster) -> dict[str, Renewal]:
    """Node name -> its last renewal; those without any are left out."""
    found: dict[str, Renewal] = {}
    async for page in cluster.pages(resources.LEASES, namespace=NAMESPACE):
        for body in page:
            spec, meta = body.get("spec") or {}, body["metadata"]
            renewed = shapes.moment(spec.get("renewTime"))
            owners = [one.get("uid") or "" for one in meta.get("ownerReferences") or () if one.get("kind") == "Node"]
            if renewed is not None:
                lasts = timedelta(seconds=spec.get("leaseDurationSeconds") or _DEFAULT)
                found[meta["name"]] = Renewal(at=renewed, lasts=lasts, owner=owners[0] if owners else "")
    return found


async def expired_share(cluster: ports.Cluster, now: datetime) -> tuple[int, int]:
    """(expired, all). A lease without renewTime counts as expired."""
    expired = total = 0
    async for page in cluster.pages(resources.LEASES, namespace=NAMESPACE):
        for body in page:
            spec = body.get("spec") or {}
            renewed = shapes.moment(spec.get("renewTime"))
            life = timedelta(seconds=spec.get("leaseDurationSeconds") or _DEFAULT)
            total += 1
            expired += renewed is None or now - renewed > life
    return expired, total
