"""Who leads: what the operator's Lease says, as people ask for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from exuvia import ports
from exuvia.model import marks, resources
from exuvia.observe import shapes

SILENT = timedelta(seconds=60)
"""A leader renews every 2 s. One that was silent for so long does not work any more, whatever clocks differ by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leader:
    """The holder of the Lease; `holder` "" when nobody holds it."""

    holder: str = ""
    epoch: int = 0
    renewed: datetime | None = None

    def works(self, now: datetime) -> bool:
        """Whether an operator leads now."""
        return bool(self.holder) and self.renewed is not None and now - self.renewed < SILENT

    def said(self, now: datetime) -> str:
        """In words."""
        if not self.holder:
            return "nobody leads"
        silent = "never" if self.renewed is None else f"{max(0, int((now - self.renewed).total_seconds()))} s ago"
        return f"{self.holder} leads (epoch {self.epoch}, renewed {silent})"


async def leader(client: ports.Cluster, namespace: str = marks.SYSTEM_NAMESPACE) -> Leader:
    """Read the Lease; no Lease means that nobody ever led."""
    lease = await client.get(resources.LEASES, marks.LEASE, namespace=namespace)
    spec = (lease or {}).get("spec") or {}
    return Leader(
        holder=str(spec.get("holderIdentity") or ""),
        epoch=int(spec.get("leaseTransitions") or 0),
        renewed=shapes.moment(spec.get("renewTime")),
    )
