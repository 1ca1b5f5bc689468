"""Who leads: what the operator's Lease says, as people ask for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from exuvia import ports
from exuvia.model import marks, resources
from exuvia.observe import shapes

TERM = timedelta(seconds=15)
"""How long a renewal lasts where the Lease does not say it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Leader:
    """The holder of the Lease; `holder` "" when nobody holds it. A renewal counts for `term`, as the Lease says."""

    holder: str = ""
    epoch: int = 0
    renewed: datetime | None = None
    term: timedelta = TERM

    def works(self, now: datetime) -> bool:
        """Whether an operator leads now, a moment of the API server's clock."""
        return bool(self.holder) and self.renewed is not None and now - self.renewed < self.term

    def said(self, now: datetime) -> str:
        """In words, which say the same as `works`."""
        if not self.holder:
            return "nobody leads"
        if self.renewed is None:
            return f"nobody leads: {self.holder} holds the Lease, epoch {self.epoch}, and never renewed it"
        ago = f"{max(0, int((now - self.renewed).total_seconds()))} s ago"
        if self.works(now):
            return f"{self.holder} leads (epoch {self.epoch}, renewed {ago})"
        lasts = f"its Lease of {self.term.total_seconds():g} s was renewed {ago}"
        return f"nobody leads: {self.holder} was the last, epoch {self.epoch}, and {lasts}"


async def leader(client: ports.Cluster, namespace: str = marks.SYSTEM_NAMESPACE, lease: str = marks.LEASE) -> Leader:
    """Read the Lease; no Lease means that nobody ever led."""
    return of(await client.get(resources.LEASES, lease, namespace=namespace))


def of(lease: ports.Body | None) -> Leader:
    """By a Lease that was read."""
    spec = (lease or {}).get("spec") or {}
    return Leader(
        holder=str(spec.get("holderIdentity") or ""),
        epoch=int(spec.get("leaseTransitions") or 0),
        renewed=shapes.moment(spec.get("renewTime")),
        term=_term(spec.get("leaseDurationSeconds")),
    )


def _term(seconds: object) -> timedelta:
    return timedelta(seconds=seconds) if isinstance(seconds, int) and seconds > 0 else TERM
