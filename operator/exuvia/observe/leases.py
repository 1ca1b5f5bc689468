"""Node leases: how many look expired. Listed in pages before a sweep that would start something; never watched."""

from __future__ import annotations

from datetime import datetime, timedelta

from exuvia import ports
from exuvia.model import resources
from exuvia.observe import shapes

NAMESPACE = "kube-node-lease"
_DEFAULT = 40


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
