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

    def __post_init__(self) -> None:
        """A leader must stop well before its lease ends, and try to renew more than once before it stops."""
        if not timedelta(0) < self.retry * 2 <= self.renew_deadline < self.duration:
            raise errors.SettingsError(
                f"The lease cannot last {self.duration.total_seconds():g} s, be renewed within "
                f"{self.renew_deadline.total_seconds():g} s and be tried every {self.retry.total_seconds():g} s.",
                remedy="Lease duration must be above the renew deadline, and that at least twice the retry period.",
            )


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
        self.resigning = False
        self.changed = asyncio.Event()
        self.notes: dict[str, str] = {}
        """Annotations that the Lease gets with each renewal; they end with leading."""

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
            self.notes.clear()
            self.changed.set()

    def resign(self) -> None:
        """Ask for the lease to be given to somebody else soon."""
        self.resigning = True

    def end(self) -> None:
        """Stop leading now."""
        if self._until:
            self._until = 0.0
            self.changed.set()


class Elector:
    """Tries to get the lease, keeps it, gives it back. `run` goes on until cancelled; once released it does nothing."""

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
        self._released = False
        self._resting = 0.0
        self._trouble = ""
        self._holder: str | None = None

    async def run(self) -> None:
        """Elect and renew for ever; a failure is logged once and tried again."""
        while True:
            try:
                await self._once()
                self._trouble = ""
            except errors.ExuviaError as trouble:
                self._say(trouble)
            except Exception:
                log.exception("the elector stumbled and goes on")
            await asyncio.sleep(self._terms.retry.total_seconds() * random.uniform(0.9, 1.1))

    def role(self) -> str:
        """Whether this replica acts or stands by, in words."""
        if self._leadership.leads():
            return f"leads, epoch {self._leadership.epoch}"
        return f"stands by, {self._holder} leads" if self._holder else "stands by"

    async def release(self) -> None:
        """Give the lease back so that another replica can take it at once. A failure only costs it some seconds."""
        led, self._released = self._leadership.leads(), True
        self._leadership.end()
        if led:
            await self._return_lease()

    async def _return_lease(self) -> None:
        try:
            await self._give_back(self._version)
            log.info("the lease was given back")
        except errors.Conflict:
            await self._give_back_renewed()
        except errors.ClusterError as trouble:
            log.warning("the lease was not given back: %s", trouble)

    async def _resign(self) -> None:
        """Give the lease back, and let others take it first: for twice its duration we do not try."""
        led = self._leadership.leads()
        self._leadership.resigning = False
        self._leadership.end()
        self._resting = self._clock.monotonic() + 2 * self._terms.duration.total_seconds()
        if led:
            await self._return_lease()

    async def _give_back_renewed(self) -> None:
        """The lease changed since we last heard of it: by a renewal of ours whose answer was under way, or a person."""
        try:
            lease = await self._read()
            if lease is not None and _spec_of(lease).get("holderIdentity") == self._terms.identity:
                await self._give_back(lease["metadata"]["resourceVersion"])
        except errors.ClusterError as trouble:
            log.warning("the lease was not given back: %s", trouble)

    async def _give_back(self, version: str) -> None:
        spec = self._spec("", self._leadership.epoch, seconds=1)
        await self._patch({"metadata": self._metadata(version), "spec": spec})

    async def _once(self) -> None:
        if self._leadership.resigning:
            await self._resign()
        if self._released or self._clock.monotonic() < self._resting:
            return
        lease = await self._read()
        if lease is None:
            await self._create()
        elif _spec_of(lease).get("holderIdentity") == self._terms.identity:
            await self._renew(lease)
        elif self._ended(lease):
            await self._take(lease)

    async def _read(self) -> ports.Body | None:
        return await self._cluster.get(resources.LEASES, self._terms.name, namespace=self._terms.namespace)

    async def _create(self) -> None:
        epoch = await self._floor() + 1
        started = self._clock.monotonic()
        body = {
            "apiVersion": resources.LEASES.api_version,
            "kind": resources.LEASES.kind,
            "metadata": {"name": self._terms.name, "namespace": self._terms.namespace},
            "spec": {**self._spec(self._terms.identity, epoch), "acquireTime": self._stamp()},
        }
        self._won(await self._post(body), started, epoch)

    async def _post(self, body: ports.Body) -> ports.Body:
        namespace = self._terms.namespace
        try:
            return await self._cluster.create(resources.LEASES, body, namespace=namespace)
        except errors.NotFound as trouble:
            raise errors.NotFound(
                f"The namespace {namespace} of the Lease {self._terms.name} is not there; nobody leads.",
                remedy=f"Make it with `kubectl create namespace {namespace}` (or apply deploy/); it is tried again.",
            ) from trouble

    async def _take(self, lease: ports.Body) -> None:
        epoch = max(_epoch_of(lease), await self._floor()) + 1
        former = _spec_of(lease).get("holderIdentity") or "nobody"
        started = self._clock.monotonic()
        body = {
            "metadata": {"resourceVersion": lease["metadata"]["resourceVersion"]},
            "spec": {**self._spec(self._terms.identity, epoch), "acquireTime": self._stamp()},
        }
        taken = await self._patch(body)
        log.info("took the lease over from %s", former, extra={"former": former, "epoch": epoch})
        self._won(taken, started, epoch)

    async def _renew(self, lease: ports.Body) -> None:
        if not self._leadership.leads():
            # Our own lease, but we let it lapse, or it is a namesake's: somebody may have acted. Begin a new epoch.
            await self._take(lease)
            return
        epoch = self._leadership.epoch
        started = self._clock.monotonic()
        body = {
            "metadata": self._metadata(lease["metadata"]["resourceVersion"]),
            "spec": self._spec(self._terms.identity, epoch),
        }
        self._won(await self._patch(body), started, epoch)

    def _won(self, lease: ports.Body, started: float, epoch: int) -> None:
        self._version = lease["metadata"]["resourceVersion"]
        self._seen = None
        if self._released:
            return
        if not self._leadership.leads():
            log.info("leading under epoch %d", epoch, extra={"epoch": epoch, "identity": self._terms.identity})
            self._holder = None
        self._leadership.extend(started + self._terms.renew_deadline.total_seconds(), epoch)

    def _ended(self, lease: ports.Body) -> bool:
        """Whether a foreign lease did not change for its whole duration, seen from here (or was given back)."""
        self._leadership.end()
        spec, now = _spec_of(lease), self._clock.monotonic()
        holder = str(spec.get("holderIdentity") or "")
        self._stand_by(holder)
        if not holder:
            return True
        version = lease["metadata"]["resourceVersion"]
        if self._seen is None or self._seen.version != version:
            seconds = float(spec.get("leaseDurationSeconds") or 0)
            self._seen = _Seen(version, now, seconds if seconds > 0 else self._terms.duration.total_seconds())
        return now - self._seen.since >= self._seen.duration

    def _stand_by(self, holder: str) -> None:
        """Said once for each that leads meanwhile."""
        if holder and holder != self._holder:
            log.info("standing by: %s leads", holder, extra={"holder": holder, "identity": self._terms.identity})
        self._holder = holder or self._holder

    def _metadata(self, version: str) -> dict[str, object]:
        notes = self._leadership.notes
        return {"resourceVersion": version, **({"annotations": dict(notes)} if notes else {})}

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
        if isinstance(trouble, errors.Conflict | errors.AlreadyExists):
            return  # somebody else was faster; look again
        if str(trouble) != self._trouble:
            self._trouble = str(trouble)
            log.warning("lease: %s", trouble)


def _spec_of(lease: ports.Body) -> Mapping[str, Any]:
    return lease.get("spec") or {}


def _epoch_of(lease: ports.Body) -> int:
    return int(_spec_of(lease).get("leaseTransitions") or 0)
