"""The Protocols that the edges fulfil: the API server, the ledger, the providers, the clock.

Each method says what its errors mean to the caller; the exceptions are drawn in `errors`. The real API server is
`kube.Client`; an in-memory one is `sandbox.World`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol

from exuvia.model import facts
from exuvia.model.cards import Card
from exuvia.model.instances import Instance, Reference
from exuvia.model.resources import Resource

Body = dict[str, Any]
"""An object of the API as decoded JSON."""


class Cluster(Protocol):
    """An API server. Every method may raise any `errors.ClusterError`; what each means there is said in the tree."""

    async def get(self, resource: Resource, name: str, *, namespace: str = "") -> Body | None:
        """One object, or None where there is none (404)."""

    def pages(
        self,
        resource: Resource,
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        limit: int = 500,
    ) -> AsyncIterator[list[Body]]:
        """A fresh, consistent list, a page at a time. Raises instead of giving a partial answer."""

    async def create(
        self,
        resource: Resource,
        body: Mapping[str, Any],
        *,
        namespace: str = "",
        name: str = "",
        subresource: str = "",
        dry_run: bool = False,
    ) -> Body:
        """POST. `AlreadyExists` when the name is taken."""

    async def merge_patch(
        self,
        resource: Resource,
        name: str,
        body: Mapping[str, Any],
        *,
        namespace: str = "",
        subresource: str = "",
        dry_run: bool = False,
    ) -> Body:
        """RFC 7396. `body.metadata.resourceVersion` and `.uid` are the preconditions: `Conflict` when they fail."""

    async def delete(
        self,
        resource: Resource,
        name: str,
        *,
        uid: str,
        namespace: str = "",
        resource_version: str = "",
        grace: timedelta | None = None,
        dry_run: bool = False,
    ) -> None:
        """DELETE with a UID precondition, always. `NotFound` when it is gone, `Conflict` when it is another."""

    async def evict(
        self, namespace: str, name: str, *, uid: str, grace: timedelta | None = None, dry_run: bool = False
    ) -> None:
        """The Eviction API (policy/v1) with UID precondition. `TooManyRequests`: a PDB or throttling;
        `ServerTrouble`: several PDBs; `NotFound`, `Conflict`: gone; `Forbidden`: see `reason`."""

    def logs(
        self,
        namespace: str,
        pod: str,
        container: str,
        *,
        previous: bool = False,
        since: timedelta | None = None,
        limit_bytes: int = 0,
    ) -> AsyncIterator[bytes]:
        """The log of one container, in chunks."""


class Ledger(Protocol):
    """The memory that decides whether anything may start. Nothing is acknowledged before it is durable."""

    async def append(self, *entries: facts.Fact) -> facts.Receipt:
        """Durable when it returns. Raises `errors.LedgerError` or `errors.Fenced`; then nothing was written."""

    def health(self) -> facts.LedgerHealth:
        """How it is now; never blocks."""


class MachineState(StrEnum):
    """How far the machine is that a provider was asked for."""

    UNKNOWN = "Unknown"  # no such request is known
    LAUNCHING = "Launching"  # asked for; there is no Node yet
    RUNNING = "Running"  # the provider reports it; a Node may be there
    FAILED = "Failed"  # definite: it will not come
    GONE = "Gone"  # it was there and is not any more


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A machine as the provider reports it."""

    state: MachineState
    provider_id: str = ""
    node_name: str = ""
    request_id: str = ""
    message: str = ""


class Provider(Protocol):
    """What can replace or remove a machine. Raises `errors.ProviderError`; `definite` says that nothing was done."""

    card: Card
    adds_first: bool
    """Whether it can bring a replacement before the old machine is removed."""
    brings_replacement: bool
    """Whether `request` must be called to get one (False: the machine's owner refills the pool by itself)."""

    def owns(self, instance: Instance) -> bool:
        """Whether this machine is surely one of this provider's, by providerID and owners (for `Auto`)."""

    async def request(self, *, pool: str, key: str, like: Reference) -> Machine:
        """One more machine of the pool. The same key never launches twice."""

    async def find(self, *, pool: str, key: str) -> Machine:
        """What became of that request."""

    async def remove(self, *, pool: str, instance: Reference) -> None:
        """Remove this machine, by UID and providerID. Gone already is success. Returns before it is gone."""


class Clock(Protocol):
    """The time, handed in so that tests can turn it."""

    def now(self) -> datetime:
        """The wall clock, aware, UTC."""

    def monotonic(self) -> float:
        """Seconds that never go back."""
