"""Leader election by a Lease, with an epoch. Who holds it may write; who cannot prove that it does must not.

The elector of this room instead of a library's: those measured go on leading after the lease ended when the API server
stalls. The rules (safety.md, 9):

- leading is a fact with an end: `started + renew_deadline`, on a clock that counts through sleep. The margin to the
  lease's own end (5 s by default) is longer than any request of ours;
- a foreign lease counts as ended when it did not change for its whole duration *as seen here*: no wall clocks compared;
- the epoch is one more than the greatest of Lease, ledger and operations. It stands in `spec.leaseTransitions`.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from exuvia import errors, ports
from exuvia.model import resources

log = logging.getLogger(__name__)

EpochFloor = Callable[[], Awaitable[int]]
"""Asks ledger and operations for the greatest epoch that they know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Name and times of the lease."""

    namespace: str
    name: str
    identity: str
    duration: timedelta = timedelta(seconds=15)
    renew_deadline: timedelta = timedelta(seconds=10)
    retry: timedelta = timedelta(seconds=2)


@dataclass(slots=True)
class _Seen:
    """A foreign lease as last seen, and when it last changed by our monotonic clock."""

    version: str
    since: float
    duration: float


class Leadership:
    """Whether we lead, until when, and under which epoch. `check()` is asked right before every write."""

    def __init__(self, clock: ports.Clock) -> None:
        self._clock = clock
        self._until = 0.0
        self.epoch = 0
        self.changed = asyncio.Event()

    def leads(self) -> bool:
        """Whether we may still write."""
        return self._clock.monotonic() < self._until

    def check(self) -> None:
        """Raise `Fenced` unless we lead now."""
        if not self.leads():
            raise errors.Fenced("this replica does not lead (any more) and must not write")

    def extend(self, until: float, epoch: int) -> None:
        """Note a successful renewal: leading until that monotonic moment."""
        first = not self.leads()
        self._until, self.epoch = until, epoch
        if first:
            self.changed.set()

    def end(self) -> None:
        """Stop leading now."""
        self._until = 0.0
        self.changed.set()


class Elector:
    """Tries to get the lease, keeps it, gives it back. `run` goes on until cancelled."""

    def __init__(
        self, cluster: ports.Cluster, terms: Terms, clock: ports.Clock, leadership: Leadership, floor: EpochFloor
    ) -> None:
        self._cluster = cluster
        self._terms = terms
        self._clock = clock
        self._leadership = leadership
        self._floor = floor
        self._seen: _Seen | None = None
        self._version = ""
        self._trouble = ""

    async def run(self) -> None:
        """Elect and renew for ever; a failure is logged once and tried again."""
        while True:
            try:
                await self._once()
                self._trouble = ""
            except errors.ExuviaError as trouble:
                self._say(trouble)
            await asyncio.sleep(self._terms.retry.total_seconds() * random.uniform(0.9, 1.1))

    async def release(self) -> None:
        """Give the lease back so that another replica can take it at once. A failure only costs it some seconds."""
        if not self._leadership.leads():
            return
        epoch = self._leadership.epoch
        self._leadership.end()
        body = {"metadata": {"resourceVersion": self._version}, "spec": self._spec("", epoch, seconds=1)}
        try:
            await self._patch(body)
        except errors.ClusterError as trouble:
            log.warning("the lease was not given back: %s", trouble)

    async def _once(self) -> None:
        lease = await self._cluster.get(resources.LEASES, self._terms.name, namespace=self._terms.namespace)
        if lease is None:
            await self._create()
        elif lease["spec"].get("holderIdentity") == self._terms.identity:
            await self._renew(lease)
        elif self._ended(lease):
            await self._take(lease)

    async def _create(self) -> None:
        epoch = await self._floor() + 1
        started = self._clock.monotonic()
        body = {
            "apiVersion": resources.LEASES.api_version,
            "kind": resources.LEASES.kind,
            "metadata": {"name": self._terms.name, "namespace": self._terms.namespace},
            "spec": {**self._spec(self._terms.identity, epoch), "acquireTime": self._stamp()},
        }
        made = await self._cluster.create(resources.LEASES, body, namespace=self._terms.namespace)
        self._won(made, started, epoch)

    async def _take(self, lease: ports.Body) -> None:
        epoch = max(int(lease["spec"].get("leaseTransitions") or 0), await self._floor()) + 1
        started = self._clock.monotonic()
        body = {
            "metadata": {"resourceVersion": lease["metadata"]["resourceVersion"]},
            "spec": {**self._spec(self._terms.identity, epoch), "acquireTime": self._stamp()},
        }
        self._won(await self._patch(body), started, epoch)

    async def _renew(self, lease: ports.Body) -> None:
        if not self._leadership.leads() and self._leadership.epoch:
            # Our own lease, but we let it lapse: somebody may have acted meanwhile. Begin a new epoch.
            await self._take(lease)
            return
        epoch = int(lease["spec"].get("leaseTransitions") or 0)
        started = self._clock.monotonic()
        body = {
            "metadata": {"resourceVersion": lease["metadata"]["resourceVersion"]},
            "spec": self._spec(self._terms.identity, epoch),
        }
        self._won(await self._patch(body), started, epoch)

    def _won(self, lease: ports.Body, started: float, epoch: int) -> None:
        self._version = lease["metadata"]["resourceVersion"]
        self._seen = None
        if not self._leadership.leads():
            log.info("leading", extra={"epoch": epoch, "identity": self._terms.identity})
        self._leadership.extend(started + self._terms.renew_deadline.total_seconds(), epoch)

    def _ended(self, lease: ports.Body) -> bool:
        """Whether a foreign lease did not change for its whole duration, seen from here (or was given back)."""
        self._leadership.end()
        spec, now = lease["spec"], self._clock.monotonic()
        if not spec.get("holderIdentity"):
            return True
        version = lease["metadata"]["resourceVersion"]
        if self._seen is None or self._seen.version != version:
            seconds = float(spec.get("leaseDurationSeconds") or self._terms.duration.total_seconds())
            self._seen = _Seen(version, now, seconds)
        return now - self._seen.since >= self._seen.duration

    def _spec(self, holder: str, epoch: int, seconds: int = 0) -> dict[str, object]:
        return {
            "holderIdentity": holder,
            "leaseDurationSeconds": seconds or int(self._terms.duration.total_seconds()),
            "renewTime": self._stamp(),
            "leaseTransitions": epoch,
        }

    def _stamp(self) -> str:
        return self._clock.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")

    async def _patch(self, body: Mapping[str, Any]) -> ports.Body:
        return await self._cluster.merge_patch(
            resources.LEASES, self._terms.name, body, namespace=self._terms.namespace
        )

    def _say(self, trouble: errors.ExuviaError) -> None:
        if isinstance(trouble, errors.Conflict):
            return  # somebody else was faster; look again
        if str(trouble) != self._trouble:
            self._trouble = str(trouble)
            log.warning("lease: %s", trouble)
