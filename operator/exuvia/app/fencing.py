"""The API server behind a fence: every write looks first whether we still lead. Reads pass."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import Any

from exuvia import ports
from exuvia.app.leader import Leadership
from exuvia.model.resources import Resource


class FencedCluster:
    """A `ports.Cluster` whose writes raise `errors.Fenced` once leadership ended (safety.md, 9)."""

    def __init__(self, cluster: ports.Cluster, leadership: Leadership) -> None:
        self._cluster = cluster
        self._leadership = leadership

    async def get(self, resource: Resource, name: str, *, namespace: str = "") -> ports.Body | None:
        """Read one object."""
        return await self._cluster.get(resource, name, namespace=namespace)

    def pages(
        self,
        resource: Resource,
        *,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        limit: int = 500,
    ) -> AsyncIterator[list[ports.Body]]:
        """Read a list."""
        return self._cluster.pages(
            resource, namespace=namespace, label_selector=label_selector, field_selector=field_selector, limit=limit
        )

    async def create(
        self,
        resource: Resource,
        body: Mapping[str, Any],
        *,
        namespace: str = "",
        name: str = "",
        subresource: str = "",
        dry_run: bool = False,
    ) -> ports.Body:
        """Write, if we lead."""
        self._leadership.check()
        return await self._cluster.create(
            resource, body, namespace=namespace, name=name, subresource=subresource, dry_run=dry_run
        )

    async def merge_patch(
        self,
        resource: Resource,
        name: str,
        body: Mapping[str, Any],
        *,
        namespace: str = "",
        subresource: str = "",
        dry_run: bool = False,
    ) -> ports.Body:
        """Write, if we lead."""
        self._leadership.check()
        return await self._cluster.merge_patch(
            resource, name, body, namespace=namespace, subresource=subresource, dry_run=dry_run
        )

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
        """Write, if we lead."""
        self._leadership.check()
        await self._cluster.delete(
            resource,
            name,
            uid=uid,
            namespace=namespace,
            resource_version=resource_version,
            grace=grace,
            dry_run=dry_run,
        )

    async def evict(
        self, namespace: str, name: str, *, uid: str, grace: timedelta | None = None, dry_run: bool = False
    ) -> None:
        """Write, if we lead."""
        self._leadership.check()
        await self._cluster.evict(namespace, name, uid=uid, grace=grace, dry_run=dry_run)

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
        """Read a log."""
        return self._cluster.logs(namespace, pod, container, previous=previous, since=since, limit_bytes=limit_bytes)
